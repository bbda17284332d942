//! What the writer is asked to do, each with the way back. Values are put in their stored form here, by the
//! caller, so that the one writer has less to do.

use super::log::PersonKey;
use super::log::forget::Forget;
use super::log::write::Extension;
use super::purge::{Purged, Step};
use super::records::Mark;
use super::stored::json;
use super::work::Action;
use super::{Accepted, DeliveryKey, Due, DueReceipt, Error, NewMessage, Outgoing, Retry, Seen, State, jobs};
use crate::outcome::Outcome;
use crate::party::{PartyId, Role};
use crate::receipt::SignedReceipt;
use tokio::sync::oneshot;

/// Never answered means [`Error::Unavailable`]: the batch was not committed.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

pub(super) enum Command {
    Accept(Box<Accept>, Reply<Accepted>),
    Settle { delivery: DeliveryKey, settlement: Settlement, at: i64, reply: Reply<DueReceipt> },
    Retry { delivery: DeliveryKey, retrying: Retrying, at: i64, reply: Reply<Retry> },
    Change { delivery: DeliveryKey, change: Change, at: i64, reply: Reply<()> },
    Note { action: Action, reply: Reply<()> },
    ClaimDue { now: i64, limit: usize, lease: i64, reply: Reply<Vec<Due>> },
    ClaimWaiting { asked: ClaimWaiting, now: i64, lease: i64, reply: Reply<Vec<Due>> },
    ClaimReceipts { now: i64, limit: usize, lease: i64, reply: Reply<Vec<DueReceipt>> },
    Purge { step: Step, reply: Reply<Purged> },
    Job { step: jobs::Step, reply: Reply<jobs::Told> },
    ExtendLog(Box<Extension>, Reply<()>),
    ResealPersons(Vec<(PersonKey, Vec<u8>)>, Reply<()>),
    Forget(Forget, Reply<i64>),
    ClockWentBack { now: i64, reply: Reply<()> },
    Close(oneshot::Sender<()>),
}

impl Command {
    /// Looks for rows, instead of naming one.
    pub fn is_claim(&self) -> bool {
        let claims =
            matches!(self, Command::ClaimDue { .. } | Command::ClaimWaiting { .. } | Command::ClaimReceipts { .. });
        claims || self.is_housekeeping()
    }

    /// Done after everything else of the batch, and always writes.
    pub fn is_housekeeping(&self) -> bool {
        use Command::{ClockWentBack, ExtendLog, Forget, Job, Purge, ResealPersons};
        matches!(
            self,
            Job { .. } | Purge { .. } | ClockWentBack { .. } | ExtendLog(..) | ResealPersons(..) | Forget(..)
        )
    }
}

/// Another attempt is to be made.
pub(super) struct Retrying {
    pub attempts: u32,
    /// Once its recipient can take it, where there is no time.
    pub next: Option<i64>,
    pub reason: String,
    pub tried: bool,
}

/// The first of what waits for a recipient.
pub(super) struct ClaimWaiting {
    pub recipient: PartyId,
    pub skip: u32,
    pub limit: usize,
    /// No later than this.
    pub received_by: i64,
}

/// A change that ends with a receipt.
pub(super) enum Settlement {
    Finish { outcome: Outcome, reason: Option<String>, receipt: SignedReceipt },
    Attach(SignedReceipt),
}

pub(super) enum Change {
    Wait { outcome: Outcome, reason: String, due_at: Option<i64>, mark: Option<Mark> },
    MakeReady { outgoing: Outgoing, decision: String },
    Address(PartyId, Role),
    NotAddressed,
    ReceiptSent,
    ReceiptRetry { attempts: u32, next: i64 },
    Replay(Deed),
    Discard(Deed),
}

/// What a person does, and how he saw what he does it with.
pub(super) struct Deed {
    pub who: String,
    pub why: String,
    pub seen: Option<Seen>,
}

pub(super) struct Accept {
    pub identity: [u8; 16],
    pub message: NewMessage,
    pub message_ref: String,
    /// Of each delivery: its decision, and its reason where it has one.
    pub texts: Vec<(String, Option<String>)>,
}

impl Accept {
    pub fn new(message: NewMessage) -> Accept {
        let texts = message.deliveries.iter().map(|delivery| {
            let reason = match &delivery.state {
                State::Ready(_) => None,
                State::Waiting { reason, .. } | State::Final { reason, .. } => Some(json(reason)),
            };
            (json(&delivery.decision), reason)
        });
        let texts = texts.collect();
        Accept { identity: identity(&message), message_ref: json(&message.message_ref), texts, message }
    }
}

fn identity(message: &NewMessage) -> [u8; 16] {
    let digest = if message.conflict { message.digest.as_slice() } else { &[] };
    identity_of(&message.source, &message.id, digest)
}

/// Half a SHA-256 is enough to tell messages apart, and keeps the index small.
pub(super) fn identity_of(source: &str, id: &str, digest: &[u8]) -> [u8; 16] {
    let mut whole = Vec::with_capacity(96 + source.len() + id.len());
    for part in [source.as_bytes(), id.as_bytes(), digest] {
        whole.extend_from_slice(&(part.len() as u64).to_be_bytes());
        whole.extend_from_slice(part);
    }
    let mut identity = [0; 16];
    identity.copy_from_slice(&crate::envelope::digest(&whole)[..16]);
    identity
}
