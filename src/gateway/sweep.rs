//! Takes up what is due in the ledger: what is tried again, what waited for its day or its turn, what a crash cut
//! short. Never more at once than there is room for.

use super::outbox::{AT_ONCE, Job};
use super::{Became, Gateway};
use crate::code::Code;
use crate::delivery::gate::Pass;
use crate::envelope::RawMessage;
use crate::ledger::Due;
use crate::outcome::Reason;
use crate::policy;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// How long a claimed row stays ours; after a crash the start, or another gateway, releases it.
pub(super) const LEASE: SignedDuration = SignedDuration::from_mins(5);
/// The same of a receipt, which takes no longer than the broker may take to confirm it.
const RECEIPT_LEASE: SignedDuration = SignedDuration::from_mins(1);
const TICK: Duration = Duration::from_millis(500);
/// Where there is more to do, it is fetched once there is room for so much of it.
const REFILL: u32 = 32;

struct TimeOfDay {
    last: Timestamp,
    put_right: bool,
}

impl TimeOfDay {
    /// Says so twice, for what was just being put off when it did.
    fn went_back(&mut self, now: Timestamp) -> bool {
        let again = !std::mem::replace(&mut self.put_right, now >= self.last);
        let now_or_then = again || !self.put_right;
        self.last = now;
        now_or_then
    }
}

impl Gateway {
    /// Until the gateway stops.
    pub(super) async fn sweep(self: Arc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let refill = u32::try_from(self.resumed.available_permits()).map_or(REFILL, |all| all.min(REFILL));
        let mut more = false;
        let mut time_of_day = TimeOfDay { last: Timestamp::now(), put_right: true };
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                _ = interval.tick() => {
                    if time_of_day.went_back(Timestamp::now()) {
                        tracing::warn!("the clock went back: what was put off waits from now");
                        let _ = self.ledger.clock_went_back(Timestamp::now()).await;
                    }
                    self.send_what_is_owed().await;
                }
                // After a long outage, or of a long list, there is a lot; it need not wait for the next tick.
                () = self.room(refill), if more => {}
                () = self.due.notified() => {}
                () = self.gates.freed() => {
                    self.take_up_waiting().await;
                    continue;
                }
            }
            self.take_up_waiting().await;
            more = self.take_up_due().await;
        }
    }

    async fn room(&self, refill: u32) {
        let _ = tokio::join!(self.resumed.acquire_many(refill), self.in_flight.acquire());
    }

    async fn send_what_is_owed(self: &Arc<Self>) {
        for receipt in self.ledger.receipts_due(Timestamp::now(), AT_ONCE, RECEIPT_LEASE).await.unwrap_or_default() {
            self.send_receipt(receipt).await;
        }
        self.settle_superseded().await;
    }

    /// Whether there may be more of it.
    async fn take_up_due(self: &Arc<Self>) -> bool {
        // Room first, claims after: what is claimed is worked on at once.
        let room = self.room_for_more();
        if room == 0 {
            return true;
        }
        let claimed = self.ledger.claim_due(Timestamp::now(), room, LEASE).await.unwrap_or_default();
        let more = claimed.len() == room;
        for due in claimed {
            self.start(due, None).await;
        }
        more
    }

    pub(super) fn room_for_more(&self) -> usize {
        self.in_flight.available_permits().min(self.resumed.available_permits()).min(AT_ONCE)
    }

    pub(super) async fn start(self: &Arc<Self>, due: Due, pass: Option<Pass>) {
        let permits = (self.resumed.clone().acquire_owned().await, self.in_flight.clone().acquire_owned().await);
        let (Ok(resumed), Ok(in_flight)) = permits else { return };
        let gateway = self.clone();
        let span = crate::telemetry::resumed_span(due.message.traceparent.as_deref());
        self.tasks.spawn(
            async move {
                super::note_outcome(gateway.take_up(due, pass).await.as_slice());
                drop((resumed, in_flight));
            }
            .instrument(span),
        );
    }

    /// One delivery out of the ledger: sent again, or decided anew where its facts may have changed.
    async fn take_up(self: Arc<Self>, due: Due, pass: Option<Pass>) -> Option<Became> {
        let line = due.message.order.map(|order| self.series.line(order.key));
        let recipient = due.recipient.clone()?;
        if let Some(error) = &due.unreadable {
            // It stays as it is stored, so that it goes on once the key is back.
            tracing::error!(%error, delivery = %due.delivery, code = %Code::PayloadUnreadable, "a payload is parked");
            return Some(self.park(due.delivery, Reason::new(Code::PayloadUnreadable, error.to_string())).await);
        }
        match (due.outgoing.clone(), due.raw.as_ref()) {
            (Some(outgoing), None) => {
                let address = policy::address(&self.pipeline().directory, &recipient.0, &recipient.1);
                let decision = due.decision.clone();
                let job = Job { pass, ..self.job(&due, recipient, outgoing, decision) };
                Some(self.deliver(job, address, line.as_deref()).await)
            }
            (_, Some(raw)) => {
                let Some(raw) = RawMessage::from_stored(raw) else {
                    let reason = Reason::new(Code::MappingFailed, "the stored message cannot be read back");
                    return Some(self.park(due.delivery, reason).await);
                };
                self.decide_anew(due, recipient, &raw, line.as_deref(), pass).await
            }
            (None, None) => {
                let reason = Reason::new(Code::MappingFailed, "there is nothing to send and nothing to decide on");
                Some(self.park(due.delivery, reason).await)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_back_is_seen_at_that_look_and_at_the_next() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut time_of_day = TimeOfDay { last: at(0), put_right: true };
        for (second, expected) in [
            (10, false),
            (10, false),
            (5, true),
            (6, true),
            (7, false),
            (99, false),
            (98, true),
            (97, true),
            (98, true),
            (99, false),
        ] {
            assert_eq!(time_of_day.went_back(at(second)), expected, "{second}");
        }
    }
}
