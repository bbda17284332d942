//! Payload at rest: sealed with AES-256-GCM under keys that are not in the database. Each value is bound to its
//! place, so that one that was moved to another row or column does not open. No SQL in here.

use crate::record::Pseudonym;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::sync::Arc;

const KEY: usize = 32;
const ID: usize = 8;
/// What a sealed value ends with: nonce, key id, version.
const TRAILER: usize = NONCE_LEN + ID + 1;
const TAG: usize = 16;
const VERSION: u8 = 1;
const PLACE: usize = 17;

/// The keys of a ledger: the first seals and opens, the others open what was sealed under them.
#[derive(Clone, Default)]
pub struct Keys(Arc<[Key]>);

struct Key {
    id: [u8; ID],
    key: RandomizedNonceKey,
}

/// Which value it is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Of this message.
    Raw(i64),
    /// Of this delivery.
    Body(i64),
    /// Under which the disclosure log knows this person.
    PersonKey(Pseudonym),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("holds no key; make one with `ketenpoort keys ledger FILE`")]
    None,
    #[error("key {0} is not 32 bytes in base64; make one with `ketenpoort keys ledger FILE`")]
    NotAKey(usize),
    #[error("key {0} is there twice")]
    Twice(usize),
}

/// Why a value cannot be sealed or opened. Says nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("there is no key to seal with")]
    NoKey,
    #[error("sealed under key {0}, which is not among those of the ledger")]
    UnknownKey(String),
    #[error("not as it was sealed: changed, or from another place")]
    Changed,
}

impl Keys {
    /// One a line in base64, the current one first. A line that begins with `#` is a remark.
    pub fn parse(text: &str) -> Result<Keys, KeysError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut keys: Vec<Key> = Vec::new();
        for (place, word) in lines.flat_map(str::split_whitespace).enumerate() {
            let wrong = KeysError::NotAKey(place + 1);
            let bytes: [u8; KEY] = STANDARD.decode(word).ok().and_then(|b| b.try_into().ok()).ok_or(wrong)?;
            let key = Key { id: id(&bytes), key: RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| wrong)? };
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeysError::Twice(place + 1));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeysError::None) } else { Ok(Keys(keys.into())) }
    }

    /// A new key in the form that [`Keys::parse`] reads.
    pub fn generate() -> Result<String, SealError> {
        let mut key = [0; KEY];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| SealError::NoKey)?;
        Ok(STANDARD.encode(key))
    }

    /// How values name the current key; tells nothing of the key itself.
    pub fn current_id(&self) -> Option<String> {
        self.0.first().map(|key| hex(&key.id))
    }

    pub fn has_older(&self) -> bool {
        self.0.len() > 1
    }

    /// Whether it is among the older ones that a value is sealed under.
    pub(super) fn is_older(&self, sealed: &[u8]) -> bool {
        let id = sealed.len().checked_sub(ID + 1).and_then(|start| sealed.get(start..start + ID));
        id.is_some_and(|id| self.0.iter().skip(1).any(|key| key.id == id))
    }

    pub(super) fn seal(&self, mut value: Vec<u8>, place: Place) -> Result<Vec<u8>, SealError> {
        let Key { id, key } = self.0.first().ok_or(SealError::NoKey)?;
        // In place and with room for the rest, so that no second copy of it lies about.
        value.reserve_exact(TAG + TRAILER);
        let nonce = key.seal_in_place_append_tag(Aad::from(place.bytes()), &mut value).map_err(|_| SealError::NoKey)?;
        value.extend_from_slice(nonce.as_ref());
        value.extend_from_slice(id);
        value.push(VERSION);
        Ok(value)
    }

    pub(super) fn open(&self, mut sealed: Vec<u8>, place: Place) -> Result<Vec<u8>, SealError> {
        let end = sealed.len().checked_sub(TRAILER).ok_or(SealError::Changed)?;
        let (value, trailer) = sealed.split_at_mut(end);
        let (nonce, rest) = trailer.split_at(NONCE_LEN);
        let (id, version) = rest.split_at(ID);
        if version != [VERSION] {
            return Err(SealError::Changed);
        }
        let key = self.0.iter().find(|key| key.id == id).ok_or_else(|| SealError::UnknownKey(hex(id)))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Changed)?;
        let opened = key.key.open_in_place(nonce, Aad::from(place.bytes()), value);
        let length = opened.map_err(|_| SealError::Changed)?.len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| hex(&key.id))).finish()
    }
}

impl Place {
    fn bytes(self) -> [u8; PLACE] {
        let mut bytes = [0; PLACE];
        let (column, key) = match self {
            Place::Raw(message) => (b'r', message),
            Place::Body(delivery) => (b'b', delivery),
            Place::PersonKey(Pseudonym(pseudonym)) => {
                bytes[0] = b'p';
                bytes[1..].copy_from_slice(&pseudonym);
                return bytes;
            }
        };
        bytes[0] = column;
        bytes[1..9].copy_from_slice(&key.to_be_bytes());
        bytes
    }
}

/// Of a key that is all random, so that nobody finds it by trying.
fn id(key: &[u8; KEY]) -> [u8; ID] {
    let mut whole = b"ketenpoort ledger key ".to_vec();
    whole.extend_from_slice(key);
    let mut id = [0; ID];
    id.copy_from_slice(&digest(&SHA256, &whole).as_ref()[..ID]);
    id
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
