//! Ledger: what was accepted, what must go out, what became of it, and the receipts. Everything that must
//! survive a crash goes through here, in batches that share one commit. No message content is interpreted here.

mod batch;
mod command;
mod console;
mod disclosed;
mod file;
mod jobs;
mod load;
mod log;
mod memory;
mod model;
mod node;
mod place;
mod processing;
mod progress;
mod purge;
mod read;
mod records;
mod rows;
mod save;
mod seal;
mod server;
mod store;
mod stored;
mod values;
mod work;
mod writer;

pub use console::{Acted, Sought, WaitingAt};
pub use jobs::{Dry, Job, JobItem, JobState, NewJob, Running, What};
pub use log::write::Extension;
pub use log::{Last, LogReader, Logged, LoggedAction, LoggedPurge, LoggedReceipt, PersonKey, StoredEntry};
pub use model::*;
pub use node::{Hold, Node};
pub use place::Place;
pub use processing::{Processed, ProcessedDelivery, Wanted};
pub use purge::{Purge, Purged};
pub use records::Mark;
pub use seal::{Keys, KeysError, SealError};

use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::receipt::{Decision, SignedReceipt};
use crate::record::{Record, Subject};
use command::{Accept, Change, ClaimWaiting, Command, Deed, Reply, Retrying, Settlement};
use file::Alone;
use jiff::{SignedDuration, Timestamp};
use memory::Memory;
use node::{Held, Standing};
use records::Book;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store::{Connection, Readers, Store};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;
use work::Action;
use writer::{Watch, Writer};

/// After so long without a change the write-ahead log is emptied, so that no deleted bytes stay behind in it.
const QUIET: Duration = Duration::from_secs(1);

/// How a writer works.
struct Options {
    max_batch: NonZeroUsize,
    keys: Keys,
    quiet: Duration,
    alone: Option<Alone>,
}

/// A handle on the ledger; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    commands: mpsc::Sender<Command>,
    readers: Readers,
    writable: Arc<AtomicBool>,
    watch: Watch,
    held: watch::Receiver<Held>,
    /// None for a server, which is asked each time.
    book: Option<Arc<Book>>,
}

impl Ledger {
    /// For a gateway. At a file there is one: whoever held something before is gone, so that it is due. On a server it
    /// takes its place among others; what it held when it was there last is due.
    pub async fn open(place: impl Into<Place>, max_batch: NonZeroUsize, keys: Keys) -> Result<Ledger, Error> {
        Ledger::open_store(Store::at(place.into()), max_batch, keys, QUIET).await
    }

    async fn open_store(store: Store, max_batch: NonZeroUsize, keys: Keys, quiet: Duration) -> Result<Ledger, Error> {
        let alone = store.alone()?;
        store.prepare().await?;
        let mut connection = store.writer().await.map_err(unavailable)?;
        let mut standing = Standing::new(store.node(), connection.is_server());
        batch::start(&mut connection, &mut standing, &keys).await.map_err(unavailable)?;
        let book = match connection.is_server() {
            true => None,
            false => Some(Arc::new(Book::load(&mut connection).await.map_err(unavailable)?)),
        };
        Ledger::start(store, connection, standing, book, Options { max_batch, keys, quiet, alone })
    }

    /// For an operator's command: gateways may be running on the same ledger, and keep what they hold. Without keys, as
    /// no command shows payload or writes any.
    pub async fn open_beside(place: impl Into<Place>) -> Result<Ledger, Error> {
        let store = Store::at(match place.into() {
            Place::Server(server, _) => Place::Server(server, None),
            file => file,
        });
        store.check().await?;
        let connection = store.writer().await.map_err(unavailable)?;
        let standing = Standing::new(None, connection.is_server());
        let options = Options { max_batch: NonZeroUsize::MIN, keys: Keys::default(), quiet: QUIET, alone: None };
        Ledger::start(store, connection, standing, None, options)
    }

    fn start(
        store: Store,
        connection: Connection,
        standing: Standing,
        book: Option<Arc<Book>>,
        options: Options,
    ) -> Result<Ledger, Error> {
        let Options { max_batch, keys, quiet, alone } = options;
        let (sender, commands) = mpsc::channel(max_batch.get().saturating_mul(2));
        let (readers, held) = (store.readers(), standing.watch());
        let writable = Arc::new(AtomicBool::new(true));
        let watch = Watch::default();
        let writer = Writer {
            store,
            connection: Some(connection),
            standing,
            alone,
            memory: Memory::default(),
            commands,
            max_batch,
            keys,
            quiet,
            changed: None,
            writable: writable.clone(),
            watch: watch.clone(),
        };
        writer.start().map_err(|error| {
            tracing::error!(%error, "the ledger cannot be started");
            Error::Unavailable
        })?;
        Ok(Ledger { commands: sender, readers, writable, watch, held, book })
    }

    /// Whether what was claimed is still the caller's, to be asked before it is sent. Waits where that is not known, as
    /// while the database is away.
    pub async fn holds(&self, Hold(holder): Hold) -> bool {
        let holds = |held: &Held| match held.until {
            _ if held.node != holder => Some(false),
            Some(until) if until <= Instant::now() => None,
            _ => Some(true),
        };
        if let Some(known) = holds(&self.held.borrow()) {
            return known;
        }
        let mut held = self.held.clone();
        match held.wait_for(|held| holds(held).is_some()).await {
            Ok(held) => holds(&held) == Some(true),
            Err(_) => false,
        }
    }

    /// Tells of each commit how many writes shared it, and how long it took. Once; a second one is not told.
    pub fn watch_commits(&self, watch: impl Fn(usize, Duration) + Send + Sync + 'static) {
        self.watch.by(watch);
    }

    /// As far as the last write tells.
    pub fn is_writable(&self) -> bool {
        !self.commands.is_closed() && self.writable.load(Ordering::Relaxed)
    }

    pub async fn accept(&self, message: NewMessage) -> Result<Accepted, Error> {
        let accept = Box::new(Accept::new(message));
        let record = accept.message.record.as_ref().zip(self.book.as_ref());
        let _writing = record.map(|(record, book)| book.begin(accept.message.subject, record));
        self.ask(|reply| Command::Accept(accept, reply)).await
    }

    /// To be taken before the records are read.
    pub async fn mark(&self, subject: Subject) -> Mark {
        if let Some(book) = &self.book {
            return book.mark(subject);
        }
        let newest = async { records::newest_of_all(&mut self.reader().await?).await.map_err(unavailable) };
        Mark::newest(subject, newest.await.ok())
    }

    /// Nothing came since. Asked before something is done on the ground of what was read.
    pub async fn is_current(&self, mark: &Mark) -> bool {
        let Some(subject) = mark.to_ask() else { return mark.is_current_at(&HashMap::new()) };
        let newest = async { records::newest(&mut self.reader().await?, vec![subject]).await.map_err(unavailable) };
        newest.await.is_ok_and(|newest| mark.is_current_at(&newest))
    }

    /// What is on record about a person, in the order in which it came, and every withdrawal of these consents.
    pub async fn records(&self, subject: Subject, consents: &[String]) -> Result<Vec<Record>, Error> {
        if self.book.as_ref().is_some_and(|book| !book.may_know(subject, consents)) {
            return Ok(Vec::new());
        }
        records::about(&mut self.reader().await?, subject, consents).await.map_err(unavailable)
    }

    /// The traces of the messages that brought them, of the newest ones.
    pub async fn traces_of_records(&self, subject: Subject) -> Result<Vec<String>, Error> {
        records::traces(&mut self.reader().await?, subject).await.map_err(unavailable)
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
        self.retry_tried(delivery, attempts, next, reason, true).await
    }

    /// The same, with whether this attempt or one before it may have reached the recipient.
    pub async fn retry_tried(
        &self,
        delivery: DeliveryKey,
        attempts: u32,
        next: Timestamp,
        reason: Reason,
        tried: bool,
    ) -> Result<Retry, Error> {
        self.retrying(delivery, Retrying { attempts, next: Some(micros(next)), reason: stored::json(&reason), tried })
            .await
    }

    /// The same, but once its recipient can take it: then [`Ledger::claim_waiting`] has it.
    pub async fn wait_for_recipient(
        &self,
        delivery: DeliveryKey,
        attempts: u32,
        reason: Reason,
        tried: bool,
    ) -> Result<Retry, Error> {
        self.retrying(delivery, Retrying { attempts, next: None, reason: stored::json(&reason), tried }).await
    }

    async fn retrying(&self, delivery: DeliveryKey, retrying: Retrying) -> Result<Retry, Error> {
        let at = micros(Timestamp::now());
        self.ask(|reply| Command::Retry { delivery, retrying, at, reply }).await
    }

    pub async fn wait(
        &self,
        delivery: DeliveryKey,
        outcome: Outcome,
        reason: Reason,
        again_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.wait_since(delivery, outcome, reason, again_at, None).await
    }

    /// The same, but taken up at once if a record came since it was decided.
    pub async fn wait_since(
        &self,
        delivery: DeliveryKey,
        outcome: Outcome,
        reason: Reason,
        again_at: Option<Timestamp>,
        mark: Option<Mark>,
    ) -> Result<(), Error> {
        let (reason, due_at) = (stored::json(&reason), again_at.map(micros));
        self.change(delivery, Change::Wait { outcome, reason, due_at, mark }, Timestamp::now()).await
    }

    /// Decided anew: this is to be sent, by the caller, who holds it.
    pub async fn make_ready(&self, delivery: DeliveryKey, outgoing: Outgoing, decision: Decision) -> Result<(), Error> {
        let decision = stored::json(&decision);
        self.change(delivery, Change::MakeReady { outgoing, decision }, Timestamp::now()).await
    }

    /// Decided anew: it turns out to be for this party. Never once an attempt may have reached another one.
    pub async fn address(&self, delivery: DeliveryKey, party: PartyId, role: Role) -> Result<(), Error> {
        self.change(delivery, Change::Address(party, role), Timestamp::now()).await
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

    /// What waits for this recipient, as far as it was received by then: the oldest first, after `skip` of them where
    /// there are so many. As with [`Ledger::claim_due`].
    pub async fn claim_waiting(
        &self,
        recipient: &PartyId,
        skip: u32,
        limit: usize,
        received_by: Timestamp,
        lease: SignedDuration,
    ) -> Result<Vec<Due>, Error> {
        let asked = ClaimWaiting { recipient: recipient.clone(), skip, limit, received_by: micros(received_by) };
        let (now, lease) = (micros(Timestamp::now()), duration(lease));
        self.ask(|reply| Command::ClaimWaiting { asked, now, lease, reply }).await
    }

    /// So that nothing waits for a time of day that was there already.
    pub async fn clock_went_back(&self, now: Timestamp) -> Result<(), Error> {
        let now = micros(now);
        self.ask(|reply| Command::ClockWentBack { now, reply }).await
    }

    /// For which recipients deliveries wait.
    pub async fn waiting_for(&self) -> Result<Vec<WaitingFor>, Error> {
        read::waiting_for(&mut self.reader().await?).await.map_err(unavailable)
    }

    /// What is final and owes a receipt.
    pub async fn unreceipted(&self, limit: usize) -> Result<Vec<Due>, Error> {
        read::unreceipted(&mut self.reader().await?, &Keys::default(), limit).await.map_err(unavailable)
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
        let row = read::delivery(&mut self.reader().await?, delivery).await.map_err(unavailable)?;
        row.ok_or(Error::NoSuchRow)
    }

    /// A newer message of its series came: it ended so, or will once whoever holds it reports.
    pub async fn is_superseded(&self, delivery: DeliveryKey) -> Result<bool, Error> {
        let found = read::is_superseded(&mut self.reader().await?, delivery).await.map_err(unavailable)?;
        found.ok_or(Error::NoSuchRow)
    }

    /// The newest first.
    pub async fn list(&self, outcomes: &[Outcome], limit: usize) -> Result<Vec<Row>, Error> {
        read::list(&mut self.reader().await?, outcomes, limit).await.map_err(unavailable)
    }

    pub async fn receipt(&self, receipt_id: Uuid) -> Result<Option<SignedReceipt>, Error> {
        read::receipt(&mut self.reader().await?, receipt_id).await.map_err(unavailable)
    }

    /// The receipts that there are of these messages of one source.
    pub async fn receipts_of(&self, source: &str, ids: &[String]) -> Result<Vec<DueReceipt>, Error> {
        let identities = ids.iter().map(|id| command::identity_of(source, id, &[])).collect();
        read::receipts_of(&mut self.reader().await?, identities).await.map_err(unavailable)
    }

    pub async fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        read::waiting(&mut self.reader().await?).await.map_err(unavailable)
    }

    /// What is parked is tried again, as if for the first time.
    pub async fn replay(&self, delivery: DeliveryKey, who: &str, why: &str, now: Timestamp) -> Result<(), Error> {
        self.change(delivery, Change::Replay(deed(who, why, None)), now).await
    }

    /// The same, unless it is not as it was seen any more.
    pub async fn replay_as_seen(
        &self,
        delivery: DeliveryKey,
        seen: Seen,
        who: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.change(delivery, Change::Replay(deed(who, why, Some(seen))), now).await
    }

    /// What waits ends, and owes a receipt; what is just being sent ends unless it went out.
    pub async fn discard(&self, delivery: DeliveryKey, who: &str, why: &str, now: Timestamp) -> Result<(), Error> {
        self.change(delivery, Change::Discard(deed(who, why, None)), now).await
    }

    pub async fn discard_as_seen(
        &self,
        delivery: DeliveryKey,
        seen: Seen,
        who: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.change(delivery, Change::Discard(deed(who, why, Some(seen))), now).await
    }

    /// What went to whom of a person's data, or may have gone, the oldest first.
    pub async fn disclosed(&self, subject: Subject, since: Timestamp) -> Result<Vec<Disclosed>, Error> {
        disclosed::about(&mut self.reader().await?, subject, micros(since)).await.map_err(unavailable)
    }

    /// Somebody looks into what is known of a person.
    pub async fn note(&self, subject: Subject, who: &str, what: &'static str, why: &str) -> Result<(), Error> {
        let (at, who, why) = (micros(Timestamp::now()), who.to_owned(), why.to_owned());
        let action = Action { delivery: None, subject, at, who, what, why };
        self.ask(|reply| Command::Note { action, reply }).await
    }

    /// One step of forgetting: at most `limit` of what was over before `before`, from `after` on. A pass begins at 0.
    pub async fn purge(
        &self,
        what: Purge,
        before: Timestamp,
        now: Timestamp,
        after: i64,
        limit: usize,
    ) -> Result<Purged, Error> {
        let records = match what {
            Purge::Records => {
                purge::ended_records(&mut self.reader().await?, before, limit).await.map_err(unavailable)?
            }
            _ => Default::default(),
        };
        let persons = match what {
            Purge::Persons => log::write::unused_persons(&mut self.reader().await?, micros(before), limit)
                .await
                .map_err(unavailable)?,
            _ => Vec::new(),
        };
        let step = purge::Step { what, before: micros(before), now: micros(now), after, limit, records, persons };
        self.ask(|reply| Command::Purge { step, reply }).await
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

    async fn reader(&self) -> Result<Connection, Error> {
        self.readers.acquire().await.map_err(unavailable)
    }
}

fn deed(who: &str, why: &str, seen: Option<Seen>) -> Deed {
    Deed { who: who.to_owned(), why: why.to_owned(), seen }
}

fn micros(timestamp: Timestamp) -> i64 {
    timestamp.as_microsecond()
}

fn duration(lease: SignedDuration) -> i64 {
    i64::try_from(lease.as_micros()).unwrap_or(i64::MAX)
}

fn unavailable(error: sqlx::Error) -> Error {
    if matches!(&error, sqlx::Error::Configuration(why) if why.is::<Error>()) {
        return Error::InUse;
    }
    tracing::error!(%error, "the ledger");
    Error::Unavailable
}

#[cfg(test)]
mod tests;
