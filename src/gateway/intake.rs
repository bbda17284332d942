//! One message from the broker: considered, recorded, acknowledged, and only then sent on.

use super::protect::Of;
use super::series::Line;
use super::{Became, Considered, Gateway};
use crate::code::Code;
use crate::core::{Fate, Pipeline, Plan, Planned, derived_key};
use crate::envelope::{RawMessage, Rejection};
use crate::explain::rejection_reason;
use crate::intake::Inbound;
use crate::ledger::{Accepted, Head, Mark, NewDelivery, NewMessage, Order, State};
use crate::outcome::{Outcome, Problem, Reason};
use crate::party::PartyId;
use crate::policy::Address;
use crate::receipt::Decision;
use crate::record::Subject;
use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::Instrument;

/// Where each delivery that is ready goes, in the order of [`NewMessage::deliveries`].
type Addresses = Vec<Option<Address>>;

impl Gateway {
    /// Takes messages while there is room for them.
    pub(super) async fn take_in(self: Arc<Self>, mut inbound: mpsc::Receiver<Inbound>) {
        let all = self.in_flight.available_permits();
        while let Some(message) = inbound.recv().await {
            // A large one takes the room of several, so that the memory for them all stays bounded.
            let size = message.raw.body.reveal_personal_data().len();
            let room = size.div_ceil(self.pipeline().limits.body).clamp(1, all);
            let room = u32::try_from(room).unwrap_or(u32::MAX);
            let Ok(permit) = self.in_flight.clone().acquire_many_owned(room).await else { return };
            let gateway = self.clone();
            self.tasks.spawn(gateway.one(message, permit));
        }
    }

    fn one(self: Arc<Self>, inbound: Inbound, permit: OwnedSemaphorePermit) -> impl Future<Output = ()> + Send {
        let span = crate::telemetry::message_span(&inbound.queue, &inbound.raw);
        self.metrics.received(inbound.raw.queue_of.as_ref().map_or("unknown", PartyId::as_str));
        self.handle(inbound, permit).instrument(span)
    }

    async fn handle(self: Arc<Self>, inbound: Inbound, permit: OwnedSemaphorePermit) {
        let now = Timestamp::now();
        let Inbound { mut raw, acker, room, .. } = inbound;
        let pipeline = self.pipeline();
        let considered = self.consider(&pipeline, &raw, now, false).await;
        // Taken before the ledger decides about the order, held until the deliveries are over.
        let line = match &considered {
            Considered::Planned(plan, _) => plan.order.map(|order| self.series.line(order.key)),
            Considered::Rejected(_) | Considered::List(_) => None,
        };
        let is_list = matches!(considered, Considered::List(_));
        let (mut message, mut addresses) = match considered {
            Considered::Planned(plan, mark) => {
                crate::telemetry::note_type(&plan.kind);
                self.planned(&pipeline, *plan, mark, &raw, now)
            }
            Considered::Rejected(rejection) => (self.rejected(&pipeline, &rejection, &raw, now), vec![None]),
            Considered::List(list) => {
                crate::telemetry::note_type(list.kind());
                (self.list(&pipeline, &list, &raw, now), vec![None])
            }
        };
        drop(pipeline);
        let span = crate::telemetry::stage_span("ledger");
        let recorded = async {
            loop {
                let accepted = self.until_recorded(|| self.ledger.accept(message.clone())).await?;
                if !matches!(accepted, Accepted::Conflict) {
                    return Some(accepted);
                }
                // The same id with other content: a message of its own, that is rejected.
                message = self.conflicting(&message, now);
                addresses = vec![None];
            }
        };
        let Some(accepted) = recorded.instrument(span).await else {
            acker.release().await;
            return;
        };
        raw.admitted = true;
        let goes_on = async {
            if is_list && !message.conflict {
                self.after_list(accepted, message, &raw).await;
            } else {
                self.after(accepted, message, addresses, line).await;
            }
        };
        // It is safe with us: what follows does not wait for a broker that may be gone.
        futures_util::future::join(acker.ack(), goes_on).await;
        drop((permit, room));
    }

    /// What follows once the message is safely recorded.
    pub(super) async fn after(
        self: &Arc<Self>,
        accepted: Accepted,
        message: NewMessage,
        addresses: Addresses,
        line: Option<Arc<Line>>,
    ) {
        match accepted {
            Accepted::New { message: key, deliveries, hold, receipts } => {
                let head = Arc::new(head(key, &message));
                let mut became = Vec::with_capacity(deliveries.len());
                let mut sends = Vec::new();
                for ((delivery, planned), address) in deliveries.into_iter().zip(message.deliveries).zip(addresses) {
                    became.extend(self.count(head.kind.as_deref(), &planned.state));
                    self.metrics.decided(&planned.decision);
                    let State::Ready(outgoing) = planned.state else { continue };
                    // Where another gateway has an older one of the series in hand, this one follows it.
                    let (Some(recipient), Some(hold)) = (planned.recipient, hold) else { continue };
                    let job = super::outbox::Job {
                        delivery,
                        hold,
                        head: head.clone(),
                        recipient,
                        key: planned.idempotency_key,
                        decision: planned.decision,
                        outgoing,
                        attempts: 0,
                        tried: false,
                        again: false,
                        mark: message.mark.clone().filter(|_| planned.volatile),
                        pass: None,
                    };
                    sends.push(self.deliver(job, address, line.as_deref()));
                }
                // Recipients do not wait for each other.
                let sends = futures_util::future::join_all(sends);
                let ((), sent) = futures_util::future::join(self.send_receipts(receipts), sends).await;
                became.extend(sent);
                super::note_outcome(&became);
            }
            Accepted::Duplicate { receipts, .. } => {
                self.metrics.outcome(message.kind.as_deref(), "duplicate", "");
                crate::telemetry::note_outcome("duplicate", None);
                self.send_receipts(receipts).await;
            }
            Accepted::Superseded { .. } => {
                super::note_outcome(&[(Outcome::Superseded, Some(Code::Superseded))]);
                self.settle_superseded().await;
            }
            Accepted::Conflict => unreachable!("a conflict was recorded as a rejected message"),
        }
    }

    pub(super) fn count(&self, kind: Option<&str>, state: &State) -> Option<Became> {
        match state {
            State::Ready(_) => None,
            State::Waiting { outcome, reason, .. } | State::Final { outcome, reason, .. } => {
                self.metrics.outcome(kind, outcome.as_str(), reason.code.as_str());
                Some((*outcome, Some(reason.code)))
            }
        }
    }

    pub(super) fn planned(
        &self,
        pipeline: &Pipeline,
        plan: Plan,
        mark: Option<Mark>,
        raw: &RawMessage,
        now: Timestamp,
    ) -> (NewMessage, Addresses) {
        let mut message = self.message(pipeline, raw, now, plan.sender.clone(), &plan.identity, plan.order);
        message.kind = Some(plan.kind);
        (message.subject, message.record, message.mark) = (plan.subject, plan.record, mark);
        let mut addresses = Addresses::with_capacity(plan.deliveries.len());
        for planned in plan.deliveries {
            let (delivery, address) = self.new_delivery(planned, &message, now);
            message.deliveries.push(delivery);
            addresses.push(address);
        }
        (message, addresses)
    }

    pub(super) fn new_delivery(
        &self,
        planned: Planned,
        message: &NewMessage,
        now: Timestamp,
    ) -> (NewDelivery, Option<Address>) {
        let recipient = (planned.recipient, planned.role);
        let (state, address) = match planned.fate {
            Fate::Deliver(outgoing, address) => {
                let of = Of { key: planned.idempotency_key, id: &message.id, received_at: message.received_at };
                match self.protected(outgoing, &address, of, now) {
                    Ok(outgoing) => (State::Ready(outgoing), Some(address)),
                    Err(reason) => (State::Waiting { outcome: Outcome::Parked, reason, again_at: None }, None),
                }
            }
            Fate::Wait(outcome, reason, until) => {
                let again_at = until.or_else(|| self.again_at(outcome, 0, now));
                (State::Waiting { outcome, reason, again_at }, None)
            }
            Fate::End(outcome, reason) => {
                let receipt = self.receipt(
                    &head(crate::ledger::MessageKey(0), message),
                    Some(&recipient),
                    planned.idempotency_key,
                    outcome,
                    Some(reason.clone()),
                    planned.decision.clone(),
                    None,
                );
                (State::Final { outcome, reason, receipt }, None)
            }
        };
        let delivery = NewDelivery {
            idempotency_key: planned.idempotency_key,
            recipient: Some(recipient),
            decision: planned.decision,
            volatile: planned.volatile,
            state,
        };
        (delivery, address)
    }

    pub(super) fn rejected(
        &self,
        pipeline: &Pipeline,
        rejection: &Rejection,
        raw: &RawMessage,
        now: Timestamp,
    ) -> NewMessage {
        let identity = rejection.identity();
        let sender = rejection.sender.clone().unwrap_or_else(|| PartyId::new("unknown"));
        let mut message = self.message(pipeline, raw, now, sender, &identity, None);
        message.kind.clone_from(&identity.message.r#type);
        self.reject(&mut message, rejection_reason(rejection));
        message
    }

    pub(super) fn conflicting(&self, message: &NewMessage, now: Timestamp) -> NewMessage {
        let mut conflicting = NewMessage {
            conflict: true,
            order: None,
            record: None,
            received_at: now,
            deliveries: Vec::new(),
            ..message.clone()
        };
        let code = Code::ReplayedWithOtherContent;
        let reason = Reason::new(code, code.hint()).with_problems(vec![Problem::new(code, "id", code.hint())]);
        self.reject(&mut conflicting, reason);
        conflicting
    }

    fn reject(&self, message: &mut NewMessage, reason: Reason) {
        let identity = crate::envelope::Identity {
            source: message.source.clone(),
            id: message.id.clone(),
            digest: message.digest,
            message: message.message_ref.clone(),
        };
        let key = derived_key(&identity, None);
        let head = head(crate::ledger::MessageKey(0), message);
        let outcome = Outcome::Rejected;
        let receipt = self.receipt(&head, None, key, outcome, Some(reason.clone()), Decision::default(), None);
        message.deliveries = vec![NewDelivery {
            idempotency_key: key,
            recipient: None,
            decision: Decision::default(),
            volatile: false,
            state: State::Final { outcome, reason, receipt },
        }];
    }

    pub(super) fn message(
        &self,
        pipeline: &Pipeline,
        raw: &RawMessage,
        now: Timestamp,
        sender: PartyId,
        identity: &crate::envelope::Identity,
        order: Option<Order>,
    ) -> NewMessage {
        NewMessage {
            source: identity.source.clone(),
            id: identity.id.clone(),
            kind: None,
            sender,
            digest: identity.digest,
            conflict: false,
            received_at: now,
            traceparent: crate::telemetry::current_traceparent(),
            caller: crate::telemetry::caller(raw),
            order,
            subject: Subject::default(),
            record: None,
            mark: None,
            message_ref: identity.message.clone(),
            policy_version: pipeline.engine.version.clone(),
            mapping_version: pipeline.mapping_version(),
            raw: raw.to_stored(),
            deliveries: Vec::new(),
        }
    }
}

pub(super) fn head(key: crate::ledger::MessageKey, message: &NewMessage) -> Head {
    Head {
        key,
        source: message.source.clone(),
        id: message.id.clone(),
        kind: message.kind.clone(),
        sender: message.sender.clone(),
        received_at: message.received_at,
        traceparent: message.traceparent.clone(),
        order: message.order,
        message_ref: message.message_ref.clone(),
        policy_version: message.policy_version.clone(),
        mapping_version: message.mapping_version.clone(),
    }
}
