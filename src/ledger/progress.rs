//! How far a delivery is, and every way in which that may change. Rules only: no IO, no clock.

use super::Retry;
use crate::code::Code;
use crate::outcome::{Outcome, Reason};

/// How long what was just accepted stays with whoever accepted it, in microseconds.
const FIRST_LEASE: i64 = 5 * 60 * 1_000_000;
/// The same for a receipt that was just made.
pub(super) const RECEIPT_LEASE: i64 = 30 * 1_000_000;

/// The part of a delivery's row that changes. Times in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub outcome: Outcome,
    /// A [`Reason`] as JSON.
    pub reason: Option<String>,
    pub attempts: u32,
    /// When it is taken up; of what somebody has in hand, when that ends. `None`: not by itself.
    pub due_at: Option<i64>,
    /// For its recipient, who takes nothing or no more now; not for a moment.
    pub waits: bool,
    /// Who has it in hand now: it, or once it is final its receipt.
    pub holder: Option<i64>,
    /// It was ready to be sent once, so an attempt may have reached the recipient.
    pub tried: bool,
    /// It ends so once whoever holds it reports; until then nobody knows whether it went out.
    pub ending: Option<Outcome>,
    pub changed_at: i64,
    pub finished_at: Option<i64>,
    pub receipted: bool,
    pub receipt_at: Option<i64>,
    pub receipt_attempts: u32,
}

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not in a state for this.
    State,
    /// It has its receipt, and there is only ever one.
    Receipted,
}

impl Progress {
    pub fn new(at: i64) -> Progress {
        Progress {
            outcome: Outcome::Retrying,
            reason: None,
            attempts: 0,
            due_at: None,
            waits: false,
            holder: None,
            tried: false,
            ending: None,
            changed_at: at,
            finished_at: None,
            receipted: false,
            receipt_at: None,
            receipt_attempts: 0,
        }
    }

    pub fn is_final(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Final, and its receipt is with the sender.
    pub fn is_over(&self) -> bool {
        self.receipted && self.receipt_at.is_none()
    }

    /// To be sent now, by whoever accepted it.
    pub fn begin(&mut self, at: i64, me: i64) {
        (self.holder, self.tried, self.due_at) = (Some(me), true, Some(at.saturating_add(FIRST_LEASE)));
    }

    pub fn claim(&mut self, now: i64, lease: i64, me: i64) -> Result<(), Refused> {
        self.end_if_ending(now)?;
        (self.holder, self.waits, self.due_at) = (Some(me), false, Some(now.saturating_add(lease)));
        Ok(())
    }

    /// Whoever held it is gone.
    pub fn release(&mut self, now: i64) {
        if self.is_final() {
            (self.holder, self.receipt_at) = (None, self.receipt_at.and(self.finished_at));
        } else if self.end_if_ending(now).is_ok() {
            (self.holder, self.due_at) = (None, Some(self.changed_at));
        }
    }

    /// It is over, with a receipt. That it went out weighs more than that it should no longer have.
    pub fn finish(&mut self, outcome: Outcome, reason: Option<String>, at: i64, me: i64) -> Result<(), Refused> {
        if self.receipted {
            return Err(Refused::Receipted);
        }
        if self.is_final() && outcome != Outcome::Delivered {
            return Err(Refused::State);
        }
        self.end(outcome, reason, at);
        self.receipt(at.saturating_add(RECEIPT_LEASE), Some(me));
        Ok(())
    }

    /// The receipt that it still owes.
    pub fn attach(&mut self, at: i64, me: i64) -> Result<(), Refused> {
        if self.receipted || !self.is_final() {
            return Err(Refused::State);
        }
        self.receipt(at.saturating_add(RECEIPT_LEASE), Some(me));
        Ok(())
    }

    /// Without a next time it waits for its recipient.
    pub fn retry(
        &mut self,
        attempts: u32,
        next: Option<i64>,
        reason: String,
        tried: bool,
        at: i64,
    ) -> Result<Retry, Refused> {
        if self.is_final() {
            return if self.receipted { Err(Refused::State) } else { Ok(Retry::Superseded) };
        }
        self.tried = tried;
        if self.end_if_ending(at).is_err() {
            return Ok(Retry::Superseded);
        }
        self.attempts = attempts;
        self.wait(Outcome::Retrying, reason, next, at)?;
        self.waits = next.is_none();
        Ok(Retry::Scheduled)
    }

    pub fn wait(&mut self, outcome: Outcome, reason: String, due_at: Option<i64>, at: i64) -> Result<(), Refused> {
        if self.is_final() || outcome.is_final() {
            return Err(Refused::State);
        }
        self.end_if_ending(at)?;
        (self.outcome, self.reason, self.changed_at) = (outcome, Some(reason), at);
        // What is parked is taken up by a person only.
        self.due_at = due_at.filter(|_| outcome != Outcome::Parked);
        (self.holder, self.waits) = (None, false);
        Ok(())
    }

    /// Decided anew, and now to be sent by whoever holds it.
    pub fn make_ready(&mut self, at: i64) -> Result<(), Refused> {
        if self.is_final() {
            return Err(Refused::State);
        }
        self.end_if_ending(at)?;
        (self.outcome, self.reason, self.tried, self.changed_at) = (Outcome::Retrying, None, true, at);
        Ok(())
    }

    /// A newer message of its series came.
    pub fn supersede(&mut self, at: i64) {
        self.end_or_flag(Outcome::Superseded, at);
    }

    /// What it waits for may have come. Whoever holds it will hear of that otherwise.
    pub fn wake(&mut self, at: i64) {
        if self.holder.is_none() && matches!(self.outcome, Outcome::AwaitingAssessment | Outcome::Retrying) {
            self.due_at = if self.waits { Some(at) } else { self.due_at.map(|due_at| due_at.min(at)) };
            self.waits = false;
        }
    }

    pub fn replay(&mut self, at: i64) -> Result<(), Refused> {
        if self.outcome != Outcome::Parked {
            return Err(Refused::State);
        }
        (self.outcome, self.attempts, self.due_at, self.changed_at) = (Outcome::Retrying, 0, Some(at), at);
        Ok(())
    }

    pub fn discard(&mut self, at: i64) -> Result<(), Refused> {
        if self.is_final() || self.ending.is_some() {
            return Err(Refused::State);
        }
        self.end_or_flag(Outcome::Expired, at);
        Ok(())
    }

    pub fn receipt_sent(&mut self) -> Result<(), Refused> {
        (self.receipt_at, self.holder) = (None, self.holder.filter(|_| !self.is_final()));
        if self.receipted { Ok(()) } else { Err(Refused::State) }
    }

    pub fn receipt_retry(&mut self, attempts: u32, next: i64) -> Result<(), Refused> {
        if !self.receipted {
            return Err(Refused::State);
        }
        (self.receipt_attempts, self.receipt_at, self.holder) = (attempts, Some(next), None);
        Ok(())
    }

    pub fn end(&mut self, outcome: Outcome, reason: Option<String>, at: i64) {
        (self.outcome, self.reason) = (outcome, reason);
        (self.due_at, self.waits, self.holder, self.ending) = (None, false, None, None);
        (self.changed_at, self.finished_at) = (at, Some(at));
    }

    pub fn claim_receipt(&mut self, now: i64, lease: i64, me: i64) {
        (self.receipt_at, self.holder) = (Some(now.saturating_add(lease)), Some(me));
    }

    pub fn receipt(&mut self, send_at: i64, holder: Option<i64>) {
        (self.receipted, self.receipt_at, self.receipt_attempts, self.holder) = (true, Some(send_at), 0, holder);
    }

    /// While somebody holds it, it may just be going out: then it ends when they report.
    fn end_or_flag(&mut self, outcome: Outcome, at: i64) {
        if self.is_final() {
            return;
        }
        self.ending.get_or_insert(outcome);
        if self.holder.is_none() {
            let _ = self.end_if_ending(at);
        }
    }

    /// `Err` where it ended just now, so that nothing else can be done with it.
    fn end_if_ending(&mut self, at: i64) -> Result<(), Refused> {
        let Some(outcome) = self.ending else { return Ok(()) };
        let reason = match outcome {
            Outcome::Superseded => Reason::superseded(self.tried),
            _ => Reason::new(Code::Discarded, Code::Discarded.hint()),
        };
        self.end(outcome, Some(super::stored::json(&reason)), at);
        Err(Refused::State)
    }
}
