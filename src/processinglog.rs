//! The two logs of the standards as views over the ledger: records of processings (Logboek Dataverwerkingen) and of
//! decisions (Authorization Decision Log). No IO, nothing written, and nobody in them but by pseudonym.

pub mod answer;
pub mod question;

use crate::code::Code;
use crate::core::Pipeline;
use crate::ledger::{Processed, ProcessedDelivery};
use crate::outcome::{Outcome, Reason};
use crate::party::Oin;
use crate::record::{self, Pseudonym, Subject};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The entry in the register for what could not be read as any message of ours.
const UNREADABLE: &str = "onleesbaar-bericht";
/// A register of its own for numbers that are no BSN.
const SKN: &str = "urn:ketenpoort:persoonsnummer:skn";

const ACTIVITY: &str = "dpl.core.processing_activity_id";
const SUBJECT: &str = "dpl.core.data_subject_id";
const SUBJECT_TYPE: &str = "dpl.core.data_subject_id_type";
const PROCESSOR: &str = "dpl.core.foreign_operation.processor";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Status {
    /// It was not carried out, as it should not be or not yet.
    Unset,
    Ok,
    /// A failure of ours; never that something was refused.
    Error,
}

/// What was done with a message, for the one person whom it is about. As the read interface has it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Processing {
    pub trace_id: String,
    pub span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    pub status: Status,
    pub name: String,
    pub start_time: i64,
    pub end_time: i64,
    pub resource: Value,
    pub attributes: Map<String, Value>,
}

/// What was decided for one recipient.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    pub trace_id: String,
    pub span_id: String,
    /// The processing that asked for it.
    pub parent_span_id: String,
    pub event_name: &'static str,
    pub timestamp: i64,
    pub status: Status,
    pub resource: Value,
    /// References to what can be had elsewhere.
    pub attributes: Map<String, Value>,
    pub body: Map<String, Value>,
}

/// What both logs are told with.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub pipeline: &'a Pipeline,
    /// The register of processings; an entry is this and the type of a message.
    pub register: &'a str,
}

impl View<'_> {
    pub fn processing(&self, message: &Processed) -> Processing {
        let known = message.kind.as_deref().and_then(|kind| self.pipeline.catalogue.get(kind));
        let ends = message.deliveries.iter().map(|delivery| delivery.finished_at.unwrap_or(delivery.changed_at));
        let mut attributes = Map::from_iter([(ACTIVITY.to_owned(), json!(self.activity(message)))]);
        attributes.extend(about(message.subject));
        // Elsewhere it may be anything that somebody wrote.
        if let Some(source) = message.source.as_ref().filter(|source| Oin::of_source(source).is_some()) {
            attributes.insert(PROCESSOR.to_owned(), json!(source));
        }
        Processing {
            trace_id: self.trace_id(message),
            span_id: self.span_id(message),
            parent_span_id: message.caller.map(|span| hex(&span)),
            status: processing_status(&message.deliveries),
            name: known.map_or_else(|| "Onleesbaar bericht".to_owned(), |kind| kind.title.clone()),
            start_time: message.received_at.as_millisecond(),
            end_time: ends.max().unwrap_or(message.received_at).max(message.received_at).as_millisecond(),
            resource: producer(),
            attributes,
        }
    }

    pub fn decisions(&self, message: &Processed) -> Vec<Decision> {
        message.deliveries.iter().filter_map(|delivery| self.decision(message, delivery)).collect()
    }

    /// Nothing where no policy was asked.
    fn decision(&self, message: &Processed, delivery: &ProcessedDelivery) -> Option<Decision> {
        let (party, role) = delivery.recipient.as_ref()?;
        let code = delivery.reason.as_ref().map(|reason| reason.code);
        let decision = &delivery.decision;
        let undecided = decision.shared.is_empty() && decision.withheld.is_empty() && code != Some(Code::PolicyError);
        if undecided || *party == record::keeper().0 {
            return None;
        }
        let shared = decision.shared.iter().map(|shared| shared.category);
        let categories: BTreeSet<_> =
            shared.chain(decision.withheld.iter().map(|withheld| withheld.category)).collect();
        let at = delivery.finished_at.unwrap_or(delivery.changed_at);
        let request = json!({
            "subject": { "type": "partij", "id": party, "properties": { "rol": role } },
            "action": { "name": "verstrekken", "properties": { "processing_activity_id": self.activity(message) } },
            "resource": { "type": "categorieen", "id": self.type_of(message), "properties": { "categorieen": categories } },
            "context": { "afzender": message.sender },
        });
        let mut context = json!({
            "uitkomst": delivery.outcome, "verstrekt": decision.shared, "niet_verstrekt": decision.withheld,
        });
        if let (Some(context), Some(Reason { code, title, .. })) = (context.as_object_mut(), &delivery.reason) {
            context.insert("reden".to_owned(), json!({ "code": code, "titel": title }));
        }
        let response = json!({ "decision": !decision.shared.is_empty(), "context": context });
        let mut attributes: Map<String, Value> = about(message.subject).collect();
        for (key, reference) in [
            ("adl.core.policies", message.policy_version.clone()),
            // IRIS is the source: what it knew of the person at that time. Nothing of it is kept here.
            ("adl.core.information", at.to_string()),
            ("adl.core.configuration", message.mapping_version.clone()),
        ] {
            attributes.insert(key.to_owned(), json!(reference));
        }
        Some(Decision {
            trace_id: self.trace_id(message),
            span_id: self.id("besluit", delivery.key, message.received_at, 8),
            parent_span_id: self.span_id(message),
            event_name: "adl.access_evaluation",
            timestamp: at.as_millisecond(),
            status: if code == Some(Code::PolicyError) { Status::Error } else { Status::Ok },
            resource: producer(),
            attributes,
            body: Map::from_iter([
                ("adl.core.request".to_owned(), request),
                ("adl.core.response".to_owned(), response),
            ]),
        })
    }

    fn type_of<'m>(&self, message: &'m Processed) -> &'m str {
        message.kind.as_deref().filter(|kind| self.pipeline.catalogue.get(kind).is_some()).unwrap_or(UNREADABLE)
    }

    fn activity(&self, message: &Processed) -> String {
        format!("{}{}", self.register, self.type_of(message))
    }

    fn trace_id(&self, message: &Processed) -> String {
        let drawn = || self.id("spoor", message.key, message.received_at, 16);
        message.trace_id.clone().unwrap_or_else(drawn)
    }

    fn span_id(&self, message: &Processed) -> String {
        self.id("verwerking", message.key, message.received_at, 8)
    }

    fn id(&self, what: &str, row: i64, at: Timestamp, length: usize) -> String {
        hex(&self.pipeline.record_id(what, row, at)[..length])
    }
}

/// A failure of ours weighs most; what still waits is not done.
fn processing_status(deliveries: &[ProcessedDelivery]) -> Status {
    let any = |is: fn(&ProcessedDelivery) -> bool| deliveries.iter().any(is);
    let failed = |delivery: &ProcessedDelivery| {
        let code = delivery.reason.as_ref().map(|reason| reason.code);
        delivery.outcome == Outcome::Parked || code == Some(Code::PolicyError)
    };
    if any(failed) {
        Status::Error
    } else if any(|delivery| delivery.outcome == Outcome::Delivered) && !any(|delivery| !delivery.outcome.is_final()) {
        Status::Ok
    } else {
        Status::Unset
    }
}

/// One person has one pseudonym in a record, where a message names two numbers of his.
fn about(subject: Subject) -> impl Iterator<Item = (String, Value)> {
    let known = subject.bsn.map(|bsn| (bsn, "BSN")).or(subject.skn.map(|skn| (skn, SKN)));
    let pair = known.map(|(Pseudonym(bytes), kind)| {
        [(SUBJECT.to_owned(), json!(hex(&bytes))), (SUBJECT_TYPE.to_owned(), json!(kind))]
    });
    pair.into_iter().flatten()
}

fn producer() -> Value {
    json!({ "attributes": { "service.name": "ketenpoort", "service.version": env!("CARGO_PKG_VERSION") } })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
