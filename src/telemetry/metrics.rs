//! Metrics for Prometheus. Labels are names out of our own files, never out of a message.

use crate::ledger::Waiting;
use crate::outcome::Outcome;
use jiff::{SignedDuration, Timestamp};
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    /// Types that may be a label; anything else a sender makes up is `other`.
    kinds: RwLock<Vec<String>>,
    rules: IntGaugeVec,
    reloads: IntCounterVec,
    received: IntCounterVec,
    outcomes: IntCounterVec,
    attempts: IntCounterVec,
    facts: IntCounterVec,
    receipts: IntCounterVec,
    delivered_seconds: Histogram,
    waiting: IntGaugeVec,
    oldest: IntGaugeVec,
    recipient_down: IntGaugeVec,
    waiting_for: IntGaugeVec,
    connected: IntGaugeVec,
    breaker_open: IntGauge,
    in_flight: IntGauge,
    in_flight_bytes: IntGauge,
}

impl Metrics {
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new_custom(Some("ketenpoort".to_owned()), None)?;
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let buckets = vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0, 86400.0];
        let seconds = HistogramOpts::new("delivered_seconds", "From received to delivered, in seconds");
        let delivered_seconds = Histogram::with_opts(seconds.buckets(buckets))?;
        registry.register(Box::new(delivered_seconds.clone()))?;
        Ok(Metrics(Arc::new(Inner {
            rules: gauges("rules_info", "The set of rules of now", &["policy_version", "mapping_version"])?,
            reloads: counter("reloads_total", "Sets of rules that were read anew", &["result"])?,
            received: counter("messages_received_total", "Messages taken from a partner's queue", &["party"])?,
            outcomes: counter("outcomes_total", "Outcomes per recipient", &["type", "outcome", "code"])?,
            attempts: counter("delivery_attempts_total", "Attempts to deliver", &["way", "result"])?,
            facts: counter("facts_requests_total", "Questions to IRIS", &["result"])?,
            receipts: counter("receipts_sent_total", "Receipts taken by the sender's queue", &[])?,
            waiting: gauges("waiting", "Deliveries that wait", &["outcome"])?,
            oldest: gauges("waiting_oldest_seconds", "Age of the oldest delivery that waits", &["outcome"])?,
            recipient_down: gauges("recipient_breaker_open", "1 while a recipient is left alone", &["party"])?,
            waiting_for: gauges("recipient_waiting", "Deliveries that wait for their recipient", &["party"])?,
            connected: gauges("amqp_connected", "1 while there is a connection to a broker", &["direction"])?,
            breaker_open: gauge("facts_breaker_open", "1 while IRIS is left alone after failures")?,
            in_flight: gauge("in_flight", "Messages being worked on")?,
            in_flight_bytes: gauge("in_flight_bytes", "Room in memory taken by messages that came in")?,
            delivered_seconds,
            registry,
            kinds: RwLock::default(),
        })))
    }

    fn kind<'a>(&self, kind: Option<&'a str>) -> &'a str {
        let kinds = self.0.kinds.read().unwrap_or_else(PoisonError::into_inner);
        kind.filter(|kind| kinds.iter().any(|known| known == kind)).unwrap_or("other")
    }

    /// Which types there are, and by which rules.
    pub fn rules(&self, kinds: Vec<String>, policy_version: &str, mapping_version: &str) {
        *self.0.kinds.write().unwrap_or_else(PoisonError::into_inner) = kinds;
        self.0.rules.reset();
        self.0.rules.with_label_values(&[policy_version, mapping_version]).set(1);
    }
    pub fn reloaded(&self, result: &str) {
        self.0.reloads.with_label_values(&[result]).inc();
    }

    pub fn received(&self, party: &str) {
        self.0.received.with_label_values(&[party]).inc();
    }
    pub fn outcome(&self, kind: Option<&str>, outcome: &str, code: &str) {
        self.0.outcomes.with_label_values(&[self.kind(kind), outcome, code]).inc();
    }
    pub fn attempted(&self, way: &str, result: &str) {
        self.0.attempts.with_label_values(&[way, result]).inc();
    }
    pub fn facts_requested(&self, result: &str) {
        self.0.facts.with_label_values(&[result]).inc();
    }
    pub fn receipt_sent(&self) {
        self.0.receipts.with_label_values::<&str>(&[]).inc();
    }
    pub fn delivered_after(&self, age: SignedDuration) {
        self.0.delivered_seconds.observe(age.as_secs_f64());
    }
    pub fn connected(&self, direction: &str, connected: bool) {
        self.0.connected.with_label_values(&[direction]).set(connected.into());
    }
    pub fn breaker_open(&self, open: bool) {
        self.0.breaker_open.set(open.into());
    }
    pub fn in_flight(&self, count: usize) {
        self.0.in_flight.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    pub fn in_flight_bytes(&self, count: usize) {
        self.0.in_flight_bytes.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Outcomes that nobody waits in are there as well, as zero: an alarm must see that there is nothing.
    pub fn waiting(&self, all: &[Waiting], now: Timestamp) {
        for outcome in Outcome::ALL.iter().filter(|outcome| !outcome.is_final()) {
            self.0.waiting.with_label_values(&[outcome.as_str()]).set(0);
            self.0.oldest.with_label_values(&[outcome.as_str()]).set(0);
        }
        for waiting in all {
            let outcome = waiting.outcome.as_str();
            self.0.waiting.with_label_values(&[outcome]).set(waiting.count);
            let age = now.duration_since(waiting.oldest).as_secs();
            self.0.oldest.with_label_values(&[outcome]).set(age);
        }
    }

    pub fn recipient_down(&self, party: &str, down: bool) {
        self.0.recipient_down.with_label_values(&[party]).set(down.into());
    }

    pub fn waiting_for(&self, party: &str, count: i64) {
        self.0.waiting_for.with_label_values(&[party]).set(count);
    }

    pub fn render(&self) -> String {
        let mut out = Vec::new();
        // Fails only where a metric has no name.
        let _ = TextEncoder::new().encode(&self.0.registry.gather(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_can_wait_has_a_count_and_an_age_also_where_nothing_waits() {
        let metrics = Metrics::new().unwrap();
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let oldest = now - SignedDuration::from_mins(90);
        metrics.waiting(&[Waiting { outcome: Outcome::AwaitingAssessment, count: 3, oldest }], now);
        let says = |line: &str| assert!(metrics.render().lines().any(|l| l == line), "{line} in\n{}", metrics.render());
        for outcome in ["held", "retrying", "parked"] {
            says(&format!("ketenpoort_waiting{{outcome=\"{outcome}\"}} 0"));
            says(&format!("ketenpoort_waiting_oldest_seconds{{outcome=\"{outcome}\"}} 0"));
        }
        says("ketenpoort_waiting{outcome=\"awaiting_assessment\"} 3");
        says("ketenpoort_waiting_oldest_seconds{outcome=\"awaiting_assessment\"} 5400");

        metrics.waiting(&[], now);
        says("ketenpoort_waiting{outcome=\"awaiting_assessment\"} 0");
        says("ketenpoort_waiting_oldest_seconds{outcome=\"awaiting_assessment\"} 0");
    }
}
