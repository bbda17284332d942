//! How fast things go now, felt out of the metrics every few seconds: what came in from whom, what went out to whom,
//! and since when a recipient is down. Of this gateway only, and only since it runs.

use super::House;
use crate::party::PartyId;
use crate::telemetry::metrics::Metrics;
use jiff::Timestamp;
use prometheus::proto::Metric;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_secs(10);
/// So that rates are over five minutes at the most.
const MOST: usize = 31;

#[derive(Debug)]
pub struct Pulse {
    metrics: Metrics,
    felt: Mutex<Felt>,
}

#[derive(Debug, Default)]
struct Felt {
    beats: VecDeque<Beat>,
    down_since: HashMap<PartyId, Timestamp>,
}

/// Counters at one moment.
#[derive(Clone, Debug)]
struct Beat {
    at: Instant,
    received: BTreeMap<String, f64>,
    /// By type and recipient: how many, and their seconds together.
    delivered: BTreeMap<(String, String), (f64, f64)>,
    /// By type and outcome.
    outcomes: BTreeMap<(String, String), f64>,
}

/// Over the last minutes.
#[derive(Debug, Default)]
pub struct Rates {
    /// Messages a minute, by who sent them.
    pub received: BTreeMap<String, f64>,
    /// Deliveries a minute, by recipient.
    pub delivered: BTreeMap<String, f64>,
    pub flows: BTreeMap<String, Flow>,
}

/// Of one message type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    /// A minute.
    pub delivered: f64,
    /// From received to delivered, on average; none where nothing was.
    pub seconds: Option<f64>,
    /// A minute, that ended in no delivery.
    pub stopped: f64,
}

impl Pulse {
    pub fn new(metrics: Metrics) -> Pulse {
        Pulse { metrics, felt: Mutex::default() }
    }

    pub async fn keep_feeling(&self, house: &dyn House) {
        let mut interval = tokio::time::interval(BEAT);
        loop {
            interval.tick().await;
            self.feel(&house.down(), Instant::now(), Timestamp::now());
        }
    }

    fn feel(&self, down: &[PartyId], at: Instant, now: Timestamp) {
        let beat = self.beat(at);
        let mut felt = self.felt();
        felt.beats.push_back(beat);
        if felt.beats.len() > MOST {
            felt.beats.pop_front();
        }
        felt.down_since.retain(|party, _| down.contains(party));
        for party in down {
            felt.down_since.entry(party.clone()).or_insert(now);
        }
    }

    /// As far as it was felt.
    pub fn down_since(&self, party: &PartyId) -> Option<Timestamp> {
        self.felt().down_since.get(party).copied()
    }

    pub fn rates(&self, now: Instant) -> Rates {
        let first = self.felt().beats.front().cloned();
        let (Some(first), last) = (first, self.beat(now)) else { return Rates::default() };
        let minutes = last.at.duration_since(first.at).as_secs_f64() / 60.0;
        if minutes <= 0.0 {
            return Rates::default();
        }
        let mut rates = Rates::default();
        for (party, count) in &last.received {
            let before = first.received.get(party).copied().unwrap_or_default();
            rates.received.insert(party.clone(), (count - before) / minutes);
        }
        for (key, (count, seconds)) in &last.delivered {
            let before = first.delivered.get(key).copied().unwrap_or_default();
            let (count, seconds) = (count - before.0, seconds - before.1);
            *rates.delivered.entry(key.1.clone()).or_default() += count / minutes;
            let flow = rates.flows.entry(key.0.clone()).or_default();
            // The sum until the division below.
            flow.seconds = Some(flow.seconds.unwrap_or_default() + seconds);
            flow.delivered += count;
        }
        for flow in rates.flows.values_mut() {
            flow.seconds = flow.seconds.filter(|_| flow.delivered > 0.0).map(|seconds| seconds / flow.delivered);
            flow.delivered /= minutes;
        }
        for ((kind, outcome), count) in &last.outcomes {
            let before = first.outcomes.get(&(kind.clone(), outcome.clone())).copied().unwrap_or_default();
            if !matches!(outcome.as_str(), "delivered" | "duplicate") {
                rates.flows.entry(kind.clone()).or_default().stopped += (count - before) / minutes;
            }
        }
        rates
    }

    fn beat(&self, at: Instant) -> Beat {
        let mut beat = Beat { at, received: BTreeMap::new(), delivered: BTreeMap::new(), outcomes: BTreeMap::new() };
        for family in self.metrics.gather() {
            for metric in family.get_metric() {
                let label = |name| label(metric, name);
                match family.name() {
                    "ketenpoort_messages_received_total" => {
                        *beat.received.entry(label("party")).or_default() += metric.get_counter().get_value();
                    }
                    "ketenpoort_outcomes_total" => {
                        let key = (label("type"), label("outcome"));
                        *beat.outcomes.entry(key).or_default() += metric.get_counter().get_value();
                    }
                    "ketenpoort_delivered_seconds" => {
                        let histogram = metric.get_histogram();
                        #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
                        let count = histogram.get_sample_count() as f64;
                        beat.delivered.insert((label("type"), label("recipient")), (count, histogram.get_sample_sum()));
                    }
                    _ => {}
                }
            }
        }
        beat
    }

    fn felt(&self) -> MutexGuard<'_, Felt> {
        self.felt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn label(metric: &Metric, name: &str) -> String {
    metric.get_label().iter().find(|pair| pair.name() == name).map_or_else(String::new, |pair| pair.value().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[test]
    fn rates_are_of_the_last_minutes_and_a_minute() {
        let metrics = Metrics::new().unwrap();
        metrics.rules(vec!["a.v1".to_owned()], "p", "m");
        let pulse = Pulse::new(metrics.clone());
        let (start, now) = (Instant::now(), Timestamp::now());
        metrics.received("dji");
        pulse.feel(&[], start, now);
        for _ in 0..30 {
            metrics.received("dji");
            metrics.delivered_after(Some("a.v1"), "gemeente:0363", SignedDuration::from_millis(500));
            metrics.outcome(Some("a.v1"), "delivered", "");
        }
        metrics.outcome(Some("a.v1"), "refused", "KP-3001");
        let rates = pulse.rates(start + Duration::from_secs(120));
        assert_eq!(rates.received["dji"], 15.0);
        assert_eq!(rates.delivered["gemeente:0363"], 15.0);
        let flow = rates.flows["a.v1"];
        assert_eq!((flow.delivered, flow.seconds, flow.stopped), (15.0, Some(0.5), 0.5));
    }

    #[test]
    fn a_recipient_is_down_since_it_was_first_seen_so() {
        let pulse = Pulse::new(Metrics::new().unwrap());
        let (party, at) = (PartyId::new("dji"), Timestamp::now());
        let later = at + SignedDuration::from_secs(10);
        pulse.feel(std::slice::from_ref(&party), Instant::now(), at);
        pulse.feel(std::slice::from_ref(&party), Instant::now(), later);
        assert_eq!(pulse.down_since(&party), Some(at));
        pulse.feel(&[], Instant::now(), later);
        assert_eq!(pulse.down_since(&party), None);
    }
}
