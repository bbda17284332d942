//! What waits for a recipient that takes nothing or no more now: put into the ledger, taken out again as far as its
//! gate lets through, and parked when it waited for too long. Sends nothing itself.

use super::outbox::{AT_ONCE, Job};
use super::sweep::LEASE;
use super::{Became, Gateway};
use crate::breaker::Change;
use crate::code::Code;
use crate::delivery::Failure;
use crate::delivery::gate::{Draw, Gate, Health, Pass};
use crate::directory::Endpoint;
use crate::ledger::Due;
use crate::outcome::Reason;
use crate::party::PartyId;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much one recipient may take of what is there for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub webhooks: NonZeroUsize,
    pub queues: NonZeroUsize,
    pub max_age: Duration,
}

impl Room {
    pub fn of(&self, endpoint: &Endpoint) -> NonZeroUsize {
        match endpoint {
            Endpoint::Amqp { .. } => self.queues,
            Endpoint::Webhook { .. } => self.webhooks,
        }
    }
}

impl Gateway {
    /// It was not attempted, which counts for nothing.
    pub(super) async fn leave_waiting(self: &Arc<Self>, job: Job, gate: &Gate) -> Became {
        let (tried, reason) = (job.tried, Reason::new(Code::RecipientBusy, Code::RecipientBusy.hint()));
        self.wait_for_recipient(job, gate, reason, tried).await
    }

    pub(super) async fn wait_for_recipient(
        self: &Arc<Self>,
        job: Job,
        gate: &Gate,
        reason: Reason,
        tried: bool,
    ) -> Became {
        // Said before, so that what comes now goes behind it, and after, when it can be found.
        gate.waits();
        let write = || self.ledger.wait_for_recipient(job.delivery, job.attempts, reason.clone(), tried);
        let retried = self.until_recorded(write).await;
        gate.waits();
        self.retried(&job, retried, reason.code).await
    }

    /// Tells once that a recipient is left alone, and once that it is back. Whether it is left alone now.
    pub(super) fn settle(&self, pass: Pass, health: Health, party: &PartyId, error: Option<&Failure>) -> bool {
        let standing = pass.settle(health, Instant::now());
        match standing.change {
            Change::None => {}
            Change::Opened => {
                let code = Code::RecipientBusy;
                tracing::warn!(recipient = %party, error = error.map(tracing::field::display), %code, "a recipient is down and is left alone for a while");
                self.metrics.recipient_down(party.as_str(), true);
            }
            Change::Closed => {
                tracing::info!(recipient = %party, "a recipient is back and gets what waited for it");
                self.metrics.recipient_down(party.as_str(), false);
            }
        }
        standing.is_down
    }

    /// As much of what waits as its recipients can take and there is room for.
    pub(super) async fn take_up_waiting(self: &Arc<Self>) {
        let mut room = self.room_for_more();
        let mut gates = self.gates.all();
        // Where there is too little room for all, nobody is always the last.
        fastrand::shuffle(&mut gates);
        let mut draws: Vec<(Arc<Gate>, Draw)> = Vec::new();
        for gate in gates {
            let draw = gate.draw(room, Instant::now());
            if !draw.passes.is_empty() {
                room -= draw.passes.len();
                draws.push((gate, draw));
            }
        }
        let claims = draws.iter().map(|(gate, draw)| {
            let (skip, limit) = (draw.skip, draw.passes.len());
            self.ledger.claim_waiting(gate.party(), skip, limit, Timestamp::MAX, LEASE)
        });
        let claimed = join_all(claims).await;
        for ((gate, mut draw), claimed) in draws.into_iter().zip(claimed) {
            let Ok(claimed) = claimed else { continue };
            if claimed.len() < draw.passes.len() {
                gate.emptied(&draw);
            }
            for (due, pass) in claimed.into_iter().zip(std::mem::take(&mut draw.passes)) {
                self.start(due, Some(pass)).await;
            }
        }
    }

    /// Metrics, and what no attempt and no message would bring about: after a start the gates know nothing of what
    /// waits, and what waits for too long must not do so for ever.
    pub(super) async fn look_after_recipients(self: &Arc<Self>) {
        let Ok(waiting) = self.ledger.waiting_for().await else { return };
        for gate in self.gates.all() {
            let party = gate.party().as_str();
            let of = waiting.iter().find(|of| of.recipient == *gate.party());
            self.metrics.recipient_down(party, gate.is_down());
            let age = of.map_or(SignedDuration::ZERO, |of| Timestamp::now().duration_since(of.oldest));
            self.metrics.waiting_for(party, of.map_or(0, |of| of.count), age);
        }
        let too_old = SignedDuration::try_from(self.room.max_age).map_or(Timestamp::MIN, |age| Timestamp::now() - age);
        for waiting in waiting {
            self.gates.gate(&waiting.recipient).waits();
            if waiting.oldest <= too_old {
                self.park_what_waits(&waiting.recipient, too_old).await;
            }
        }
    }

    async fn park_what_waits(self: &Arc<Self>, recipient: &PartyId, received_by: Timestamp) {
        loop {
            let claimed = self.ledger.claim_waiting(recipient, 0, AT_ONCE, received_by, LEASE).await;
            let claimed: Vec<Due> = claimed.unwrap_or_default();
            let park =
                |due: &Due| self.park(due.delivery, Reason::new(Code::WaitedTooLong, Code::WaitedTooLong.hint()));
            join_all(claimed.iter().map(park)).await;
            if claimed.len() < AT_ONCE {
                return;
            }
        }
    }
}
