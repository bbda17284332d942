//! What the console may see of the gateway, and the one thing that it may put on record with it.

use super::Gateway;
use crate::console::{House, Judgement};
use crate::core::{self, Pipeline};
use crate::envelope::{Identity, RawMessage, digest, digest_label};
use crate::ledger::{Accepted, Error};
use crate::party::PartyId;
use crate::receipt::MessageRef;
use crate::record::{Kind, Record, keeper};
use jiff::Timestamp;
use serde_json::json;
use std::pin::Pin;
use std::sync::Arc;

/// As if the probation service had sent it; it came from one of its own people.
const ASSESSMENT: &str = "nl.ketenpoort.beoordeling.vastgelegd.v1";

impl House for Gateway {
    fn pipeline(&self) -> Arc<Pipeline> {
        Gateway::pipeline(self)
    }

    fn down(&self) -> Vec<PartyId> {
        self.gates.all().iter().filter(|gate| gate.is_down()).map(|gate| gate.party().clone()).collect()
    }

    fn record(self: Arc<Self>, judgement: Judgement) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move { self.judged(judgement).await })
    }
}

impl Gateway {
    /// A fact like any other: it counts at once, and what waits for it goes on.
    async fn judged(self: Arc<Self>, judgement: Judgement) -> Result<(), Error> {
        let (pipeline, now) = (Gateway::pipeline(&self), Timestamp::now());
        let id = format!("console-{}", uuid::Uuid::new_v4());
        let content = json!({
            "id": id, "soort": judgement.kind, "betreft": judgement.message, "betreft_bron": judgement.source,
            "categorieen": judgement.categories, "op": now.to_string(),
            "geldig_tot": judgement.until.map(|date| date.to_string()),
        });
        let record = Record::read(Kind::Beoordeling, &content, None).map_err(|error| {
            tracing::error!(%error, "an assessment that cannot be read back");
            Error::Unavailable
        })?;
        let bytes = content.to_string().into_bytes();
        let message_ref = MessageRef {
            r#type: Some(ASSESSMENT.to_owned()),
            source: Some(self.issuer.clone()),
            id: Some(id.clone()),
            digest: digest_label(&bytes),
            signature: None,
        };
        let identity = Identity { source: self.issuer.clone(), id, digest: digest(&bytes), message: message_ref };
        let planned = core::recorded(&record, &identity);
        let mut message = self.message(&pipeline, &RawMessage::default(), now, keeper().0, &identity, None);
        (message.kind, message.subject, message.record) =
            (Some(ASSESSMENT.to_owned()), judgement.subject, Some(record));
        let (delivery, _) = self.new_delivery(planned, &message, now);
        message.deliveries.push(delivery);
        if let Accepted::New { receipts, .. } = self.ledger.accept(message).await? {
            self.send_receipts(receipts).await;
        }
        self.due.notify_one();
        Ok(())
    }
}
