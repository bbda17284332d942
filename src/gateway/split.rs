//! A list: recorded as one message, acknowledged, and then split into messages that wait in the ledger for their
//! turn. None of them is decided in here; the sweep takes them up, as it does whatever waits.

use super::outbox::{AT_ONCE, Ends};
use super::{Became, Gateway, intake};
use crate::code::Code;
use crate::core::{Fate, Pipeline, Planned, derived_key};
use crate::envelope::{Envelope, RawMessage, item_id};
use crate::explain::rejection_reason;
use crate::ledger::{Accepted, NewDelivery, NewMessage, Outgoing, State};
use crate::outcome::{Outcome, Reason};
use crate::personal::Personal;
use crate::receipt::Decision;
use crate::record::keeper;
use futures_util::future::join_all;
use jiff::Timestamp;
use std::sync::Arc;

impl Gateway {
    /// The list itself: for the gateway, and ours to split. Whoever takes it up later begins with it as it came in.
    pub(super) fn list(&self, pipeline: &Pipeline, list: &Envelope, raw: &RawMessage, now: Timestamp) -> NewMessage {
        let identity = list.identity();
        let mut message = self.message(pipeline, raw, now, list.sender().clone(), identity, None);
        message.kind = Some(list.kind().to_owned());
        let recipient = keeper();
        let nothing = Outgoing {
            kind: list.kind().to_owned(),
            content_type: String::new(),
            body: Personal::default(),
            digest: identity.message.digest.clone(),
        };
        message.deliveries = vec![NewDelivery {
            idempotency_key: derived_key(identity, Some((&recipient.0, &recipient.1))),
            recipient: Some(recipient),
            decision: Decision::default(),
            volatile: true,
            state: State::Ready(nothing),
        }];
        message
    }

    /// What follows once a list is safely recorded.
    pub(super) async fn after_list(self: &Arc<Self>, accepted: Accepted, message: NewMessage, raw: &RawMessage) {
        match accepted {
            Accepted::New { message: key, deliveries, .. } => {
                let (head, recipient) = (intake::head(key, &message), &keeper());
                for (delivery, planned) in deliveries.into_iter().zip(&message.deliveries) {
                    let ours = Ends { delivery, head: &head, recipient, key: planned.idempotency_key };
                    super::note_outcome(&[self.split(ours, raw).await]);
                }
            }
            Accepted::Duplicate { ref receipts, .. } => {
                let was_split = receipts
                    .iter()
                    .any(|receipt| receipt.jws.content().is_some_and(|receipt| receipt.outcome == Outcome::Delivered));
                let (source, id) = (message.source.clone(), message.id.clone());
                self.after(accepted, message, Vec::new(), None).await;
                if was_split {
                    self.receipts_of_items(&source, &id, raw).await;
                }
            }
            other => self.after(other, message, vec![None], None).await,
        }
    }

    /// Records each item, some at a time, and then that all of them are. An item that was recorded before, as where
    /// a crash came in between, is known by its name.
    pub(super) async fn split(self: &Arc<Self>, of: Ends<'_>, raw: &RawMessage) -> Became {
        let interrupted = (Outcome::Retrying, Some(Code::InTurn));
        let Ok(_turn) = self.lists.acquire().await else { return interrupted };
        let (pipeline, now) = (self.pipeline(), Timestamp::now());
        let list = match pipeline.open(raw, now).and_then(|envelope| pipeline.validate(envelope, now)) {
            Ok(list) => list,
            // The rules changed since it was taken in.
            Err(rejection) => return self.park(of.delivery, rejection_reason(&rejection)).await,
        };
        let mut items = pipeline.items(list, raw, now);
        let count = items.len();
        while items.len() > 0 {
            let some: Vec<_> = items.by_ref().take(AT_ONCE).map(|item| self.item(&pipeline, &item)).collect();
            let recorded = join_all(some.into_iter().map(|item| self.record_item(item))).await;
            if recorded.contains(&None) {
                // We are stopping, and it is still ours: it goes on at the next start.
                return interrupted;
            }
            self.due.notify_one();
        }
        let reason = Reason::new(Code::Split, format!("split into {count}: {0}#1 to {0}#{count}", of.head.id));
        self.end(of, Outcome::Delivered, reason, Decision::default()).await
    }

    /// One item, not decided on yet. One that is wrong ends here, for itself.
    fn item(&self, pipeline: &Pipeline, raw: &RawMessage) -> NewMessage {
        let now = Timestamp::now();
        match pipeline.plan_item(raw, now) {
            Ok(mut plan) => {
                plan.deliveries.iter_mut().for_each(|planned| in_turn(planned, now));
                self.planned(pipeline, plan, None, raw, now).0
            }
            Err(rejection) => self.rejected(pipeline, &rejection, raw, now),
        }
    }

    async fn record_item(self: &Arc<Self>, item: NewMessage) -> Option<()> {
        let mut item = item;
        loop {
            match self.until_recorded(|| self.ledger.accept(item.clone())).await? {
                Accepted::Conflict => item = self.conflicting(&item, Timestamp::now()),
                // It has its receipts, or will have them.
                Accepted::Duplicate { .. } => return Some(()),
                Accepted::Superseded { .. } => return Some(()),
                Accepted::New { receipts, .. } => {
                    for ended in item.deliveries.iter().filter(|delivery| matches!(delivery.state, State::Final { .. }))
                    {
                        self.count(item.kind.as_deref(), &ended.state);
                    }
                    self.send_receipts(receipts).await;
                    return Some(());
                }
            }
        }
    }

    /// For a list that comes once more.
    async fn receipts_of_items(self: &Arc<Self>, source: &str, list: &str, raw: &RawMessage) {
        let pipeline = self.pipeline();
        let now = Timestamp::now();
        let read = pipeline.open(raw, now).and_then(|envelope| pipeline.validate(envelope, now));
        let count = read.map_or(0, |list| list.items.reveal_personal_data().len());
        let ids: Vec<String> = (1..=count).map(|position| item_id(list, position)).collect();
        for some in ids.chunks(AT_ONCE) {
            let receipts = self.until_recorded(|| self.ledger.receipts_of(source, some)).await;
            self.send_receipts(receipts.unwrap_or_default()).await;
        }
    }
}

/// Whatever would be done now, or needs to be known first, is left to whoever takes it up.
fn in_turn(planned: &mut Planned, now: Timestamp) {
    if let Fate::Deliver(..) | Fate::Wait(Outcome::Retrying, ..) = planned.fate {
        let reason = Reason::new(Code::InTurn, Code::InTurn.hint());
        planned.fate = Fate::Wait(Outcome::Retrying, reason, Some(now));
    }
}
