//! Metrics, declared once for Prometheus, OTLP and the specification in docs/telemetry.md. Labels are names out of our
//! own files, never out of a message.

use crate::ledger::Waiting;
use crate::outcome::Outcome;
use crate::receipt::Decision;
use jiff::{SignedDuration, Timestamp};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    declared: Vec<Declared>,
    /// Types that may be a label; anything else a sender makes up is `other`.
    kinds: RwLock<Vec<String>>,
    rules: IntGaugeVec,
    reloads: IntCounterVec,
    received: IntCounterVec,
    outcomes: IntCounterVec,
    decisions: IntCounterVec,
    attempts: IntCounterVec,
    facts: IntCounterVec,
    receipts: IntCounter,
    delivered_seconds: HistogramVec,
    waiting: IntGaugeVec,
    oldest: IntGaugeVec,
    recipient_down: IntGaugeVec,
    waiting_for: IntGaugeVec,
    waiting_for_since: IntGaugeVec,
    connected: IntGaugeVec,
    breaker_open: IntGauge,
    ledger_writable: IntGauge,
    in_flight: IntGauge,
    log_entries: IntGauge,
    log_behind: IntGauge,
    in_flight_bytes: IntGauge,
    certificates: IntGaugeVec,
    certificate_reloads: IntCounterVec,
}

/// One metric as the specification has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub name: String,
    pub kind: &'static str,
    pub unit: &'static str,
    pub labels: Vec<String>,
    pub help: String,
}

const NAMESPACE: &str = "ketenpoort";
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0, 86400.0];

/// Registers, and notes what was registered.
struct Declare {
    registry: Registry,
    declared: Vec<Declared>,
}

type Made<T> = Result<T, prometheus::Error>;

impl Declare {
    fn put<C: Collector + Clone + 'static>(&mut self, kind: &'static str, unit: &'static str, made: C) -> Made<C> {
        for desc in made.desc() {
            self.declared.push(Declared {
                name: format!("{NAMESPACE}_{}", desc.fq_name),
                kind,
                unit,
                labels: desc.variable_labels.clone(),
                help: desc.help.clone(),
            });
        }
        self.registry.register(Box::new(made.clone()))?;
        Ok(made)
    }
    fn counter(&mut self, name: &str, unit: &'static str, labels: &[&str], help: &str) -> Made<IntCounterVec> {
        self.put("counter", unit, IntCounterVec::new(Opts::new(name, help), labels)?)
    }
    fn gauges(&mut self, name: &str, unit: &'static str, labels: &[&str], help: &str) -> Made<IntGaugeVec> {
        self.put("gauge", unit, IntGaugeVec::new(Opts::new(name, help), labels)?)
    }
    fn gauge(&mut self, name: &str, unit: &'static str, help: &str) -> Made<IntGauge> {
        self.put("gauge", unit, IntGauge::new(name, help)?)
    }
}

impl Metrics {
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new_custom(Some(NAMESPACE.to_owned()), None)?;
        let mut to = Declare { registry: registry.clone(), declared: Vec::new() };
        let delivered = HistogramOpts::new("delivered_seconds", "From received to delivered").buckets(SECONDS.to_vec());
        let inner = Inner {
            received: to.counter(
                "messages_received_total",
                "1",
                &["party"],
                "Messages taken from a partner's queue",
            )?,
            outcomes: to.counter("outcomes_total", "1", &["type", "outcome", "code"], "Outcomes per recipient")?,
            decisions: to.counter(
                "policy_decisions_total",
                "1",
                &["policy", "decision"],
                "Categories that a policy let go to a recipient (permit), or that none did (deny)",
            )?,
            delivered_seconds: to.put("histogram", "s", HistogramVec::new(delivered, &["type", "recipient"])?)?,
            attempts: to.counter("delivery_attempts_total", "1", &["way", "result"], "Attempts to deliver")?,
            receipts: to.put(
                "counter",
                "1",
                IntCounter::new("receipts_sent_total", "Receipts taken by the sender's queue")?,
            )?,
            facts: to.counter("facts_requests_total", "1", &["result"], "Questions to IRIS")?,
            breaker_open: to.gauge("facts_breaker_open", "1", "1 while IRIS is left alone after failures")?,
            in_flight: to.gauge("in_flight", "1", "Messages being worked on")?,
            in_flight_bytes: to.gauge("in_flight_bytes", "By", "Room in memory taken by messages that came in")?,
            waiting: to.gauges("waiting", "1", &["outcome"], "Deliveries that wait")?,
            oldest: to.gauges("waiting_oldest_seconds", "s", &["outcome"], "Age of the oldest delivery that waits")?,
            recipient_down: to.gauges(
                "recipient_breaker_open",
                "1",
                &["party"],
                "1 while a recipient is left alone",
            )?,
            waiting_for: to.gauges("recipient_waiting", "1", &["party"], "Deliveries that wait for their recipient")?,
            waiting_for_since: to.gauges(
                "recipient_waiting_oldest_seconds",
                "s",
                &["party"],
                "Age of the oldest delivery that waits for its recipient",
            )?,
            ledger_writable: to.gauge("ledger_writable", "1", "1 while the ledger takes writes")?,
            connected: to.gauges("amqp_connected", "1", &["direction"], "1 while there is a connection to a broker")?,
            rules: to.gauges("rules_info", "1", &["policy_version", "mapping_version"], "The set of rules of now")?,
            reloads: to.counter("reloads_total", "1", &["result"], "Sets of rules that were read anew")?,
            log_entries: to.gauge("log_entries", "1", "Leaves of the disclosure log's tree")?,
            log_behind: to.gauge(
                "log_behind_seconds",
                "s",
                "Since everything that was recorded was in that tree; more than 60 is too long",
            )?,
            certificates: to.gauges(
                "certificate_expires_seconds",
                "s",
                &["use", "part"],
                "Unix time after which a certificate is not valid any more; of several the first",
            )?,
            certificate_reloads: to.counter(
                "certificate_reloads_total",
                "1",
                &["use", "result"],
                "Certificates, keys and authorities that changed on disk, and whether they are used",
            )?,
            registry,
            declared: to.declared,
            kinds: RwLock::default(),
        };
        // An alarm sees a counter grow only where it was there before.
        inner.reloads.with_label_values(&["refused"]).inc_by(0);
        Ok(Metrics(Arc::new(inner)))
    }

    pub fn declared(&self) -> &[Declared] {
        &self.0.declared
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
    /// Of each category, the policy that let it go; what none lets go has no policy.
    pub fn decided(&self, decision: &Decision) {
        for shared in &decision.shared {
            self.0.decisions.with_label_values(&[shared.policy.as_str(), "permit"]).inc();
        }
        let denied = u64::try_from(decision.withheld.len()).unwrap_or(u64::MAX);
        if denied > 0 {
            self.0.decisions.with_label_values(&["none", "deny"]).inc_by(denied);
        }
    }
    pub fn attempted(&self, way: &str, result: &str) {
        self.0.attempts.with_label_values(&[way, result]).inc();
    }
    pub fn facts_requested(&self, result: &str) {
        self.0.facts.with_label_values(&[result]).inc();
    }
    pub fn receipt_sent(&self) {
        self.0.receipts.inc();
    }
    pub fn delivered_after(&self, kind: Option<&str>, recipient: &str, age: SignedDuration) {
        self.0.delivered_seconds.with_label_values(&[self.kind(kind), recipient]).observe(age.as_secs_f64());
    }
    pub fn connected(&self, direction: &str, connected: bool) {
        self.0.connected.with_label_values(&[direction]).set(connected.into());
    }
    pub fn breaker_open(&self, open: bool) {
        self.0.breaker_open.set(open.into());
    }
    pub fn ledger_writable(&self, writable: bool) {
        self.0.ledger_writable.set(writable.into());
    }
    pub fn in_flight(&self, count: usize) {
        self.0.in_flight.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    pub fn in_flight_bytes(&self, count: usize) {
        self.0.in_flight_bytes.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn log(&self, entries: u64, behind: SignedDuration) {
        self.0.log_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.0.log_behind.set(behind.as_secs());
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
            self.0.oldest.with_label_values(&[outcome]).set(now.duration_since(waiting.oldest).as_secs());
        }
    }

    pub fn certificate_expires(&self, usage: &str, part: &str, at: Timestamp) {
        self.0.certificates.with_label_values(&[usage, part]).set(at.as_second());
    }
    pub fn certificates_reloaded(&self, usage: &str, result: &str) {
        self.0.certificate_reloads.with_label_values(&[usage, result]).inc();
    }

    pub fn recipient_down(&self, party: &str, down: bool) {
        self.0.recipient_down.with_label_values(&[party]).set(down.into());
    }

    pub fn waiting_for(&self, party: &str, count: i64, oldest: SignedDuration) {
        self.0.waiting_for.with_label_values(&[party]).set(count);
        self.0.waiting_for_since.with_label_values(&[party]).set(oldest.as_secs());
    }

    pub fn gather(&self) -> Vec<MetricFamily> {
        self.0.registry.gather()
    }

    pub fn render(&self) -> String {
        let mut out = Vec::new();
        // Fails only where a metric has no name.
        let _ = TextEncoder::new().encode(&self.gather(), &mut out);
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
