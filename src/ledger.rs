//! Ledger: what was accepted, what must go out, what became of it, and the receipts. Everything that must
//! survive a crash goes through here, in batches that share one commit. No message content is interpreted here.

use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::receipt::{Decision, MessageRef, SignedReceipt};
use jiff::Timestamp;
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
    pub received_at: Timestamp,
    /// W3C `traceparent` of the gateway's own span for this message.
    pub traceparent: Option<String>,
    pub order: Option<Order>,
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
    Waiting {
        outcome: Outcome,
        reason: Reason,
        again_at: Option<Timestamp>,
    },
    /// `Refused`, `Rejected`, `Superseded` or `Expired`, with its receipt.
    Final {
        outcome: Outcome,
        reason: Reason,
        receipt: SignedReceipt,
    },
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
