//! Receipts: made once an outcome is final, kept with it, and sent to the sender of the message.

use super::Gateway;
use crate::directory::Party;
use crate::ledger::{Due, DueReceipt, Head};
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::receipt::{Decision, Receipt, Recipient, SignedReceipt};
use jiff::Timestamp;
use std::sync::Arc;
use tracing::Instrument;
use uuid::Uuid;

pub const RECEIPT_TYPE: &str = "nl.ketenpoort.ontvangstbewijs.v1";

impl Gateway {
    #[allow(clippy::too_many_arguments, reason = "a receipt says this many things, each once")]
    pub(super) fn receipt(
        &self,
        head: &Head,
        recipient: Option<&(PartyId, Role)>,
        key: Uuid,
        outcome: Outcome,
        reason: Option<Reason>,
        decision: Decision,
        forwarded_digest: Option<String>,
    ) -> SignedReceipt {
        let trace_id = head.traceparent.as_deref().and_then(|t| t.split('-').nth(1)).map(str::to_owned);
        let recipient = recipient.map(|(party, role)| Recipient { party: party.clone(), role: role.clone() });
        let receipt = Receipt {
            id: receipt_id(key, head.received_at),
            issuer: self.issuer.clone(),
            message: head.message_ref.clone(),
            outcome,
            reason,
            recipient,
            decision,
            forwarded_digest,
            policy_version: head.policy_version.clone(),
            mapping_version: head.mapping_version.clone(),
            time: Timestamp::now(),
            trace_id,
        };
        crate::telemetry::stage_span("receipt").in_scope(|| self.signer.sign(&receipt))
    }

    /// A final outcome that another message or a person brought about, and that has no receipt yet.
    pub(super) fn receipt_for(&self, due: &Due, outcome: Outcome, reason: Reason) -> SignedReceipt {
        self.receipt(
            &due.message,
            due.recipient.as_ref(),
            due.idempotency_key,
            outcome,
            Some(reason),
            due.decision.clone().undelivered(due.tried),
            None,
        )
    }

    pub(super) async fn send_receipts(self: &Arc<Self>, receipts: Vec<DueReceipt>) {
        for receipt in receipts {
            self.send_receipt(receipt).await;
        }
    }

    /// Returns once it is on its way. It is safe in the ledger, so whoever made it need not wait for the sender's
    /// queue; only when too many are on their way does this wait.
    pub(super) async fn send_receipt(self: &Arc<Self>, receipt: DueReceipt) {
        let Ok(room) = self.receipts_in_flight.clone().acquire_owned().await else { return };
        let gateway = self.clone();
        let sending = async move {
            gateway.send_one(receipt).await;
            drop(room);
        };
        self.tasks.spawn(sending.in_current_span());
    }

    async fn send_one(&self, receipt: DueReceipt) {
        let pipeline = self.pipeline();
        let Some(party) = pipeline.directory.by_id(&receipt.to).filter(|p| !p.users.is_empty()) else {
            // Nobody to send it to; it stays in the ledger and can be had over HTTP.
            let _ = self.until_recorded(|| self.ledger.receipt_sent(receipt.key)).await;
            return;
        };
        let traceparent = receipt.traceparent.as_deref();
        let span = crate::telemetry::publish_span(&party.receipts, receipt.receipt_id, traceparent);
        self.publish_receipt(party, &receipt).instrument(span).await;
    }

    async fn publish_receipt(&self, party: &Party, receipt: &DueReceipt) {
        let event = super::outbox::Event {
            id: receipt.receipt_id,
            kind: RECEIPT_TYPE,
            content_type: "application/jose",
            correlation_id: None,
            time: Timestamp::now(),
        };
        let publication = self.publication(&event, party.receipts.clone(), receipt.jws.as_str().as_bytes().to_vec());
        match self.publisher.publish(publication).await {
            Ok(()) => {
                self.metrics.receipt_sent();
                let _ = self.until_recorded(|| self.ledger.receipt_sent(receipt.key)).await;
            }
            Err(failure) => {
                crate::telemetry::note_failure(failure.kind());
                tracing::warn!(error = %failure, receipt = %receipt.receipt_id, "a receipt was not taken; it is retried");
                let attempts = receipt.attempts + 1;
                let next = self.after_backoff(attempts, Timestamp::now());
                let _ = self.until_recorded(|| self.ledger.receipt_retry(receipt.key, attempts, next)).await;
            }
        }
    }
}

/// Derived from the delivery, so that it is the same however often it is made. It begins with the time, so that
/// receipts made together lie together in the ledger's index.
fn receipt_id(key: Uuid, received_at: Timestamp) -> Uuid {
    let mut named = b"ontvangstbewijs".to_vec();
    named.extend_from_slice(key.as_bytes());
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&received_at.as_millisecond().to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&crate::envelope::digest(&named)[..10]);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_has_the_same_id_when_it_is_made_again_from_the_ledger() {
        let key = Uuid::from_u128(1);
        let received: Timestamp = "2026-03-01T12:00:00.123456789Z".parse().unwrap();
        // The ledger keeps microseconds.
        let stored = Timestamp::from_microsecond(received.as_microsecond()).unwrap();
        assert_eq!(receipt_id(key, received), receipt_id(key, stored));
        assert_ne!(receipt_id(key, received), receipt_id(Uuid::from_u128(2), received));
    }

    #[test]
    fn receipts_follow_each_other_in_time() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let keys = [Uuid::from_u128(u128::MAX), Uuid::from_u128(1)];
        let ids = [receipt_id(keys[0], at("2026-03-01T12:00:00Z")), receipt_id(keys[1], at("2026-03-01T12:00:01Z"))];
        assert!(ids[0] < ids[1]);
    }
}
