//! Overzicht: flows and partners now, and what needs somebody and why.

use crate::code::Code;
use crate::console::Console;
use crate::console::access::Power;
use crate::console::guard::{Visit, page};
use crate::console::text::Text;
use crate::console::view::{Frame, When, age, in_query, party_name, rate};
use crate::ledger::{Error, WaitingAt};
use crate::outcome::Outcome;
use crate::party::PartyId;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// What is tried again for longer than this is told.
const LONG_RETRY: SignedDuration = SignedDuration::from_mins(10);
/// Who must judge is told once something waited for so long.
const LONG_JUDGED: SignedDuration = SignedDuration::from_hours(24);

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    t: Text,
    now: Now,
}

/// The part that changes.
#[derive(Template)]
#[template(path = "overview_now.html")]
struct Now {
    t: Text,
    at: When,
    red: Vec<Red>,
    parts: Vec<Part>,
    waiting: Vec<Waiting>,
    partners: Vec<Partner>,
    flows: Vec<Flow>,
    sees_queue: bool,
}

struct Red {
    text: String,
    code: Option<Code>,
    href: Option<String>,
}

struct Part {
    name: &'static str,
    state: &'static str,
    class: &'static str,
}

struct Waiting {
    outcome: &'static str,
    href: String,
    count: i64,
    oldest: String,
}

struct Partner {
    name: String,
    id: String,
    received: String,
    delivered: String,
    waiting: i64,
    oldest: String,
    down: Option<String>,
    href: String,
}

struct Flow {
    title: String,
    kind: String,
    delivered: String,
    stopped: String,
    seconds: String,
}

pub async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    match console.now(&visit).await {
        Ok(now) => page(&Overview { frame: visit.frame(visit.t.overview()), t: visit.t, now }),
        Err(error) => visit.unavailable(&error),
    }
}

/// For the page's own script.
pub async fn now(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    match console.now(&visit).await {
        Ok(now) => page(&now),
        Err(error) => visit.unavailable(&error),
    }
}

impl Console {
    async fn now(&self, visit: &Visit) -> Result<Now, Error> {
        let (t, now) = (visit.t, Timestamp::now());
        let waiting = self.ledger.waiting_at().await?;
        let down = self.house.down();
        Ok(Now {
            t,
            at: When(now),
            red: self.red(visit, &waiting, &down, now),
            parts: self.parts(t),
            waiting: all_waiting(t, &waiting, now),
            partners: self.partners(t, &waiting, &down, now),
            flows: self.flows(t),
            sees_queue: visit.may(Power::Queue),
        })
    }

    fn parts(&self, t: Text) -> Vec<Part> {
        let missing = self.ready.missing();
        let part = |key: &str, name| {
            let up = !missing.contains(&key);
            Part { name, state: if up { t.up() } else { t.down() }, class: if up { "good" } else { "bad" } }
        };
        let iris = if self.ready.has_iris() {
            Part { name: t.iris(), state: t.up(), class: "good" }
        } else {
            Part { name: t.iris(), state: t.degraded(), class: "bad" }
        };
        vec![
            part("broker_intake", t.broker_intake()),
            part("broker_publish", t.broker_publish()),
            part("ledger", t.ledger()),
            iris,
        ]
    }

    fn red(&self, visit: &Visit, waiting: &[WaitingAt], down: &[PartyId], now: Timestamp) -> Vec<Red> {
        let (t, pipeline) = (visit.t, self.house.pipeline());
        let nl = t.lang() == "nl";
        let queue = |query: String| visit.may(Power::Queue).then(|| format!("/console/wachtrij?{query}"));
        let mut red = Vec::new();
        for part in self.parts(t).into_iter().filter(|part| part.class == "bad") {
            let code = match part.name {
                name if name == t.iris() => Code::FactsUnavailable,
                name if name == t.ledger() => Code::LedgerUnavailable,
                _ => Code::BrokerUnavailable,
            };
            red.push(Red { text: format!("{}: {}", part.name, part.state), code: Some(code), href: None });
        }
        for party in down {
            let name = party_name(&pipeline.directory, party);
            let since = self.pulse.down_since(party).map(|since| age(t, since, now));
            let text = match (nl, since) {
                (true, Some(since)) => format!("{name} neemt al {since} niets aan"),
                (true, None) => format!("{name} neemt niets aan"),
                (false, Some(since)) => format!("{name} has taken nothing for {since}"),
                (false, None) => format!("{name} takes nothing"),
            };
            let href = queue(format!("ontvanger={}", in_query(party.as_str())));
            red.push(Red { text, code: Some(Code::RecipientBusy), href });
        }
        for (outcome, long, code) in [
            (Outcome::Parked, SignedDuration::ZERO, None),
            (Outcome::Retrying, LONG_RETRY, Some(Code::DeliveryFailed)),
            (Outcome::AwaitingAssessment, LONG_JUDGED, Some(Code::AssessmentNeeded)),
        ] {
            let of = || waiting.iter().filter(|waiting| waiting.outcome == outcome);
            let Some(oldest) = of().map(|waiting| waiting.oldest).min() else { continue };
            if now.duration_since(oldest) < long {
                continue;
            }
            let (count, since, word) = (of().map(|w| w.count).sum::<i64>(), age(t, oldest, now), t.outcome(outcome));
            let text = match nl {
                true => format!("{word}: {count}, de oudste {since}"),
                false => format!("{word}: {count}, the oldest for {since}"),
            };
            red.push(Red { text, code, href: queue(format!("toestand={}", outcome.as_str())) });
        }
        red
    }

    fn partners(&self, t: Text, waiting: &[WaitingAt], down: &[PartyId], now: Timestamp) -> Vec<Partner> {
        let (rates, pipeline) = (self.pulse.rates(Instant::now()), self.house.pipeline());
        let mut waits: BTreeMap<&str, (i64, Timestamp)> = BTreeMap::new();
        for (recipient, of) in waiting.iter().filter_map(|of| Some((of.recipient.as_ref()?.as_str(), of))) {
            let entry = waits.entry(recipient).or_insert((0, of.oldest));
            *entry = (entry.0 + of.count, entry.1.min(of.oldest));
        }
        let active = rates.received.iter().chain(&rates.delivered).filter(|(_, rate)| **rate > 0.0);
        let mut ids: BTreeSet<&str> = active.map(|(id, _)| id.as_str()).collect();
        ids.extend(waits.keys().copied().chain(down.iter().map(PartyId::as_str)));
        let mut partners: Vec<Partner> = ids
            .into_iter()
            .map(|id| {
                let party = PartyId::new(id);
                let of = |rates: &BTreeMap<String, f64>| rate(t, rates.get(id).copied().unwrap_or_default());
                let since = self.pulse.down_since(&party).map_or_else(String::new, |since| age(t, since, now));
                Partner {
                    name: party_name(&pipeline.directory, &party),
                    received: of(&rates.received),
                    delivered: of(&rates.delivered),
                    waiting: waits.get(id).map_or(0, |(count, _)| *count),
                    oldest: waits.get(id).map_or_else(String::new, |(_, oldest)| age(t, *oldest, now)),
                    down: down.contains(&party).then_some(since),
                    href: format!("/console/wachtrij?ontvanger={}", in_query(id)),
                    id: id.to_owned(),
                }
            })
            .collect();
        partners.sort_by_key(|partner| (partner.down.is_none(), partner.waiting == 0));
        partners
    }

    fn flows(&self, t: Text) -> Vec<Flow> {
        let (rates, pipeline) = (self.pulse.rates(Instant::now()), self.house.pipeline());
        let flows = rates.flows.into_iter().filter(|(_, flow)| flow.delivered > 0.0 || flow.stopped > 0.0);
        let title =
            |kind: &str| pipeline.catalogue.get(kind).map_or_else(|| kind.to_owned(), |known| known.title.clone());
        flows
            .map(|(kind, flow)| Flow {
                title: title(&kind),
                delivered: rate(t, flow.delivered),
                stopped: rate(t, flow.stopped),
                seconds: flow.seconds.map_or_else(|| "-".to_owned(), |seconds| in_seconds(t, seconds)),
                kind,
            })
            .collect()
    }
}

fn in_seconds(t: Text, seconds: f64) -> String {
    let text = if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") };
    if t.lang() == "nl" { text.replace('.', ",") } else { text }
}

fn all_waiting(t: Text, waiting: &[WaitingAt], now: Timestamp) -> Vec<Waiting> {
    let waits = |outcome: &Outcome| {
        let of = || waiting.iter().filter(|waiting| waiting.outcome == *outcome);
        Waiting {
            outcome: t.outcome(*outcome),
            href: format!("/console/wachtrij?toestand={}", outcome.as_str()),
            count: of().map(|waiting| waiting.count).sum(),
            oldest: of().map(|waiting| waiting.oldest).min().map_or_else(|| "-".to_owned(), |at| age(t, at, now)),
        }
    };
    Outcome::ALL.iter().filter(|outcome| !outcome.is_final()).map(waits).collect()
}
