//! Receipt (ontvangstbewijs): what became of a message for one recipient, signed, without a personal value.

pub mod keys;

use crate::category::Category;
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use base64::Engine;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The signed statement to the sender. One per final outcome; its bytes never change once signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Derived from message and recipient, so that it is the same however often it is made.
    pub id: uuid::Uuid,
    pub issuer: String,
    pub message: MessageRef,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Recipient>,
    pub decision: Decision,
    /// `sha-256=:base64:` over the bytes that went to the recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_digest: Option<String>,
    pub policy_version: String,
    pub mapping_version: String,
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRef {
    /// Absent when the message was too broken to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `sha-256=:base64:` over the data that was received.
    pub digest: String,
    /// Where the sender signed it, and it was right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Arc<Signature>>,
}

/// By which key of the sender, under which algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    pub kid: String,
    pub alg: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipient {
    pub party: PartyId,
    pub role: Role,
}

/// What was shared on which ground and what was withheld, per category. Names only, never values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub shared: Vec<Shared>,
    pub withheld: Vec<Withheld>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Decision {
    /// Of a delivery that was decided on, but ended before it was known to be delivered: nothing of it was shared,
    /// unless it was `tried`, as an attempt of which we heard nothing good may have reached the recipient.
    pub(crate) fn undelivered(mut self, tried: bool) -> Decision {
        if tried {
            self.notes.push("an attempt that failed may have reached the recipient".to_owned());
            return self;
        }
        let unsent = self
            .shared
            .drain(..)
            .map(|shared| Withheld { category: shared.category, reason: "it was not sent".to_owned() });
        self.withheld.extend(unsent);
        self.withheld.sort_by_key(|withheld| withheld.category);
        self
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    pub category: Category,
    pub policy: String,
    pub legal_basis: String,
    pub status: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Withheld {
    pub category: Category,
    pub reason: String,
}

/// A receipt as it travels and is stored: a compact JWS. Made by [`keys::Signer`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReceipt {
    id: uuid::Uuid,
    jws: String,
}

impl SignedReceipt {
    /// Of the receipt that is signed.
    pub fn id(&self) -> uuid::Uuid {
        self.id
    }
    pub fn as_str(&self) -> &str {
        &self.jws
    }
    /// What it says, taken on trust: for receipts that this gateway made and kept itself.
    pub(crate) fn content(&self) -> Option<Receipt> {
        let payload = self.jws.split('.').nth(1)?;
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
        serde_json::from_slice(&json).ok()
    }
    pub(crate) fn into_parts(self) -> (uuid::Uuid, String) {
        (self.id, self.jws)
    }
    /// From the ledger, where the very bytes are kept.
    pub(crate) fn from_ledger(id: uuid::Uuid, jws: String) -> Self {
        SignedReceipt { id, jws }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_was_not_shared_unless_an_attempt_may_have_arrived() {
        let shared = |category| Shared {
            category,
            policy: "re-integratie-melding".to_owned(),
            legal_basis: "Pbw art. 18a".to_owned(),
            status: "bevestigd".to_owned(),
        };
        let withheld = Withheld { category: Category::Titel, reason: "no rule permits it".to_owned() };
        let decision = Decision {
            shared: vec![shared(Category::Vonnis), shared(Category::Adres)],
            withheld: vec![withheld],
            notes: Vec::new(),
        };

        let unsent = decision.clone().undelivered(false);
        assert!(unsent.shared.is_empty() && unsent.notes.is_empty());
        let categories: Vec<Category> = unsent.withheld.iter().map(|withheld| withheld.category).collect();
        assert_eq!(categories, [Category::Adres, Category::Titel, Category::Vonnis]);

        let attempted = decision.clone().undelivered(true);
        assert_eq!((&attempted.shared, &attempted.withheld), (&decision.shared, &decision.withheld));
        assert_eq!(attempted.notes.len(), 1);
    }
}
