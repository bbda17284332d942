//! Explain: what would happen to one message and why, as a public JSON contract and for a person to read.
//! The same core that `run` uses; no broker, no ledger.

use crate::code::Code;
use crate::core::{Fate, Pipeline, Plan};
use crate::envelope::{RawMessage, Rejection};
use crate::facts::{Facts, Person};
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::receipt::{Decision, MessageRef, Shared};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Debug, Serialize)]
pub struct Explanation {
    pub message: MessageRef,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    pub deliveries: Vec<Delivery>,
    /// Of a list: what becomes of its items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Items>,
}

#[derive(Debug, Default, Serialize)]
pub struct Items {
    pub count: usize,
    /// How many end how.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// The first of them.
    pub shown: Vec<Explanation>,
}

/// A list holds thousands; so many of its items are explained.
const SHOWN: usize = 20;

#[derive(Debug, Serialize)]
pub struct Delivery {
    pub recipient: PartyId,
    pub role: Role,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// When it is decided anew, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(flatten)]
    pub decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<&'static str>,
    /// Personal data: shown to whoever runs `explain` on a message that he already has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// Walks the corridor. `facts: None` means that they cannot be had.
pub fn explain(pipeline: &Pipeline, raw: &RawMessage, facts: Option<&Facts>, now: Timestamp) -> Explanation {
    explain_by(pipeline, raw, &|_| facts.cloned(), now)
}

/// The same, where each item of a list is about somebody else.
pub fn explain_by(
    pipeline: &Pipeline,
    raw: &RawMessage,
    facts: &dyn Fn(&Person) -> Option<Facts>,
    now: Timestamp,
) -> Explanation {
    let valid = match pipeline.open(raw, now).and_then(|envelope| pipeline.validate(envelope, now)) {
        Ok(valid) => valid,
        Err(rejection) => return rejected(&rejection),
    };
    if valid.kind().split.is_some() {
        let message = valid.envelope().identity().message.clone();
        let items = pipeline.items(valid, raw, now).map(|item| explain_by(pipeline, &item, facts, now));
        return list(message, items);
    }
    let facts = facts(&valid.person());
    let decided = pipeline.decide(valid, facts.as_ref(), now);
    let data = facts.as_ref().and_then(|facts| facts.gegevens.as_ref());
    explained(pipeline.complete(&decided, data))
}

fn list(message: MessageRef, items: impl Iterator<Item = Explanation>) -> Explanation {
    let mut all = Items::default();
    for item in items {
        all.count += 1;
        *all.outcomes.entry(item.outcome.as_str()).or_default() += 1;
        if all.shown.len() < SHOWN {
            all.shown.push(item);
        }
    }
    let reason = Some(Reason::new(Code::Split, Code::Split.hint()));
    Explanation { message, outcome: Outcome::Delivered, reason, deliveries: Vec::new(), items: Some(all) }
}

pub fn rejection_reason(rejection: &Rejection) -> Reason {
    let first = rejection.problems.first().map_or(Code::NotACloudEvent, |p| p.code);
    Reason::new(first, first.hint()).with_problems(rejection.problems.clone())
}

fn rejected(rejection: &Rejection) -> Explanation {
    Explanation {
        message: rejection.identity().message,
        outcome: Outcome::Rejected,
        reason: Some(rejection_reason(rejection)),
        deliveries: Vec::new(),
        items: None,
    }
}

fn explained(plan: Plan) -> Explanation {
    let deliveries: Vec<Delivery> = plan
        .deliveries
        .into_iter()
        .map(|planned| {
            let (outcome, reason, until, payload) = match planned.fate {
                Fate::Deliver(outgoing, _) => {
                    let body = outgoing.body.into_personal_data();
                    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
                    let payload = serde_json::from_slice(&body).unwrap_or_else(|_| text());
                    (Outcome::Delivered, None, None, Some(payload))
                }
                Fate::Wait(outcome, reason, until) => (outcome, Some(reason), until, None),
                Fate::End(outcome, reason) => (outcome, Some(reason), None, None),
            };
            Delivery {
                recipient: planned.recipient,
                role: planned.role,
                outcome,
                reason,
                until,
                decision: planned.decision,
                format: planned.format,
                payload,
            }
        })
        .collect();
    let overall = Outcome::most_pressing(deliveries.iter().map(|d| d.outcome)).unwrap_or(Outcome::Refused);
    Explanation { message: plan.identity.message, outcome: overall, reason: None, deliveries, items: None }
}

impl Explanation {
    /// As a person would want to read it.
    pub fn for_a_person(&self) -> String {
        let mut out = String::new();
        let kind = self.message.r#type.as_deref().unwrap_or("(type unknown)");
        let id = self.message.id.as_deref().unwrap_or("(id unknown)");
        let _ = writeln!(out, "{kind}\n  id {id}\n  => {}", self.outcome.as_str());
        if let Some(reason) = &self.reason {
            reason_lines(&mut out, reason, "     ");
        }
        self.items.iter().for_each(|items| items.lines(&mut out));
        for delivery in &self.deliveries {
            let (recipient, role) = (&delivery.recipient, &delivery.role);
            let _ = writeln!(out, "\n  {recipient} as {role}: {}", delivery.outcome.as_str());
            if let Some(reason) = &delivery.reason {
                reason_lines(&mut out, reason, "     ");
            }
            if let Some(until) = delivery.until {
                let _ = writeln!(out, "     until {}", dutch_time(until));
            }
            decision_lines(&mut out, &delivery.decision, "     ");
            if let (Some(format), Some(payload)) = (delivery.format, &delivery.payload) {
                let text = match payload {
                    Value::String(text) => text.clone(),
                    other => serde_json::to_string_pretty(other).unwrap_or_default(),
                };
                let _ = writeln!(out, "     as {format}:");
                text.lines().for_each(|line| {
                    let _ = writeln!(out, "       {line}");
                });
            }
        }
        out
    }
}

impl Items {
    /// An item in a line or two: what it would get in full, its JSON tells.
    fn lines(&self, out: &mut String) {
        let counts: Vec<String> = self.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let _ = writeln!(out, "\n  {} items: {}", self.count, counts.join(", "));
        for item in &self.shown {
            let _ = writeln!(out, "  {:<30} {}", item.message.id.as_deref().unwrap_or_default(), item.outcome.as_str());
            let reasons =
                item.reason.iter().chain(item.deliveries.iter().filter_map(|delivery| delivery.reason.as_ref()));
            reasons.for_each(|reason| reason_lines(out, reason, "     "));
            item.deliveries.iter().for_each(|delivery| decision_lines(out, &delivery.decision, "     "));
        }
        if self.count > self.shown.len() {
            let _ = writeln!(out, "  and {} more", self.count - self.shown.len());
        }
    }
}

/// To the minute, where the law counts its days.
pub(crate) fn dutch_time(at: Timestamp) -> String {
    let zoned = at.in_tz(crate::facts::TIME_ZONE);
    zoned.map_or_else(|_| at.to_string(), |zoned| zoned.strftime("%Y-%m-%d %H:%M %Z").to_string())
}

pub(crate) fn decision_lines(out: &mut String, decision: &Decision, indent: &str) {
    for Shared { category, policy, legal_basis, status } in &decision.shared {
        let _ = writeln!(out, "{indent}+ {:<18} {policy} ({legal_basis}; {status})", category.as_str());
    }
    for withheld in &decision.withheld {
        let _ = writeln!(out, "{indent}- {:<18} {}", withheld.category.as_str(), withheld.reason);
    }
    for note in &decision.notes {
        let _ = writeln!(out, "{indent}! {note}");
    }
}

pub(crate) fn reason_lines(out: &mut String, reason: &Reason, indent: &str) {
    let _ = writeln!(out, "{indent}{} {}: {}", reason.code, reason.title, reason.detail);
    for problem in &reason.problems {
        let _ = writeln!(out, "{indent}  {} {}: {}", problem.code, problem.place, problem.hint);
    }
}

#[cfg(test)]
mod tests;
