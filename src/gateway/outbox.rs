//! What must go out: each delivery until it is taken or parked, as it came in or decided anew.

use super::protect::{Of, event_time, is_fit};
use super::series::Line;
use super::{Became, Gateway};
use crate::code::Code;
use crate::core::Fate;
use crate::delivery::amqp::Publication;
use crate::delivery::gate::{Gate, Health, Pass};
use crate::delivery::{Class, Failure};
use crate::directory::Endpoint;
use crate::ledger::{DeliveryKey, Due, Head, Hold, Mark, Outgoing, Retry};
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::policy::Address;
use crate::receipt::Decision;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;
use uuid::Uuid;

/// Rows of the ledger that are looked at together.
pub(super) const AT_ONCE: usize = 128;

/// One delivery on its way.
pub(super) struct Job {
    pub delivery: DeliveryKey,
    pub hold: Hold,
    pub head: Arc<Head>,
    pub recipient: (PartyId, Role),
    /// Same on every attempt; the recipient recognises a repetition by it.
    pub key: Uuid,
    pub decision: Decision,
    pub outgoing: Outgoing,
    pub attempts: u32,
    /// An earlier attempt may have reached the recipient.
    pub tried: bool,
    /// Out of the ledger, not straight from intake.
    pub again: bool,
    /// How far the records had come when it was decided, where it rests on facts.
    pub mark: Option<Mark>,
    /// Where it waited for its recipient, and was let through.
    pub pass: Option<Pass>,
}

/// A delivery that ends, and what its receipt must know of it.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    pub delivery: DeliveryKey,
    pub head: &'a Head,
    pub recipient: &'a (PartyId, Role),
    pub key: Uuid,
}

impl<'a> Ends<'a> {
    fn of(due: &'a Due, recipient: &'a (PartyId, Role)) -> Ends<'a> {
        Ends { delivery: due.delivery, head: &due.message, recipient, key: due.idempotency_key }
    }
}

/// A CloudEvent that the gateway sends.
pub(super) struct Event<'a> {
    pub id: Uuid,
    pub kind: &'a str,
    pub content_type: &'a str,
    pub correlation_id: Option<&'a str>,
    /// The same however often it is sent.
    pub time: Timestamp,
}

impl Gateway {
    pub(super) async fn deliver(
        self: &Arc<Self>,
        mut job: Job,
        address: Option<Address>,
        line: Option<&Line>,
    ) -> Became {
        let Some(address) = address else {
            let reason = Reason::new(Code::NotAddressable, Code::NotAddressable.hint());
            return self.park(job.delivery, reason).await;
        };
        if !is_fit(&job.outgoing, &address) {
            // In a box: hardly ever.
            match Box::pin(self.refit(job, &address)).await {
                Ok(fit) => job = fit,
                Err(became) => return became,
            }
        }
        // Before its turn, so that no more than a few wait for the turn of another that hangs.
        let gate = self.gates.gate(address.party());
        let let_through = job.pass.take().filter(|pass| pass.is_for(address.party()));
        let pass = let_through.or_else(|| gate.enter(self.room.of(address.endpoint()), Instant::now()));
        let Some(pass) = pass else { return self.leave_waiting(job, &gate).await };
        let Some((line, order)) = line.zip(job.head.order) else {
            return self.attempt(job, &address, &gate, pass).await;
        };
        let turn = line.turn(&job.recipient.0);
        let mut last = turn.lock().await;
        // The line remembers only as long as somebody holds it; the ledger always.
        let recorded = async || self.ledger.is_superseded(job.delivery).await.is_ok_and(|superseded| superseded);
        if *last > order.sequence || (job.again && recorded().await) {
            return self.end_superseded(&job).await;
        }
        *last = order.sequence;
        self.attempt(job, &address, &gate, pass).await
    }

    async fn attempt(self: &Arc<Self>, job: Job, address: &Address, gate: &Gate, pass: Pass) -> Became {
        // From the moment that a withdrawal is acknowledged, nothing goes out that was decided without it.
        if let Some(mark) = &job.mark
            && !self.ledger.is_current(mark).await
        {
            let reason = Reason::new(Code::FactsChanged, Code::FactsChanged.hint());
            let tried = job.tried;
            return self.retry(job, Timestamp::now(), reason, tried).await;
        }
        // Who lost it to another gateway, or does not know, sends nothing.
        let holds = tokio::select! {
            biased;
            holds = self.ledger.holds(job.hold) => holds,
            () = self.stopping.cancelled() => false,
        };
        if !holds {
            return (Outcome::Retrying, Some(Code::LeaseLost));
        }
        let (party, traceparent) = (address.party().as_str(), job.head.traceparent.as_deref());
        let span = crate::telemetry::delivery_span(address.endpoint(), party, job.key, traceparent);
        let sent = self.send(&job, address).instrument(span).await;
        match sent {
            Ok(()) => {
                self.settle(pass, Health::Up, address.party(), None);
                self.delivered(job).await
            }
            Err(failure) => {
                let is_down = self.settle(pass, failure.health(), address.party(), Some(&failure));
                self.failed(job, &failure, gate, is_down).await
            }
        }
    }

    async fn send(&self, job: &Job, address: &Address) -> Result<(), Failure> {
        let event = Event {
            id: job.key,
            kind: &job.outgoing.kind,
            content_type: &job.outgoing.content_type,
            correlation_id: Some(&job.head.id),
            time: event_time(job.head.received_at),
        };
        let publication = |to: &str| {
            let body = job.outgoing.body.reveal_personal_data().clone();
            self.signed(self.publication(&event, to.to_owned(), body), address)
        };
        let (way, sent) = match address.endpoint() {
            Endpoint::Amqp { queue } => {
                let publication = publication(queue);
                ("amqp", self.publisher.publish(publication).await)
            }
            Endpoint::Webhook { url, structured, holder } => {
                let publication = publication(url);
                // In a box: it is large, and most messages do not go this way.
                ("webhook", Box::pin(self.webhooks.post(publication, *structured, holder.as_ref())).await)
            }
        };
        self.metrics.attempted(way, if sent.is_ok() { "ok" } else { "failed" });
        if let Err(failure) = &sent {
            crate::telemetry::note_failure(failure.kind());
        }
        sent
    }

    pub(super) fn publication(&self, event: &Event<'_>, to: String, body: Vec<u8>) -> Publication {
        Publication {
            to,
            body: Personal::new(body),
            content_type: event.content_type.to_owned(),
            message_id: event.id.to_string(),
            attributes: self.attributes(event),
            traceparent: crate::telemetry::current_traceparent(),
        }
    }

    pub(super) fn attributes(&self, event: &Event<'_>) -> Vec<(&'static str, String)> {
        let mut attributes = vec![
            ("id", event.id.to_string()),
            ("source", self.issuer.clone()),
            ("specversion", "1.0".to_owned()),
            ("type", event.kind.to_owned()),
            ("time", event.time.to_string()),
        ];
        if let Some(correlation_id) = event.correlation_id {
            attributes.push(("correlationid", correlation_id.to_owned()));
        }
        attributes
    }

    async fn delivered(self: &Arc<Self>, job: Job) -> Became {
        let now = Timestamp::now();
        let digest = Some(job.outgoing.digest.clone());
        let receipt =
            self.receipt(&job.head, Some(&job.recipient), job.key, Outcome::Delivered, None, job.decision, digest);
        self.metrics.outcome(job.head.kind.as_deref(), Outcome::Delivered.as_str(), "");
        let age = now.duration_since(job.head.received_at);
        self.metrics.delivered_after(job.head.kind.as_deref(), job.recipient.0.as_str(), age);
        let recorded = self.until_recorded(|| self.ledger.delivered(job.delivery, receipt.clone(), now)).await;
        if let Some(receipt) = recorded {
            self.send_receipt(receipt).await;
        }
        (Outcome::Delivered, None)
    }

    async fn failed(self: &Arc<Self>, job: Job, failure: &Failure, gate: &Gate, is_down: bool) -> Became {
        let code = if matches!(failure, Failure::Unroutable) { Code::Unroutable } else { Code::DeliveryFailed };
        let tried = job.tried || !failure.is_refusal();
        if is_down && failure.class() != Class::Park {
            // It is not this delivery: the attempt is not counted, however long the recipient is down.
            return self.wait_for_recipient(job, gate, Reason::new(code, failure.to_string()), tried).await;
        }
        // Our own broker being gone says nothing about the recipient: it does not count as an attempt.
        let attempts = if matches!(failure, Failure::Disconnected) { job.attempts } else { job.attempts + 1 };
        let after = match failure.class() {
            Class::Park => {
                return self.park(job.delivery, Reason::new(Code::RecipientRefused, failure.to_string())).await;
            }
            // A broker of ours that confirms nothing says nothing about the recipient: that never ends in parking.
            Class::Retry { .. }
                if attempts >= self.retries.max_attempts.get() && !matches!(failure, Failure::Unconfirmed) =>
            {
                return self.park(job.delivery, Reason::new(Code::AttemptsExhausted, failure.to_string())).await;
            }
            Class::Retry { after } => after,
        };
        let now = Timestamp::now();
        let mut next = self.after_backoff(attempts.max(1), now);
        if let Some(asked) = after.and_then(|after| SignedDuration::try_from(after).ok()) {
            next = next.max(now + asked);
        }
        tracing::warn!(recipient = %job.recipient.0, error = %failure, %code, attempts, "a delivery failed; it is retried");
        self.retry(Job { attempts, ..job }, next, Reason::new(code, failure.to_string()), tried).await
    }

    async fn retry(self: &Arc<Self>, job: Job, next: Timestamp, reason: Reason, tried: bool) -> Became {
        let code = reason.code;
        let write = || self.ledger.retry_tried(job.delivery, job.attempts, next, reason.clone(), tried);
        let retried = self.until_recorded(write).await;
        self.retried(&job, retried, code).await
    }

    pub(super) async fn retried(self: &Arc<Self>, job: &Job, retried: Option<Retry>, code: Code) -> Became {
        match retried {
            Some(Retry::Superseded) => {
                self.settle_superseded().await;
                return (Outcome::Superseded, Some(Code::Superseded));
            }
            Some(Retry::Scheduled) => self.metrics.outcome(job.head.kind.as_deref(), "retrying", code.as_str()),
            None => {}
        }
        (Outcome::Retrying, Some(code))
    }

    pub(super) async fn park(&self, delivery: DeliveryKey, reason: Reason) -> Became {
        tracing::warn!(%delivery, code = %reason.code, "a delivery is parked: a person decides");
        self.metrics.outcome(None, Outcome::Parked.as_str(), reason.code.as_str());
        let _ = self.until_recorded(|| self.ledger.wait(delivery, Outcome::Parked, reason.clone(), None)).await;
        (Outcome::Parked, Some(reason.code))
    }

    async fn end_superseded(self: &Arc<Self>, job: &Job) -> Became {
        let of = Ends { delivery: job.delivery, head: &job.head, recipient: &job.recipient, key: job.key };
        let decision = job.decision.clone().undelivered(job.tried);
        self.end(of, Outcome::Superseded, Reason::superseded(job.tried), decision).await
    }

    /// It is over without having been sent.
    pub(super) async fn end(
        self: &Arc<Self>,
        of: Ends<'_>,
        outcome: Outcome,
        reason: Reason,
        decision: Decision,
    ) -> Became {
        let Ends { delivery, head, recipient, key } = of;
        let code = reason.code;
        self.metrics.outcome(head.kind.as_deref(), outcome.as_str(), code.as_str());
        let receipt = self.receipt(head, Some(recipient), key, outcome, Some(reason.clone()), decision, None);
        let now = Timestamp::now();
        let write = || self.ledger.finish(delivery, outcome, reason.clone(), receipt.clone(), now);
        if let Some(receipt) = self.until_recorded(write).await {
            self.send_receipt(receipt).await;
        } else {
            // Superseded in the ledger before we could say so: it owes a receipt.
            self.settle_superseded().await;
        }
        (outcome, Some(code))
    }

    /// Deliveries that a newer message ended: their receipts.
    pub(super) async fn settle_superseded(self: &Arc<Self>) {
        let Ok(owing) = self.ledger.unreceipted(AT_ONCE).await else { return };
        for due in owing {
            let reason = Reason::superseded(due.tried);
            self.metrics.outcome(due.message.kind.as_deref(), due.outcome.as_str(), reason.code.as_str());
            let receipt = self.receipt_for(&due, due.outcome, due.reason.clone().unwrap_or(reason));
            // Somebody else may have attached it meanwhile; there is only ever one.
            if let Ok(receipt) = self.ledger.attach_receipt(due.delivery, receipt).await {
                self.send_receipt(receipt).await;
            }
        }
    }

    pub(super) async fn decide_anew(
        self: &Arc<Self>,
        mut due: Due,
        recipient: (PartyId, Role),
        raw: &crate::envelope::RawMessage,
        line: Option<&Line>,
        pass: Option<Pass>,
    ) -> Option<Became> {
        let now = Timestamp::now();
        let pipeline = self.pipeline();
        let (plan, mark) = match self.consider(&pipeline, raw, now, true).await {
            super::Considered::Planned(plan, mark) => (plan, mark),
            super::Considered::List(_) => {
                return Some(self.split(Ends::of(&due, &recipient), raw).await);
            }
            super::Considered::Rejected(rejection) => {
                let reason = crate::explain::rejection_reason(&rejection);
                return Some(self.park(due.delivery, reason).await);
            }
        };
        // What is decided now is decided by the rules of now.
        due.message.policy_version.clone_from(&pipeline.engine.version);
        due.message.mapping_version = pipeline.mapping_version();
        let planned = plan.deliveries.into_iter().find(|planned| planned.idempotency_key == due.idempotency_key);
        let Some(planned) = planned else { return self.no_recipient(due, recipient).await };
        let recipient = match (planned.recipient.clone(), planned.role.clone()) {
            same if same == recipient => recipient,
            _ if due.tried => return self.no_recipient(due, recipient).await,
            (party, role) => {
                let addressed = || self.ledger.address(due.delivery, party.clone(), role.clone());
                self.until_recorded(addressed).await?;
                (party, role)
            }
        };
        match planned.fate {
            Fate::Deliver(outgoing, address) => {
                let of = Of { key: due.idempotency_key, id: &due.message.id, received_at: due.message.received_at };
                let outgoing = match self.protected(outgoing, &address, of, now) {
                    Ok(outgoing) => outgoing,
                    Err(reason) => return Some(self.park(due.delivery, reason).await),
                };
                let ready = || self.ledger.make_ready(due.delivery, outgoing.clone(), planned.decision.clone());
                self.until_recorded(ready).await?;
                let mark = mark.filter(|_| planned.volatile);
                let job = Job { mark, pass, ..self.job(&due, recipient, outgoing, planned.decision) };
                Some(self.deliver(job, Some(address), line).await)
            }
            Fate::Wait(outcome, reason, until) => {
                let again_at = until.or_else(|| self.again_at(outcome, due.attempts + 1, now));
                let write = || self.ledger.wait_since(due.delivery, outcome, reason.clone(), again_at, mark.clone());
                let _ = self.until_recorded(write).await;
                Some((outcome, Some(reason.code)))
            }
            Fate::End(outcome, reason) => {
                // What an earlier attempt may have brought there is what was decided then.
                let decision = if due.tried { due.decision.clone() } else { planned.decision };
                Some(self.end(Ends::of(&due, &recipient), outcome, reason, decision.undelivered(due.tried)).await)
            }
        }
    }

    /// The facts say that this party is no recipient of this message. Where an attempt may have reached it all the
    /// same, the sender must hear of it.
    async fn no_recipient(self: &Arc<Self>, due: Due, recipient: (PartyId, Role)) -> Option<Became> {
        if !due.tried {
            let _ = self.until_recorded(|| self.ledger.not_addressed(due.delivery)).await;
            return None;
        }
        let reason = Reason::new(Code::NoGround, "the facts say that it is no recipient of this message any more");
        let decision = due.decision.clone().undelivered(due.tried);
        Some(self.end(Ends::of(&due, &recipient), Outcome::Refused, reason, decision).await)
    }

    pub(super) fn job(&self, due: &Due, recipient: (PartyId, Role), outgoing: Outgoing, decision: Decision) -> Job {
        Job {
            delivery: due.delivery,
            hold: due.hold,
            head: Arc::new(due.message.clone()),
            recipient,
            key: due.idempotency_key,
            decision,
            outgoing,
            attempts: due.attempts,
            tried: due.tried,
            again: true,
            mark: None,
            pass: None,
        }
    }

    pub(super) fn after_backoff(&self, attempts: u32, now: Timestamp) -> Timestamp {
        after(self.retries.backoff(attempts), now)
    }

    /// When something that waits for no known moment is looked at again; never by itself once it is parked.
    pub(super) fn again_at(&self, outcome: Outcome, attempts: u32, now: Timestamp) -> Option<Timestamp> {
        match outcome {
            Outcome::Retrying => Some(self.after_backoff(attempts.max(1), now)),
            Outcome::AwaitingAssessment => Some(after(self.retries.recheck, now)),
            _ => None,
        }
    }
}

fn after(delay: Duration, now: Timestamp) -> Timestamp {
    SignedDuration::try_from(delay).map_or(now, |delay| now + delay)
}
