//! What the ledger is told and what it tells. No IO and no rules.

use super::node::Hold;
use super::records::Mark;
use super::seal::SealError;
use crate::code::Code;
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::receipt::{Decision, MessageRef, SignedReceipt};
use crate::record::{Record, Subject};
use jiff::Timestamp;
use std::fmt;
use uuid::Uuid;

/// A message taken in, as the ledger records it.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Deduplication key: `source` and `id` of the event, or queue and digest where it has none.
    pub source: String,
    pub id: String,
    pub kind: Option<String>,
    pub sender: PartyId,
    pub digest: [u8; 32],
    /// Known id, other content: recorded as a message of its own, rejected.
    pub conflict: bool,
    pub received_at: Timestamp,
    /// W3C `traceparent` of the gateway's own span for this message.
    pub traceparent: Option<String>,
    /// The sender's own span, out of which the message came.
    pub caller: Option<[u8; 8]>,
    pub order: Option<Order>,
    pub subject: Subject,
    /// Kept as a fact in the commit that accepts the message.
    pub record: Option<Record>,
    /// How far the records had come when its deliveries were decided on.
    pub mark: Option<Mark>,
    /// What the receipt will call the message.
    pub message_ref: MessageRef,
    pub policy_version: String,
    pub mapping_version: String,
    /// [`crate::envelope::RawMessage::to_stored`]; kept only while a delivery of it is not final.
    pub raw: Personal<Vec<u8>>,
    pub deliveries: Vec<NewDelivery>,
}

/// Position in a series in which a newer message supersedes an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Keyed digest of what the series is about (person and detention).
    pub key: [u8; 32],
    pub sequence: i64,
}

/// What one recipient gets, or why it does not.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Same on every attempt; derived from message and recipient.
    pub idempotency_key: Uuid,
    /// Absent for a rejected message, which has no recipient.
    pub recipient: Option<(PartyId, Role)>,
    pub decision: Decision,
    /// Its decision rests on facts that can change: decide anew before each later attempt.
    pub volatile: bool,
    pub state: State,
}

#[derive(Clone, Debug)]
pub enum State {
    /// To be sent now.
    Ready(Outgoing),
    /// `Held`, `AwaitingAssessment`, `Retrying` (facts are missing) or `Parked`; looked at again at `again_at`
    /// by running the stored message anew, or by a person.
    Waiting { outcome: Outcome, reason: Reason, again_at: Option<Timestamp> },
    /// `Refused`, `Rejected`, `Superseded` or `Expired`, or a record that was `Delivered` to us; with its receipt.
    Final { outcome: Outcome, reason: Reason, receipt: SignedReceipt },
}

/// The minimised, translated bytes for one recipient.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub kind: String,
    pub content_type: String,
    pub body: Personal<Vec<u8>>,
    /// `sha-256=:base64:` of the body.
    pub digest: String,
}

impl Outgoing {
    /// To the recipient's key: nobody else can tell what is in it, so the message that it was made from is kept.
    pub fn is_encrypted(&self) -> bool {
        self.content_type == crate::jose::CONTENT_TYPE
    }
}

/// A message's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageKey(pub i64);

/// A delivery's row; what an operator calls it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryKey(pub i64);

impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a receipt and a later attempt need to know of a message.
#[derive(Clone, Debug)]
pub struct Head {
    pub key: MessageKey,
    pub source: String,
    pub id: String,
    pub kind: Option<String>,
    pub sender: PartyId,
    pub received_at: Timestamp,
    pub traceparent: Option<String>,
    pub order: Option<Order>,
    pub message_ref: MessageRef,
    pub policy_version: String,
    pub mapping_version: String,
}

#[derive(Clone, Debug)]
pub enum Accepted {
    /// Recorded; its ready deliveries are the caller's. `deliveries` in the order of the message's own. Without a hold
    /// they are not: another gateway has deliveries of the series in hand, and they are taken up after those.
    New { message: MessageKey, deliveries: Vec<DeliveryKey>, hold: Option<Hold>, receipts: Vec<DueReceipt> },
    /// Seen before with the same content: the receipts that there are, to be sent again byte for byte.
    Duplicate { message: MessageKey, receipts: Vec<DueReceipt> },
    /// Recorded, but a newer one of its series came first: every delivery is superseded and owes a receipt.
    Superseded { message: MessageKey },
    /// The same source and id with other content: nothing was recorded.
    Conflict,
}

/// A signed receipt on its way to the sender.
#[derive(Clone, Debug)]
pub struct DueReceipt {
    /// The delivery whose receipt it is.
    pub key: DeliveryKey,
    pub receipt_id: Uuid,
    pub to: PartyId,
    pub jws: SignedReceipt,
    pub traceparent: Option<String>,
    pub attempts: u32,
}

/// A delivery taken up out of the ledger.
#[derive(Clone, Debug)]
pub struct Due {
    pub delivery: DeliveryKey,
    /// For [`super::Ledger::holds`], before it is sent.
    pub hold: Hold,
    pub message: Head,
    pub idempotency_key: Uuid,
    pub recipient: Option<(PartyId, Role)>,
    pub decision: Decision,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub attempts: u32,
    /// It was ready to be sent once, so an attempt may have reached the recipient. Not every attempt is counted: not
    /// one that a crash cut short, nor one after which our own broker was gone.
    pub tried: bool,
    pub outgoing: Option<Outgoing>,
    /// Where it must be decided anew: the message as it came in.
    pub raw: Option<Personal<Vec<u8>>>,
    /// Why there is neither of both although it is stored: a person must bring the key.
    pub unreadable: Option<SealError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Scheduled,
    /// A newer message of the series came meanwhile: it ends here and owes a receipt.
    Superseded,
}

/// What a recipient got of a person's data, or may have got.
#[derive(Clone, Debug)]
pub struct Disclosed {
    pub delivery: DeliveryKey,
    pub kind: Option<String>,
    pub sender: PartyId,
    pub recipient: PartyId,
    pub role: Role,
    /// When it went out; where that is not certain, when it was last known to be trying.
    pub at: Timestamp,
    /// The recipient said so. Otherwise an attempt of which nothing was heard may have reached it.
    pub certain: bool,
    /// Found under a number that was not asked for, but stands in a message beside the one that was.
    pub linked: bool,
    pub decision: Decision,
    pub receipt_id: Option<Uuid>,
}

/// How a person saw a delivery when he decided about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub outcome: Outcome,
    /// When it had last changed.
    pub changed_at: Timestamp,
}

impl Seen {
    /// What is parked stays as it is until somebody does something with it. Whatever else waits is looked at again by
    /// itself now and then, which makes it no other thing to decide about.
    pub(super) fn is_still(&self, outcome: Outcome, changed_at: i64) -> bool {
        self.outcome == outcome && (outcome != Outcome::Parked || self.changed_at.as_microsecond() == changed_at)
    }
}

/// What waits, per outcome.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub outcome: Outcome,
    pub count: i64,
    pub oldest: Timestamp,
}

/// What waits for a recipient who takes nothing or no more now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingFor {
    pub recipient: PartyId,
    pub count: i64,
    pub oldest: Timestamp,
}

/// A delivery as an operator sees it; no payload.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Row {
    pub delivery: i64,
    pub source: String,
    pub id: String,
    pub kind: Option<String>,
    pub sender: PartyId,
    pub recipient: Option<PartyId>,
    pub role: Option<Role>,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub attempts: u32,
    pub received_at: Timestamp,
    pub changed_at: Timestamp,
    pub again_at: Option<Timestamp>,
    pub trace_id: Option<String>,
    pub decision: Decision,
    pub receipt_id: Option<Uuid>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing may go on until it can be written again.
    #[error("the ledger cannot be written")]
    Unavailable,
    #[error("there is no such row, or it is not in a state for this")]
    NoSuchRow,
    #[error("{}: {}", Code::NotForgotten.title(), Code::NotForgotten.hint())]
    Kept,
    #[error("the ledger is not one of ours, or of a newer version")]
    Unusable,
    #[error("{code} {}: {}", Code::LedgerInUse.title(), Code::LedgerInUse.hint(), code = Code::LedgerInUse)]
    InUse,
}
