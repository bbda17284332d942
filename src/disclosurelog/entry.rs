//! What a leaf says, byte for byte: one JSON object in the canonical form of RFC 8785, so that whoever has a record can
//! make its leaf again. docs/disclosure-log.md has it for outsiders. Pure; nothing in an entry is a personal value.

use crate::ledger::{Logged, LoggedAction, LoggedPurge, LoggedReceipt};
use crate::record::Pseudonym;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Of one entry, so that nobody who has the entry alone can try out what its record says. Whoever may have the record
/// gets it with the proof; it goes with the entry.
pub type DigestKey = [u8; 32];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Receipt,
    Action,
    Purge,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Receipt, Kind::Action, Kind::Purge];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Receipt => "receipt",
            Kind::Action => "action",
            Kind::Purge => "purge",
        }
    }

    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// INVARIANT: fields in the order of their names, and no number that JSON could write in two ways: then what serde
/// writes is the canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What ended before then went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Whose receipt it is, or what an action was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<i64>,
    /// HMAC-SHA-256 under the digest key of the entry: of the receipt's JWS, or of the record of what was done.
    pub digest: String,
    /// The entries that went, as `0-127,130-130`: their leaves stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<String>,
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping_version: Option<String>,
    /// The same of source, a zero byte and id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Under the key of the person, another in each entry: see [`person`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_bsn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_skn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// The id of the receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The key of the receipt, the action or the purge in its table.
    pub record: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    pub time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// What was done, or what was purged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
}

/// What a receipt says that the tables do not, or not for as long.
#[derive(Default, Deserialize)]
struct Said {
    message: SaidMessage,
    time: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
struct SaidMessage {
    source: Option<String>,
    id: Option<String>,
}

#[derive(Serialize)]
struct ActionRecord<'a> {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<i64>,
    what: &'a str,
    who: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct PurgeRecord<'a> {
    at: String,
    before: String,
    count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<&'a str>,
    what: &'a str,
}

impl Entry {
    fn of_receipt(receipt: &LoggedReceipt, key: &DigestKey) -> Entry {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let said = said(&receipt.jws).unwrap_or_default();
        let SaidMessage { source, id } = said.message;
        let named = source.zip(id).map(|(source, id)| [source.as_bytes(), &[0], id.as_bytes()].concat());
        Entry {
            delivery: Some(receipt.delivery),
            outcome: receipt.outcome.clone(),
            policy_version: receipt.policy_version.clone(),
            mapping_version: receipt.mapping_version.clone(),
            message: named.map(|named| keyed(&key, &named)),
            receipt: Some(receipt.id.to_string()),
            recipient: receipt.recipient.clone(),
            role: receipt.role.clone(),
            sender: receipt.sender.clone(),
            r#type: receipt.kind.clone(),
            time: said.time.map_or_else(|| time(receipt.finished_at), |time| time.to_string()),
            ..Entry::new(Kind::Receipt, receipt.key, keyed(&key, receipt.jws.as_bytes()), 0)
        }
    }

    fn of_action(action: &LoggedAction, key: &DigestKey) -> Entry {
        let LoggedAction { at, delivery, what, who, why, .. } = action;
        let record = canonical(&ActionRecord { at: time(*at), delivery: *delivery, what, who, why });
        Entry {
            delivery: *delivery,
            what: Some(what.clone()),
            ..Entry::new(Kind::Action, action.key, keyed(&hmac::Key::new(hmac::HMAC_SHA256, key), &record), *at)
        }
    }

    fn of_purge(purge: &LoggedPurge, key: &DigestKey) -> Entry {
        let LoggedPurge { at, before, count, entries, what, .. } = purge;
        let before = time(*before);
        let entries = entries.as_deref();
        let record = canonical(&PurgeRecord { at: time(*at), before: before.clone(), count: *count, entries, what });
        Entry {
            before: Some(before),
            count: Some(*count),
            entries: entries.map(str::to_owned),
            what: Some(what.clone()),
            ..Entry::new(Kind::Purge, purge.key, keyed(&hmac::Key::new(hmac::HMAC_SHA256, key), &record), *at)
        }
    }

    pub fn of(logged: &Logged, key: &DigestKey) -> Entry {
        match logged {
            Logged::Receipt(receipt) => Entry::of_receipt(receipt, key),
            Logged::Action(action) => Entry::of_action(action, key),
            Logged::Purge(purge) => Entry::of_purge(purge, key),
        }
    }

    fn new(kind: Kind, record: i64, digest: String, at: i64) -> Entry {
        Entry {
            kind,
            record,
            digest,
            time: time(at),
            before: None,
            count: None,
            delivery: None,
            entries: None,
            mapping_version: None,
            message: None,
            outcome: None,
            person_bsn: None,
            person_skn: None,
            policy_version: None,
            receipt: None,
            recipient: None,
            role: None,
            sender: None,
            r#type: None,
            what: None,
        }
    }

    /// The bytes of the leaf.
    pub fn canonical(&self) -> String {
        String::from_utf8(canonical(self)).unwrap_or_default()
    }

    /// Whether its digest is that of these bytes.
    pub fn is_digest_of(&self, key: &DigestKey, bytes: &[u8]) -> bool {
        let digest = STANDARD.decode(&self.digest).unwrap_or_default();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes, &digest).is_ok()
    }

    /// Whom it is about, under a key that can be forgotten.
    pub fn person(&self, key: &[u8], pseudonym: Pseudonym) -> String {
        let Pseudonym(bytes) = pseudonym;
        keyed(&hmac::Key::new(hmac::HMAC_SHA256, key), &[bytes.as_slice(), self.digest.as_bytes()].concat())
    }

    /// In microseconds.
    pub fn at(&self) -> Option<i64> {
        self.time.parse::<Timestamp>().ok().map(|time| time.as_microsecond())
    }
}

/// Out of a receipt that lies in the ledger, where nobody vouches for it yet.
fn said(jws: &str) -> Option<Said> {
    let payload = URL_SAFE_NO_PAD.decode(jws.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn keyed(key: &hmac::Key, bytes: &[u8]) -> String {
    STANDARD.encode(hmac::sign(key, bytes))
}

fn canonical(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// As receipts have it.
fn time(microseconds: i64) -> String {
    Timestamp::from_microsecond(microseconds).unwrap_or_default().to_string()
}
