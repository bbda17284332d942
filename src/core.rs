//! The core: one way through the rooms that need no IO. `run`, `explain`, `check`, tests and benchmarks all
//! walk it. No tokio, no lapin, no SQL in here: bytes, facts and a clock in, a plan out.

mod fit;
mod split;

use crate::catalogue::{self, Catalogue, Finding, Sources};
use crate::category::CategorySet;
use crate::code::Code;
use crate::directory::Directory;
use crate::envelope::{self, Envelope, Identity, RawMessage, Rejection, Sizes};
use crate::facts::{CaseData, Facts, Person};
use crate::ledger::{Order, Outgoing};
use crate::minimisation;
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::policy::{self, Address, Decided, Decision, Engine, Verdict};
use crate::receipt;
use crate::record::{self, Pseudonym, Record, Subject};
use crate::telemetry::stage_span;
use crate::validation::{self, Limits, Valid};
use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;

pub use split::Items;

/// Everything that decides about a message, compiled and checked as a whole, never changed afterwards.
pub struct Pipeline {
    pub catalogue: Catalogue,
    pub engine: Engine,
    pub directory: Arc<Directory>,
    pub limits: Limits,
    pseudonym_key: hmac::Key,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("policy_version", &self.engine.version)
            .field("mapping_version", &self.mapping_version())
            .finish_non_exhaustive()
    }
}

/// What will happen to a message: one planned delivery per recipient.
#[derive(Debug)]
pub struct Plan {
    pub kind: String,
    pub identity: Identity,
    pub sender: PartyId,
    pub order: Option<Order>,
    pub subject: Subject,
    /// Kept as a fact in the commit that accepts the message.
    pub record: Option<Record>,
    pub deliveries: Vec<Planned>,
}

#[derive(Debug)]
pub struct Planned {
    pub recipient: PartyId,
    pub role: Role,
    pub idempotency_key: Uuid,
    pub decision: receipt::Decision,
    pub volatile: bool,
    pub format: Option<&'static str>,
    pub fate: Fate,
}

#[derive(Debug)]
pub enum Fate {
    Deliver(Outgoing, Address),
    /// Waits, visibly, to be decided anew; at this moment, where it is known.
    Wait(Outcome, Reason, Option<Timestamp>),
    End(Outcome, Reason),
}

impl Pipeline {
    pub fn load(
        sources: &Sources,
        directory: Arc<Directory>,
        limits: Limits,
        pseudonym_key: &[u8],
    ) -> Result<Pipeline, Vec<Finding>> {
        let (catalogue, engine) = match (Catalogue::load(sources), Engine::load(sources)) {
            (Ok(catalogue), Ok(engine)) => (catalogue, engine),
            (catalogue, engine) => {
                let findings = [catalogue.err(), engine.err()];
                return Err(findings.into_iter().flatten().flatten().collect());
            }
        };
        let findings = fit::problems(&catalogue, &directory);
        if !findings.is_empty() {
            return Err(findings);
        }
        let pseudonym_key = hmac::Key::new(hmac::HMAC_SHA256, pseudonym_key);
        Ok(Pipeline { catalogue, engine, directory, limits, pseudonym_key })
    }

    /// With the rows of routes in the order that a configuration sets. Before anything was decided.
    pub fn with_routing(mut self, orders: &[catalogue::Order]) -> Result<Pipeline, Vec<Finding>> {
        self.catalogue.reorder(orders)?;
        Ok(self)
    }

    pub fn mapping_version(&self) -> String {
        format!("{}-{}", self.catalogue.version, self.directory.version())
    }

    pub fn open(&self, raw: &RawMessage, now: Timestamp) -> Result<Envelope, Box<Rejection>> {
        let is_list = |kind: &str| self.catalogue.get(kind).is_some_and(|kind| kind.split.is_some());
        let sizes = Sizes { message: self.limits.body, list: self.limits.list_body, is_list };
        envelope::open(raw, &self.directory, sizes, now)
    }

    pub fn validate(&self, envelope: Envelope, now: Timestamp) -> Result<Valid, Box<Rejection>> {
        validation::validate(envelope, &self.catalogue, &self.limits, now)
    }

    /// Does a decision about this message need what IRIS knows of the person?
    pub fn needs_facts(&self, valid: &Valid, now: Timestamp) -> bool {
        policy::needs_facts(valid, &self.directory, &self.catalogue, now)
    }

    pub fn decide(&self, valid: Valid, facts: Option<&Facts>, now: Timestamp) -> Decided {
        policy::decide(valid, facts, &self.engine, &self.directory, &self.catalogue, now)
    }

    /// Minimises and translates what was granted. `data` is the case data that a request needs; without it
    /// what was granted waits.
    pub fn complete(&self, decided: &Decided, data: Option<&CaseData>) -> Plan {
        let valid = decided.valid();
        let identity = valid.envelope().identity().clone();
        let content = self.content(decided, data);
        let today = crate::facts::dutch_day(decided.now);
        let planned = decided
            .decisions()
            .iter()
            .map(|decision| self.planned(decision, valid, content.as_ref(), &identity, today));
        let deliveries = planned.chain(valid.record.as_ref().map(|record| recorded(record, &identity))).collect();
        Plan {
            kind: valid.kind().kind.clone(),
            sender: valid.envelope().sender().clone(),
            order: self.order(valid),
            subject: self.subject(&valid.person()),
            record: valid.record.clone(),
            identity,
            deliveries,
        }
    }

    /// The person under the gateway's key: the same person is the same subject, and nobody can guess it back.
    pub fn subject(&self, person: &Person) -> Subject {
        let pseudonym = |what: &str, number: &Option<Personal<String>>| {
            let digest = self.keyed([what, number.as_ref()?.reveal_personal_data()]);
            let mut half = [0; 16];
            half.copy_from_slice(&digest[..16]);
            Some(Pseudonym(half))
        };
        Subject { bsn: pseudonym("bsn", &person.bsn), skn: pseudonym("skn", &person.skn) }
    }

    /// Of what was done, by its row: without the key it is as good as random, and it is the same each time.
    pub fn record_id(&self, what: &str, row: i64, at: Timestamp) -> [u8; 32] {
        self.keyed(["log", what, &row.to_string(), &at.as_microsecond().to_string()])
    }

    fn keyed<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
        let mut mac = hmac::Context::with_key(&self.pseudonym_key);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(mac.sign().as_ref());
        digest
    }

    /// What is there to be shared: the message itself, or the answer to a request.
    fn content<'a>(&self, decided: &'a Decided, data: Option<&CaseData>) -> Option<std::borrow::Cow<'a, Value>> {
        let valid = decided.valid();
        let own = valid.content.reveal_personal_data();
        let Some(answer) = &valid.kind().answer else {
            return Some(std::borrow::Cow::Borrowed(own));
        };
        let mut content = Map::new();
        if decided.granted().is_empty() {
            return Some(std::borrow::Cow::Owned(Value::Object(content)));
        }
        let today = crate::facts::dutch_day(decided.now);
        let mut problems = answer.carry.fill(&mut content, own, today, &mut CategorySet::default());
        if let Some(known) = &decided.known {
            problems.extend(answer.facts.fill(&mut content, &known.document(), today, &mut CategorySet::default()));
        }
        if !problems.is_empty() {
            return None;
        }
        if !decided.wanted().is_empty() {
            let data = data?.0.reveal_personal_data().clone();
            content.insert("gegevens".to_owned(), Value::Object(data));
        }
        Some(std::borrow::Cow::Owned(Value::Object(content)))
    }

    fn planned(
        &self,
        decision: &Decision,
        valid: &Valid,
        content: Option<&std::borrow::Cow<'_, Value>>,
        identity: &Identity,
        today: jiff::civil::Date,
    ) -> Planned {
        let nothing = CategorySet::EMPTY;
        let shape = &valid.kind().forwarded().shape;
        let present = match (&valid.kind().answer, content) {
            // Of a request, everything that an answer could have held is named as shared or withheld.
            (Some(_), _) | (_, None) => all_categories(shape),
            (None, Some(content)) => minimisation::present(content, shape),
        };
        let (fate, shared, format) = match (&decision.verdict, content) {
            (Verdict::Refused(reason), _) => (Fate::End(Outcome::Refused, reason.clone()), nothing, None),
            (Verdict::AwaitingAssessment(reason), _) => {
                (Fate::Wait(Outcome::AwaitingAssessment, reason.clone(), None), nothing, None)
            }
            (Verdict::Held(until), _) => {
                let reason = Reason::new(Code::Held, Code::Held.hint());
                (Fate::Wait(Outcome::Held, reason, Some(*until)), nothing, None)
            }
            (Verdict::FactsMissing, _) | (Verdict::Granted(..), None) => {
                let reason = Reason::new(Code::FactsUnavailable, Code::FactsUnavailable.hint());
                (Fate::Wait(Outcome::Retrying, reason, None), nothing, None)
            }
            (Verdict::Granted(grant, address), Some(content)) => {
                self.granted(decision, grant, address.as_ref(), valid, content, today)
            }
        };
        let has_bsn = valid.kind().answer.is_none() && valid.person().bsn.is_some();
        Planned {
            idempotency_key: derived_key(identity, Some((&decision.meant_for.0, &decision.meant_for.1))),
            recipient: decision.recipient.clone(),
            role: decision.role.clone(),
            decision: decision.record(shared, present, has_bsn),
            volatile: decision.volatile,
            format,
            fate,
        }
    }

    fn granted(
        &self,
        decision: &Decision,
        grant: &policy::Grant,
        address: Option<&Address>,
        valid: &Valid,
        content: &Value,
        today: jiff::civil::Date,
    ) -> (Fate, CategorySet, Option<&'static str>) {
        let kind = valid.kind();
        let nothing = CategorySet::EMPTY;
        let Some(mapping) = kind.mapping(&decision.role, &decision.format_name) else {
            let hint = format!("there is no mapping `{}` for this type", decision.format_name);
            let reason = Reason::new(Code::MappingFailed, hint);
            return (Fate::Wait(Outcome::Parked, reason, None), nothing, None);
        };
        let shape = &kind.forwarded().shape;
        let minimised = stage_span("minimisation").in_scope(|| minimisation::minimise(content, shape, grant));
        let sent_kind = kind.answer.as_ref().map_or(&kind.kind, |answer| &answer.kind);
        let translated = stage_span("translation").in_scope(|| mapping.translate(&minimised, sent_kind, today));
        let format = Some(mapping.format());
        match (translated, address) {
            (Err(problems), _) => {
                let reason = Reason::new(Code::MappingFailed, Code::MappingFailed.hint()).with_problems(problems);
                (Fate::Wait(Outcome::Parked, reason, None), nothing, format)
            }
            (Ok(translated), _) if translated.shared.is_empty() => {
                let reason = Reason::new(Code::NothingToShare, Code::NothingToShare.hint());
                (Fate::End(Outcome::Refused, reason), nothing, format)
            }
            (Ok(_), None) => {
                let reason = Reason::new(Code::NotAddressable, Code::NotAddressable.hint());
                (Fate::Wait(Outcome::Parked, reason, None), nothing, format)
            }
            (Ok(translated), Some(address)) => {
                (Fate::Deliver(translated.outgoing, address.clone()), translated.shared, format)
            }
        }
    }

    /// The series of this person and detention, under a key so that nobody can guess it back.
    fn order(&self, valid: &Valid) -> Option<Order> {
        let pointers = valid.kind().order.as_ref()?;
        let sequence = valid.envelope().attributes.sequence?;
        let about = pointers.iter().map(|pointer| valid.text(pointer).unwrap_or_default());
        let key = self.keyed(std::iter::once(valid.kind().kind.as_str()).chain(about));
        Some(Order { key, sequence })
    }
}

/// Its one outcome: it is with the gateway itself.
pub(crate) fn recorded(record: &Record, identity: &Identity) -> Planned {
    let (recipient, role) = record::keeper();
    let detail = format!("{}: {}", record.kind.as_str(), Code::Recorded.hint());
    Planned {
        idempotency_key: derived_key(identity, Some((&recipient, &role))),
        recipient,
        role,
        decision: receipt::Decision::default(),
        volatile: false,
        format: None,
        fate: Fate::End(Outcome::Delivered, Reason::new(Code::Recorded, detail)),
    }
}

fn all_categories(shape: &validation::schema::Shape) -> CategorySet {
    let mut all = CategorySet::EMPTY;
    shape.leaves("", &mut |_, leaf| leaf.category.into_iter().for_each(|c| all.insert(c)));
    all
}

/// The same for the same message and recipient, whenever and wherever it is made.
pub fn derived_key(identity: &Identity, recipient: Option<(&PartyId, &Role)>) -> Uuid {
    let (party, role) = recipient.map_or(("", ""), |(party, role)| (party.as_str(), role.as_str()));
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in [identity.source.as_str(), identity.id.as_str(), party, role] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.update(&identity.digest);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&context.finish().as_ref()[..16]);
    Uuid::new_v8(bytes)
}
