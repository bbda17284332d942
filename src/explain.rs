//! Explain: what would happen to one message and why, as a public JSON contract and for a person to read.
//! The same core that `run` uses; no broker, no ledger.

use crate::core::{Fate, Pipeline, Plan};
use crate::envelope::{RawMessage, Rejection};
use crate::facts::Facts;
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::receipt::{Decision, MessageRef, Shared};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

#[derive(Debug, Serialize)]
pub struct Explanation {
    pub message: MessageRef,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    pub deliveries: Vec<Delivery>,
}

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
    let valid = match pipeline.open(raw).and_then(|envelope| pipeline.validate(envelope, now)) {
        Ok(valid) => valid,
        Err(rejection) => return rejected(&rejection),
    };
    let decided = pipeline.decide(valid, facts, now);
    let data = facts.and_then(|facts| facts.gegevens.as_ref());
    explained(pipeline.complete(&decided, data))
}

pub fn rejection_reason(rejection: &Rejection) -> Reason {
    let first = rejection.problems.first().map_or(crate::code::Code::NotACloudEvent, |p| p.code);
    Reason::new(first, first.hint()).with_problems(rejection.problems.clone())
}

fn rejected(rejection: &Rejection) -> Explanation {
    Explanation {
        message: rejection.identity().message,
        outcome: Outcome::Rejected,
        reason: Some(rejection_reason(rejection)),
        deliveries: Vec::new(),
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
    Explanation { message: plan.identity.message, outcome: overall, reason: None, deliveries }
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
