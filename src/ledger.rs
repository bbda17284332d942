//! Ledger: what was accepted, what must go out, what became of it, and the receipts. Everything that must
//! survive a crash goes through here, in batches that share one commit. No message content is interpreted here.

mod batch;
mod command;
mod file;
mod load;
mod memory;
mod progress;
mod read;
mod rows;
mod save;
mod stored;
mod work;
mod writer;

use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::receipt::{Decision, MessageRef, SignedReceipt};
use command::{Accept, Change, Command, Reply, Settlement};
use file::File;
use jiff::{SignedDuration, Timestamp};
use memory::Memory;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use sqlx::{Sqlite, SqliteConnection};
use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;
use writer::Writer;

/// After so long without a change the write-ahead log is emptied, so that no deleted bytes stay behind in it.
const QUIET: Duration = Duration::from_secs(1);

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
    Waiting { outcome: Outcome, reason: Reason, again_at: Option<Timestamp> },
    /// `Refused`, `Rejected`, `Superseded` or `Expired`, with its receipt.
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
    /// Recorded; its ready deliveries are leased to the caller. `deliveries` in the order of the message's own.
    New { message: MessageKey, deliveries: Vec<DeliveryKey>, receipts: Vec<DueReceipt> },
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Scheduled,
    /// A newer message of the series came meanwhile: it ends here and owes a receipt.
    Superseded,
}

/// What waits, per outcome.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub outcome: Outcome,
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
    #[error("the ledger file is not one of ours, or of a newer version")]
    Unusable,
}

/// A handle on the ledger; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    commands: mpsc::Sender<Command>,
    readers: SqlitePool,
    writable: Arc<AtomicBool>,
}

impl Ledger {
    /// For the gateway, of which there is one: whoever held something before is gone, so that it is due.
    pub async fn open(path: &Path, max_batch: NonZeroUsize) -> Result<Ledger, Error> {
        Ledger::open_file(File::at(path), max_batch, QUIET).await
    }

    async fn open_file(file: File, max_batch: NonZeroUsize, quiet: Duration) -> Result<Ledger, Error> {
        file.prepare().await?;
        let mut connection = file.writer().await.map_err(unavailable)?;
        batch::release(&mut connection, micros(Timestamp::now())).await.map_err(unavailable)?;
        Ledger::start(file, connection, max_batch, quiet)
    }

    /// For an operator's command: the gateway may be running on the same file, and keeps what it holds.
    pub async fn open_beside(path: &Path) -> Result<Ledger, Error> {
        let file = File::at(path);
        file.check().await?;
        let connection = file.writer().await.map_err(unavailable)?;
        Ledger::start(file, connection, NonZeroUsize::MIN, QUIET)
    }

    fn start(
        file: File,
        connection: SqliteConnection,
        max_batch: NonZeroUsize,
        quiet: Duration,
    ) -> Result<Ledger, Error> {
        let (sender, commands) = mpsc::channel(max_batch.get().saturating_mul(2));
        let readers = file.readers();
        let memory = Memory::default();
        let writable = Arc::new(AtomicBool::new(true));
        let connection = Some(connection);
        let shared = writable.clone();
        let writer = Writer { file, connection, memory, commands, max_batch, quiet, changed: None, writable: shared };
        writer.start().map_err(|error| {
            tracing::error!(%error, "the ledger cannot be started");
            Error::Unavailable
        })?;
        Ok(Ledger { commands: sender, readers, writable })
    }

    /// As far as the last write tells.
    pub fn is_writable(&self) -> bool {
        !self.commands.is_closed() && self.writable.load(Ordering::Relaxed)
    }

    pub async fn accept(&self, message: NewMessage) -> Result<Accepted, Error> {
        let accept = Box::new(Accept::new(message));
        self.ask(|reply| Command::Accept(accept, reply)).await
    }

    /// It went out. That weighs more than a newer message that came meanwhile.
    pub async fn delivered(
        &self,
        delivery: DeliveryKey,
        receipt: SignedReceipt,
        now: Timestamp,
    ) -> Result<DueReceipt, Error> {
        let settlement = Settlement::Finish { outcome: Outcome::Delivered, reason: None, receipt };
        self.ask(|reply| Command::Settle { delivery, settlement, at: micros(now), reply }).await
    }

    /// It ends otherwise. Where it ended already without a receipt, [`Ledger::unreceipted`] has it.
    pub async fn finish(
        &self,
        delivery: DeliveryKey,
        outcome: Outcome,
        reason: Reason,
        receipt: SignedReceipt,
        now: Timestamp,
    ) -> Result<DueReceipt, Error> {
        let settlement = Settlement::Finish { outcome, reason: Some(stored::json(&reason)), receipt };
        self.ask(|reply| Command::Settle { delivery, settlement, at: micros(now), reply }).await
    }

    pub async fn retry(
        &self,
        delivery: DeliveryKey,
        attempts: u32,
        next: Timestamp,
        reason: Reason,
    ) -> Result<Retry, Error> {
        let (next, reason, at) = (micros(next), stored::json(&reason), micros(Timestamp::now()));
        self.ask(|reply| Command::Retry { delivery, attempts, next, reason, at, reply }).await
    }

    pub async fn wait(
        &self,
        delivery: DeliveryKey,
        outcome: Outcome,
        reason: Reason,
        again_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        let (reason, due_at) = (stored::json(&reason), again_at.map(micros));
        self.change(delivery, Change::Wait { outcome, reason, due_at }, Timestamp::now()).await
    }

    /// Decided anew: this is to be sent, by the caller, who holds it.
    pub async fn make_ready(&self, delivery: DeliveryKey, outgoing: Outgoing, decision: Decision) -> Result<(), Error> {
        let decision = stored::json(&decision);
        self.change(delivery, Change::MakeReady { outgoing, decision }, Timestamp::now()).await
    }

    /// Decided anew: this party is no recipient of the message after all.
    pub async fn not_addressed(&self, delivery: DeliveryKey) -> Result<(), Error> {
        self.change(delivery, Change::NotAddressed, Timestamp::now()).await
    }

    /// What must be taken up, the oldest first. It is the caller's until the lease ends.
    pub async fn claim_due(&self, now: Timestamp, limit: usize, lease: SignedDuration) -> Result<Vec<Due>, Error> {
        let (now, lease) = (micros(now), duration(lease));
        self.ask(|reply| Command::ClaimDue { now, limit, lease, reply }).await
    }

    /// What is final and owes a receipt.
    pub async fn unreceipted(&self, limit: usize) -> Result<Vec<Due>, Error> {
        read::unreceipted(&mut *self.reader().await?, limit).await.map_err(unavailable)
    }

    /// [`Error::NoSuchRow`] if it has one already; there is only ever one.
    pub async fn attach_receipt(&self, delivery: DeliveryKey, receipt: SignedReceipt) -> Result<DueReceipt, Error> {
        let (settlement, at) = (Settlement::Attach(receipt), micros(Timestamp::now()));
        self.ask(|reply| Command::Settle { delivery, settlement, at, reply }).await
    }

    pub async fn receipts_due(
        &self,
        now: Timestamp,
        limit: usize,
        lease: SignedDuration,
    ) -> Result<Vec<DueReceipt>, Error> {
        let (now, lease) = (micros(now), duration(lease));
        self.ask(|reply| Command::ClaimReceipts { now, limit, lease, reply }).await
    }

    pub async fn receipt_sent(&self, delivery: DeliveryKey) -> Result<(), Error> {
        self.change(delivery, Change::ReceiptSent, Timestamp::now()).await
    }

    pub async fn receipt_retry(&self, delivery: DeliveryKey, attempts: u32, next: Timestamp) -> Result<(), Error> {
        self.change(delivery, Change::ReceiptRetry { attempts, next: micros(next) }, Timestamp::now()).await
    }

    pub async fn delivery(&self, delivery: DeliveryKey) -> Result<Row, Error> {
        let row = read::delivery(&mut *self.reader().await?, delivery).await.map_err(unavailable)?;
        row.ok_or(Error::NoSuchRow)
    }

    /// The newest first.
    pub async fn list(&self, outcomes: &[Outcome], limit: usize) -> Result<Vec<Row>, Error> {
        read::list(&mut *self.reader().await?, outcomes, limit).await.map_err(unavailable)
    }

    pub async fn receipt(&self, receipt_id: Uuid) -> Result<Option<SignedReceipt>, Error> {
        read::receipt(&mut *self.reader().await?, receipt_id).await.map_err(unavailable)
    }

    pub async fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        read::waiting(&mut *self.reader().await?).await.map_err(unavailable)
    }

    /// What is parked is tried again, as if for the first time.
    pub async fn replay(&self, delivery: DeliveryKey, who: &str, why: &str, now: Timestamp) -> Result<(), Error> {
        self.change(delivery, Change::Replay { who: who.to_owned(), why: why.to_owned() }, now).await
    }

    /// What waits ends, and owes a receipt; what is just being sent ends unless it went out.
    pub async fn discard(&self, delivery: DeliveryKey, who: &str, why: &str, now: Timestamp) -> Result<(), Error> {
        self.change(delivery, Change::Discard { who: who.to_owned(), why: why.to_owned() }, now).await
    }

    /// Ends when all that was asked is done. Asking for more is answered with [`Error::Unavailable`].
    pub async fn close(&self) {
        self.readers.close().await;
        let (closed, done) = oneshot::channel();
        if self.commands.send(Command::Close(closed)).await.is_ok() {
            let _ = done.await;
        }
    }

    async fn change(&self, delivery: DeliveryKey, change: Change, at: Timestamp) -> Result<(), Error> {
        self.ask(|reply| Command::Change { delivery, change, at: micros(at), reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Error::Unavailable)?;
        answer.await.unwrap_or(Err(Error::Unavailable))
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, Error> {
        self.readers.acquire().await.map_err(unavailable)
    }
}

fn micros(timestamp: Timestamp) -> i64 {
    timestamp.as_microsecond()
}

fn duration(lease: SignedDuration) -> i64 {
    i64::try_from(lease.as_micros()).unwrap_or(i64::MAX)
}

fn unavailable(error: sqlx::Error) -> Error {
    tracing::error!(%error, "the ledger");
    Error::Unavailable
}

#[cfg(test)]
mod tests;
