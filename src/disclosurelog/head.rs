//! Signed tree heads: how large the tree is and what its root is, as a compact JWS under the keys of the receipts. A
//! head kept elsewhere is what nobody can rewrite. Pure.

use super::tree::Hash;
use crate::receipt::keys::{KeySet, Signer, VerifyError, verify_as};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a head calls itself, so that neither it nor a receipt passes for the other.
pub const TYP: &str = "tree-head+jws";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    pub issuer: String,
    #[serde(with = "base64_hash")]
    pub root: Hash,
    pub size: u64,
    pub time: Timestamp,
}

/// A statement and the signature under it, as it is kept and given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    pub root: Hash,
    pub time: Timestamp,
    pub jws: String,
}

impl Head {
    pub fn sign(signer: &Signer, issuer: &str, size: u64, root: Hash, time: Timestamp) -> Head {
        // The ledger keeps microseconds.
        let time = Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time);
        let jws = signer.sign_as(TYP, &Statement { issuer: issuer.to_owned(), root, size, time });
        Head { size, root, time, jws }
    }
}

pub fn verify(jws: &str, keys: &KeySet) -> Result<Statement, VerifyError> {
    verify_as(TYP, jws, keys)
}

/// What it says, taken on trust: of a head that this gateway made and kept itself.
pub fn read(jws: &str) -> Option<Statement> {
    let payload = URL_SAFE_NO_PAD.decode(jws.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

pub fn base64(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

pub fn from_base64(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

pub mod base64_hash {
    use super::Hash;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::base64(hash))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::from_base64(&text).ok_or_else(|| D::Error::custom("32 bytes in base64"))
    }
}
