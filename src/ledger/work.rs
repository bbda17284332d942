//! One batch in memory: the rows that its commands touch, and what the commands make of them, in the order in
//! which they came. Reads and writes nothing itself; see [`super::tables`].

use super::command::{Accept, Change, Command, Deed, Reply, Retrying, Settlement};
use super::node::{ALONE, Hold};
use super::progress::{Progress, RECEIPT_LEASE, Refused};
use super::stored::json;
use super::{
    Accepted, DeliveryKey, DueReceipt, Error, MessageKey, NewDelivery, NewMessage, Order, Outgoing, Retry, State,
};
use crate::code::Code;
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::receipt::SignedReceipt;
use crate::record::{Pseudonym, Record, Subject};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A delivery and what must be known of its message.
pub(super) struct Row {
    pub key: i64,
    pub message: i64,
    pub volatile: bool,
    pub order: Option<Order>,
    pub sender: PartyId,
    pub traceparent: Option<String>,
    pub keeps_raw: bool,
    pub progress: Progress,
    /// As it was read; `None` where this batch made it.
    pub before: Option<Progress>,
}

/// A message that was recorded before, or earlier in this batch.
pub(super) struct Known {
    pub message: i64,
    pub digest: [u8; 32],
    pub first: i64,
    pub last: i64,
}

pub(super) struct MessageRow {
    pub key: i64,
    pub accept: Box<Accept>,
    pub first: i64,
    pub last: i64,
    pub keeps_raw: bool,
}

/// The part of a new delivery that hardly ever changes, besides what its [`Row`] holds.
pub(super) struct DeliveryRow {
    pub key: i64,
    pub idempotency_key: Uuid,
    pub recipient: Option<(PartyId, Role)>,
}

pub(super) struct Action {
    pub delivery: Option<i64>,
    pub subject: Subject,
    pub at: i64,
    pub who: String,
    pub what: &'static str,
    pub why: String,
}

impl Action {
    fn on(delivery: i64, at: i64, who: String, what: &'static str, why: String) -> Action {
        Action { delivery: Some(delivery), subject: Subject::default(), at, who, what, why }
    }
}

pub(super) struct RecordRow {
    pub message: i64,
    pub subject: Subject,
    pub record: Record,
}

/// What becomes of a delivery's row in `pending`.
pub(super) enum Pending {
    Keep {
        decision: String,
        outgoing: Option<Outgoing>,
    },
    /// The bytes go, what policy said stays.
    Strip,
    Drop,
}

/// What is written, besides the rows that changed.
#[derive(Default)]
pub(super) struct Written {
    pub messages: Vec<MessageRow>,
    pub deliveries: Vec<DeliveryRow>,
    pub pending: HashMap<i64, Pending>,
    pub receipts: Vec<(i64, SignedReceipt)>,
    pub series: HashMap<[u8; 32], i64>,
    pub removed: Vec<Row>,
    pub addressed: HashMap<i64, (PartyId, Role)>,
    pub actions: Vec<Action>,
    pub records: Vec<RecordRow>,
}

#[derive(Default)]
pub(super) struct Work {
    pub rows: HashMap<i64, Row>,
    pub known: HashMap<[u8; 16], Known>,
    pub series: HashMap<[u8; 32], i64>,
    /// Of which another node has a delivery in hand.
    pub elsewhere: HashSet<[u8; 32]>,
    /// What waits about persons about whom this batch has records.
    pub waiting: Vec<i64>,
    /// The newest record about persons, where no book tells.
    pub newest: HashMap<Pseudonym, i64>,
    /// Who writes.
    pub me: i64,
    pub last_message: i64,
    pub last_delivery: i64,
    pub written: Written,
}

/// What a caller is told once the batch is committed.
pub(super) enum Answer {
    Known(Box<dyn FnOnce() + Send>),
    /// With the receipts that the message has by then.
    Duplicate {
        message: i64,
        first: i64,
        last: i64,
        reply: Reply<Accepted>,
    },
    /// With the receipt that there was already.
    Receipt {
        delivery: i64,
        reply: Reply<DueReceipt>,
    },
}

impl Answer {
    pub fn known<T: Send + 'static>(reply: Reply<T>, result: Result<T, Error>) -> Answer {
        // Whoever asked may have gone; what was done stays done.
        Answer::Known(Box::new(move || drop(reply.send(result))))
    }

    pub fn give(self) {
        if let Answer::Known(give) = self {
            give();
        }
    }
}

impl From<Refused> for Error {
    fn from(_: Refused) -> Error {
        Error::NoSuchRow
    }
}

impl Work {
    pub fn apply(&mut self, command: Command) -> Option<Answer> {
        Some(match command {
            Command::Accept(accept, reply) => self.accept(accept, reply),
            Command::Settle { delivery, settlement, at, reply } => self.settle(delivery.0, settlement, at, reply),
            Command::Retry { delivery, retrying, at, reply } => {
                let Retrying { attempts, next, reason, tried } = retrying;
                let retried: Result<Retry, Error> = own(&mut self.rows, self.me, delivery.0).and_then(|row| {
                    // What is decided anew is made ready anew, which says so before it is sent; what goes out again
                    // as it was says nothing before, so that a crash would leave it untold. What waits for its
                    // recipient is said to be tried by the claim that ends the wait.
                    let tried = tried || (!row.volatile && next.is_some());
                    Ok(row.progress.retry(attempts, next, reason, tried, at)?)
                });
                Answer::known(reply, retried)
            }
            Command::Change { delivery, change, at, reply } => {
                Answer::known(reply, self.change(delivery.0, change, at))
            }
            Command::Note { action, reply } => {
                self.written.actions.push(action);
                Answer::known(reply, Ok(()))
            }
            Command::ClaimDue { .. }
            | Command::ClaimWaiting { .. }
            | Command::ClaimReceipts { .. }
            | Command::Purge { .. }
            | Command::Job { .. }
            | Command::ExtendLog(..)
            | Command::ResealPersons(..)
            | Command::Forget(..)
            | Command::ClockWentBack { .. }
            | Command::Close(_) => return None,
        })
    }

    fn accept(&mut self, accept: Box<Accept>, reply: Reply<Accepted>) -> Answer {
        match self.known.get(&accept.identity) {
            Some(known) if known.digest == accept.message.digest => {
                let Known { message, first, last, .. } = *known;
                Answer::Duplicate { message, first, last, reply }
            }
            Some(_) => Answer::known(reply, Ok(Accepted::Conflict)),
            None => Answer::known(reply, Ok(self.record(accept))),
        }
    }

    fn record(&mut self, mut accept: Box<Accept>) -> Accepted {
        let superseded = accept.message.order.is_some_and(|order| self.is_overtaken(order, &accept.message));
        let elsewhere = accept.message.order.is_some_and(|order| self.elsewhere.contains(&order.key));
        self.last_message += 1;
        let key = self.last_message;
        let first = self.last_delivery + 1;
        let deliveries = std::mem::take(&mut accept.message.deliveries);
        let texts = std::mem::take(&mut accept.texts);
        let keeps_raw = !superseded && deliveries.iter().any(is_decided_anew);
        let mut receipts = Vec::new();
        for (delivery, (decision, reason)) in deliveries.into_iter().zip(texts) {
            self.last_delivery += 1;
            let row = Row {
                key: self.last_delivery,
                message: key,
                volatile: delivery.volatile,
                order: accept.message.order,
                sender: accept.message.sender.clone(),
                traceparent: accept.message.traceparent.clone(),
                keeps_raw,
                progress: Progress::new(accept.message.received_at.as_microsecond()),
                before: None,
            };
            receipts.extend(self.deliver(row, delivery, decision, reason, superseded));
        }
        if accept.message.mark.as_ref().is_some_and(|mark| !mark.is_current_at(&self.newest)) {
            self.wake(first..=self.last_delivery, accept.message.received_at);
        }
        if let Some(record) = accept.message.record.take() {
            let waiting = std::mem::take(&mut self.waiting);
            self.wake(waiting, accept.message.received_at);
            self.newest.extend(accept.message.subject.pseudonyms().map(|pseudonym| (pseudonym, i64::MAX)));
            self.written.records.push(RecordRow { message: key, subject: accept.message.subject, record });
        }
        let last = self.last_delivery;
        self.known.insert(accept.identity, Known { message: key, digest: accept.message.digest, first, last });
        self.written.messages.push(MessageRow { key, accept, first, last, keeps_raw });
        let message = MessageKey(key);
        if superseded {
            return Accepted::Superseded { message };
        }
        let deliveries = (first..=last).map(DeliveryKey).collect();
        let hold = (!elsewhere).then_some(Hold(self.me));
        Accepted::New { message, deliveries, hold, receipts }
    }

    /// A record came that may be what these wait for.
    fn wake(&mut self, keys: impl IntoIterator<Item = i64>, at: Timestamp) {
        for key in keys {
            self.rows.entry(key).and_modify(|row| row.progress.wake(at.as_microsecond()));
        }
    }

    /// Whether a newer one of the series came first. Otherwise this one is the newest, and ends the older ones.
    fn is_overtaken(&mut self, order: Order, message: &NewMessage) -> bool {
        let highest = self.series.get(&order.key).copied();
        if highest.is_some_and(|highest| highest > order.sequence) {
            return true;
        }
        if highest == Some(order.sequence) {
            return false;
        }
        self.series.insert(order.key, order.sequence);
        self.written.series.insert(order.key, order.sequence);
        if highest.is_some() {
            let at = message.received_at.as_microsecond();
            let of_series = self.rows.values_mut().filter(|row| row.order.is_some_and(|other| other.key == order.key));
            of_series.for_each(|row| row.progress.supersede(at));
        }
        false
    }

    fn deliver(
        &mut self,
        mut row: Row,
        delivery: NewDelivery,
        decision: String,
        reason: Option<String>,
        superseded: bool,
    ) -> Option<DueReceipt> {
        let at = row.progress.changed_at;
        let (mut receipt, mut outgoing) = (None, None);
        match delivery.state {
            State::Final { outcome, receipt: signed, .. } => {
                row.progress.end(outcome, reason, at);
                // Nobody is told the receipts of a message that was overtaken: they go out by themselves.
                let (send_at, holder) = if superseded { (at, None) } else { (at + RECEIPT_LEASE, Some(self.me)) };
                row.progress.receipt(send_at, holder);
                receipt = Some(row.due_receipt(signed.clone()));
                self.written.receipts.push((row.key, signed));
            }
            _ if superseded => row.progress.supersede(at),
            State::Ready(ready) if row.order.is_some_and(|order| self.elsewhere.contains(&order.key)) => {
                let reason = Reason::new(Code::InTurn, Code::InTurn.hint());
                let waits = row.progress.wait(Outcome::Retrying, json(&reason), Some(at), at);
                debug_assert!(waits.is_ok(), "a new delivery can wait");
                outgoing = Some(ready);
            }
            State::Ready(ready) => {
                row.progress.begin(at, self.me);
                outgoing = Some(ready);
            }
            State::Waiting { outcome, again_at, .. } => {
                let due_at = again_at.map(Timestamp::as_microsecond);
                let waits = row.progress.wait(outcome, reason.unwrap_or_default(), due_at, at);
                debug_assert!(waits.is_ok(), "a new delivery can wait");
            }
        }
        if receipt.is_none() {
            self.written.keep(&row, decision, outgoing);
        }
        self.written.deliveries.push(DeliveryRow {
            key: row.key,
            idempotency_key: delivery.idempotency_key,
            recipient: delivery.recipient,
        });
        self.rows.insert(row.key, row);
        receipt
    }

    fn settle(&mut self, key: i64, settlement: Settlement, at: i64, reply: Reply<DueReceipt>) -> Answer {
        let me = self.me;
        let went_out = matches!(settlement, Settlement::Finish { outcome: Outcome::Delivered, .. });
        let row =
            if went_out { self.rows.get_mut(&key).ok_or(Error::NoSuchRow) } else { own(&mut self.rows, self.me, key) };
        let row = match row {
            Ok(row) => row,
            Err(error) => return Answer::known(reply, Err(error)),
        };
        let (settled, receipt) = match settlement {
            Settlement::Finish { outcome, reason, receipt } => (row.progress.finish(outcome, reason, at, me), receipt),
            Settlement::Attach(receipt) => (row.progress.attach(at, me), receipt),
        };
        match settled {
            Ok(()) => {
                self.written.receipts.push((key, receipt.clone()));
                Answer::known(reply, Ok(row.due_receipt(receipt)))
            }
            Err(Refused::Receipted) => Answer::Receipt { delivery: key, reply },
            Err(Refused::State) => Answer::known(reply, Err(Error::NoSuchRow)),
        }
    }

    fn change(&mut self, key: i64, change: Change, at: i64) -> Result<(), Error> {
        // A person may give up, and a receipt may have gone out, whoever has it in hand.
        let by_anybody = matches!(
            change,
            Change::Replay { .. } | Change::Discard { .. } | Change::ReceiptSent | Change::ReceiptRetry { .. }
        );
        let is_current = match &change {
            Change::Wait { mark: Some(mark), .. } => mark.is_current_at(&self.newest),
            _ => true,
        };
        let me = self.me;
        let row = if by_anybody {
            self.rows.get_mut(&key).ok_or(Error::NoSuchRow)?
        } else {
            own(&mut self.rows, self.me, key)?
        };
        match change {
            Change::Wait { outcome, reason, due_at, mark: _ } => {
                row.progress.wait(outcome, reason, due_at, at)?;
                if !is_current {
                    row.progress.wake(at);
                }
                // What is decided anew makes new bytes; what is parked as it was goes out as it was.
                if row.keeps_raw && outcome != Outcome::Parked {
                    self.written.strip(key);
                }
            }
            // To be sent: by nobody who has lost it.
            Change::MakeReady { .. } | Change::Address(..) if row.progress.holder != Some(me) && me != ALONE => {
                return Err(Error::NoSuchRow);
            }
            Change::MakeReady { outgoing, decision } => {
                row.progress.make_ready(at)?;
                self.written.keep(row, decision, Some(outgoing));
            }
            Change::Address(..) if row.progress.is_final() || row.progress.tried => return Err(Error::NoSuchRow),
            Change::Address(party, role) => drop(self.written.addressed.insert(key, (party, role))),
            Change::NotAddressed if row.progress.is_final() => return Err(Error::NoSuchRow),
            Change::NotAddressed => self.written.removed.extend(self.rows.remove(&key)),
            Change::ReceiptSent => row.progress.receipt_sent()?,
            Change::ReceiptRetry { attempts, next } => row.progress.receipt_retry(attempts, next)?,
            // Somebody else was first, or it went on by itself.
            Change::Replay(Deed { seen: Some(seen), .. }) | Change::Discard(Deed { seen: Some(seen), .. })
                if !seen.is_still(row.progress.outcome, row.progress.changed_at) =>
            {
                return Err(Error::NoSuchRow);
            }
            Change::Replay(Deed { who, why, .. }) => {
                row.progress.replay(at)?;
                self.written.actions.push(Action::on(key, at, who, "replay", why));
            }
            Change::Discard(Deed { who, why, .. }) => {
                row.progress.discard(at)?;
                self.written.actions.push(Action::on(key, at, who, "discard", why));
            }
        }
        Ok(())
    }
}

/// Of what another has in hand nobody else says anything but that it went out.
fn own(rows: &mut HashMap<i64, Row>, me: i64, key: i64) -> Result<&mut Row, Error> {
    let own = |row: &&mut Row| row.progress.holder.is_none_or(|holder| holder == me);
    rows.get_mut(&key).filter(own).ok_or(Error::NoSuchRow)
}

impl Written {
    /// What is decided anew before each attempt needs no bytes to be kept for it.
    fn keep(&mut self, row: &Row, decision: String, outgoing: Option<Outgoing>) {
        self.pending.insert(row.key, Pending::Keep { decision, outgoing: outgoing.filter(|_| !row.volatile) });
    }

    pub fn strip(&mut self, key: i64) {
        match self.pending.entry(key).or_insert(Pending::Strip) {
            Pending::Keep { outgoing, .. } => *outgoing = None,
            Pending::Strip | Pending::Drop => {}
        }
    }
}

impl Row {
    /// In this batch.
    pub fn ended(&self) -> bool {
        self.progress.is_final() && !self.before.as_ref().is_some_and(Progress::is_final)
    }

    /// It is asked for again soon, unlike what waits.
    pub fn is_under_way(&self) -> bool {
        self.progress.holder.is_some() || (self.progress.is_final() && !self.progress.is_over())
    }

    pub fn is_changed(&self) -> bool {
        self.before.as_ref() != Some(&self.progress)
    }

    pub fn has_only_its_receipt_sent(&self) -> bool {
        let sent = self.before.clone().map(|before| Progress { receipt_at: None, holder: None, ..before });
        self.progress.receipt_at.is_none() && sent.as_ref() == Some(&self.progress)
    }

    fn due_receipt(&self, jws: SignedReceipt) -> DueReceipt {
        DueReceipt {
            key: DeliveryKey(self.key),
            receipt_id: jws.id(),
            to: self.sender.clone(),
            jws,
            traceparent: self.traceparent.clone(),
            attempts: self.progress.receipt_attempts,
        }
    }
}

/// Whether a later attempt begins with the message as it came in.
fn is_decided_anew(delivery: &NewDelivery) -> bool {
    match delivery.state {
        State::Ready(ref outgoing) => delivery.volatile || outgoing.is_encrypted(),
        State::Waiting { .. } => true,
        State::Final { .. } => false,
    }
}
