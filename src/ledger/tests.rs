use super::*;
use crate::code::Code;
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::receipt::MessageRef;
use crate::record::{Pseudonym, Subject};
use store::{Found, query};

mod files;
mod houses;
mod nodes;
use houses::{AtFile, House, OnServer, blocked};

/// The same tests twice: there is one ledger, whatever it lies in.
#[allow(clippy::duplicate_mod, reason = "that is what it is for")]
#[path = "tests"]
mod at_a_file {
    use super::*;
    type House = super::House<AtFile>;
    type Ground = houses::Ground<AtFile>;
    mod accepting;
    mod at_rest;
    mod clock;
    mod console;
    mod crashes;
    mod disclosed;
    mod jobs;
    mod log;
    mod operator;
    mod processing;
    mod purge;
    mod records;
    mod sending;
    mod series;
    mod waiting;
}
#[allow(clippy::duplicate_mod, reason = "that is what it is for")]
#[path = "tests"]
mod on_a_server {
    use super::*;
    type House = super::House<OnServer>;
    type Ground = houses::Ground<OnServer>;
    mod accepting;
    mod at_rest;
    mod clock;
    mod console;
    mod crashes;
    mod disclosed;
    mod jobs;
    mod log;
    mod operator;
    mod processing;
    mod purge;
    mod records;
    mod sending;
    mod series;
    mod waiting;
}

async fn open(place: impl Into<Place>) -> Ledger {
    open_with(place, &[KEY]).await
}

/// Keys of the test's own, the current one first.
async fn open_with(place: impl Into<Place>, keys: &[&str]) -> Ledger {
    Ledger::open(place, NonZeroUsize::new(64).unwrap(), keys_of(keys)).await.unwrap()
}

fn keys_of(keys: &[&str]) -> Keys {
    Keys::parse(&keys.join("\n")).unwrap()
}

const KEY: &str = "a2V0ZW5wb29ydCBzbGV1dGVsIHZvb3IgZGUgdG9ldHM=";
const NEWER_KEY: &str = "a2V0ZW5wb29ydCBzbGV1dGVsIG5hIGRlIHdpc3NlbHM=";

/// Seconds after the beginning of a day.
fn at(seconds: i64) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

const LEASE: SignedDuration = SignedDuration::from_mins(1);

/// Late enough that whatever was ever leased is due.
fn later() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24)
}

fn message(id: &str, deliveries: Vec<NewDelivery>) -> NewMessage {
    NewMessage {
        source: "urn:nld:oin:00000099000000001000:systeem:tulp".to_owned(),
        id: id.to_owned(),
        kind: Some("nl.ketenpoort.test.v1".to_owned()),
        sender: PartyId::new("dji"),
        digest: [1; 32],
        conflict: false,
        received_at: at(0),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        caller: None,
        order: None,
        subject: Subject::default(),
        record: None,
        mark: None,
        message_ref: MessageRef {
            r#type: None,
            source: None,
            id: Some(id.to_owned()),
            digest: "sha-256=:AA==:".to_owned(),
            signature: None,
        },
        policy_version: "p1".to_owned(),
        mapping_version: "m1".to_owned(),
        raw: Personal::new(b"RAUW persoonsgegeven".to_vec()),
        deliveries,
    }
}

fn person(bsn: Option<u8>, skn: Option<u8>) -> Subject {
    let pseudonym = |number: u8| Pseudonym([number; 16]);
    Subject { bsn: bsn.map(pseudonym), skn: skn.map(pseudonym) }
}

fn in_series(id: &str, series: u8, sequence: i64, deliveries: Vec<NewDelivery>) -> NewMessage {
    NewMessage { order: Some(Order { key: [series; 32], sequence }), ..message(id, deliveries) }
}

fn delivery(state: State) -> NewDelivery {
    NewDelivery {
        idempotency_key: Uuid::new_v4(),
        recipient: Some((PartyId::new("gemeente:0363"), Role::new("gemeente-college"))),
        decision: decision("toen"),
        volatile: false,
        state,
    }
}

fn volatile(state: State) -> NewDelivery {
    NewDelivery { volatile: true, ..delivery(state) }
}

fn ready() -> NewDelivery {
    delivery(State::Ready(outgoing()))
}

fn waiting(outcome: Outcome, again_at: Option<Timestamp>) -> NewDelivery {
    delivery(State::Waiting { outcome, reason: reason(Code::FactsUnavailable), again_at })
}

fn refused() -> NewDelivery {
    delivery(State::Final { outcome: Outcome::Refused, reason: reason(Code::NoGround), receipt: receipt() })
}

fn outgoing() -> Outgoing {
    Outgoing {
        kind: "nl.ketenpoort.test.v1".to_owned(),
        content_type: "application/json".to_owned(),
        body: Personal::new(b"UITGAAND persoonsgegeven".to_vec()),
        digest: "sha-256=:BB==:".to_owned(),
    }
}

fn decision(note: &str) -> Decision {
    Decision { notes: vec![note.to_owned()], ..Decision::default() }
}

fn reason(code: Code) -> Reason {
    Reason::new(code, code.hint())
}

/// Every one is another one.
fn receipt() -> SignedReceipt {
    let id = Uuid::new_v4();
    SignedReceipt::from_ledger(id, format!("kop.{id}.handtekening"))
}

/// Accepts what must be new; gives the keys of its deliveries.
async fn accept(ledger: &Ledger, message: NewMessage) -> Vec<DeliveryKey> {
    match ledger.accept(message).await.unwrap() {
        Accepted::New { deliveries, .. } => deliveries,
        other => panic!("not new: {other:?}"),
    }
}

async fn accept_one(ledger: &Ledger, message: NewMessage) -> DeliveryKey {
    accept(ledger, message).await[0]
}

async fn outcome(ledger: &Ledger, key: DeliveryKey) -> Outcome {
    ledger.delivery(key).await.unwrap().outcome
}

async fn keys_due(ledger: &Ledger, now: Timestamp) -> Vec<DeliveryKey> {
    ledger.claim_due(now, 100, LEASE).await.unwrap().iter().map(|due| due.delivery).collect()
}

async fn owing(ledger: &Ledger) -> Vec<DeliveryKey> {
    ledger.unreceipted(100).await.unwrap().iter().map(|due| due.delivery).collect()
}

/// What the tables hold, in spite of what the ledger's face shows.
async fn count(ledger: &Ledger, text: &'static str) -> i64 {
    query(text).fetch_one(&mut ledger.readers.acquire().await.unwrap()).await.unwrap()
}

async fn found(ledger: &Ledger, text: &'static str) -> Vec<Found> {
    query(text).fetch_all(&mut ledger.readers.acquire().await.unwrap()).await.unwrap()
}

/// One whose log is emptied at once.
async fn tidy(place: &Place) -> Ledger {
    let store = Store::at(place.clone());
    Ledger::open_store(store, NonZeroUsize::MIN, keys_of(&[KEY]), Duration::ZERO).await.unwrap()
}

/// The beginning of every sealed value.
async fn stored_payload(ledger: &Ledger) -> Vec<Vec<u8>> {
    let sealed = "SELECT substr(content, 1, 24) FROM raw UNION ALL SELECT substr(body, 1, 24) FROM pending WHERE body IS NOT NULL";
    found(ledger, sealed).await.iter().map(|row| row.get(0).unwrap()).collect()
}
