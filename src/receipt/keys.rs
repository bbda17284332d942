//! Signing keys, the published key set, and verification. Receipts are compact JWS (RFC 7515) with EdDSA
//! (RFC 8037); a stranger verifies one with the key set and any JOSE library.

use super::{Receipt, SignedReceipt};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as B64};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a receipt calls itself, so that no other token of ours can pass for one.
const TYP: &str = "ontvangstbewijs+jws";
const MAX_LENGTH: usize = 256 * 1024;
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

pub struct Signer {
    pair: Ed25519KeyPair,
    kid: String,
    /// The encoded JWS header with its dot: the same for every receipt.
    header: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path}: not an Ed25519 private key in PKCS#8 PEM")]
    NotAKey { path: PathBuf },
    #[error("{path}: not a key set (JWKS)")]
    NotAKeySet { path: PathBuf },
}

impl Signer {
    pub fn read(path: &Path) -> Result<Signer, KeyError> {
        let file = |source| KeyError::File { path: path.to_owned(), source };
        let not_a_key = || KeyError::NotAKey { path: path.to_owned() };
        let pem = std::fs::read_to_string(path).map_err(file)?;
        let body = pem.split_once(PEM_BEGIN).and_then(|(_, rest)| rest.split_once(PEM_END));
        let (body, _) = body.ok_or_else(not_a_key)?;
        let der = STANDARD.decode(body.split_whitespace().collect::<String>()).map_err(|_| not_a_key())?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| not_a_key())?;
        let kid = Key::of(pair.public_key().as_ref()).kid;
        let header = serde_json::json!({ "alg": "EdDSA", "typ": TYP, "kid": kid }).to_string();
        let header = format!("{}.", B64.encode(header));
        Ok(Signer { pair, kid, header })
    }

    /// Makes a new key in a file that only its owner can read. Never overwrites one.
    pub fn generate(path: &Path) -> Result<(), KeyError> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = |source| KeyError::File { path: path.to_owned(), source };
        let refused = |_| file(std::io::Error::other("the key could not be made"));
        let der = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(refused)?;
        let pem = format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(der.as_ref()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(path).and_then(|mut out| out.write_all(pem.as_bytes())).map_err(file)
    }

    pub fn sign(&self, receipt: &Receipt) -> SignedReceipt {
        let payload = serde_json::to_vec(receipt).expect("a receipt holds nothing that JSON cannot say");
        let mut token = self.header.clone();
        B64.encode_string(payload, &mut token);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        B64.encode_string(signature.as_ref(), &mut token);
        SignedReceipt { id: receipt.id, jws: token }
    }

    pub fn key(&self) -> Key {
        Key::of(self.pair.public_key().as_ref())
    }
}

/// A JSON Web Key Set (RFC 7517): the keys that verify receipts, also those that sign no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    pub keys: Vec<Key>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    kty: String,
    crv: String,
    x: String,
    pub kid: String,
    #[serde(default)]
    alg: String,
    #[serde(default, rename = "use")]
    usage: String,
}

impl Key {
    /// `kid` is the thumbprint of RFC 7638.
    fn of(public: &[u8]) -> Key {
        let x = B64.encode(public);
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = B64.encode(crate::envelope::digest(canonical.as_bytes()));
        let text = str::to_owned;
        Key { kty: text("OKP"), crv: text("Ed25519"), x, kid, alg: text("EdDSA"), usage: text("sig") }
    }
}

impl KeySet {
    pub fn read(path: &Path) -> Result<KeySet, KeyError> {
        let file = |source| KeyError::File { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(file)?;
        serde_json::from_str(&text).map_err(|_| KeyError::NotAKeySet { path: path.to_owned() })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("not a compact JWS of three base64url parts")]
    NotAJws,
    #[error("the header is not that of a receipt: alg EdDSA and typ {TYP}")]
    WrongHeader,
    #[error("the key set has no key with this kid")]
    UnknownKey,
    #[error("the signature does not fit: the receipt or the key was changed")]
    WrongSignature,
    #[error("signed, but not a receipt")]
    NotAReceipt,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

pub fn verify(jws: &str, keys: &KeySet) -> Result<Receipt, VerifyError> {
    let jws = jws.trim();
    if jws.len() > MAX_LENGTH {
        return Err(VerifyError::NotAJws);
    }
    let mut parts = jws.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(VerifyError::NotAJws);
    };
    let decode = |part: &str| B64.decode(part).map_err(|_| VerifyError::NotAJws);
    let signed = &jws[..header.len() + 1 + payload.len()];
    let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
    let header: Header = serde_json::from_slice(&header).map_err(|_| VerifyError::WrongHeader)?;
    if header.alg != "EdDSA" || header.typ != TYP {
        return Err(VerifyError::WrongHeader);
    }
    let key = keys.keys.iter().find(|key| key.kid == header.kid && key.crv == "Ed25519");
    let public = decode(&key.ok_or(VerifyError::UnknownKey)?.x).map_err(|_| VerifyError::UnknownKey)?;
    UnparsedPublicKey::new(&ED25519, public)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| VerifyError::WrongSignature)?;
    serde_json::from_slice(&payload).map_err(|_| VerifyError::NotAReceipt)
}

#[cfg(test)]
mod tests;
