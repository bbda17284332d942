//! Signing keys, the published key set, and verification. Receipts are compact JWS (RFC 7515) with EdDSA
//! (RFC 8037); a stranger verifies one with the key set and any JOSE library.

use super::{Receipt, SignedReceipt};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, PublicKeyUse, ThumbprintHash};
pub use jsonwebtoken::jwk::{Jwk as Key, JwkSet as KeySet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a receipt calls itself, so that no other token of ours can pass for one.
const TYP: &str = "ontvangstbewijs+jws";
pub const MAX_LENGTH: usize = 256 * 1024;

pub struct Signer {
    key: EncodingKey,
    public: Key,
    header: Header,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.header.kid).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path}: not an Ed25519 private key in PKCS#8 PEM")]
    NotAKey { path: PathBuf },
    #[error("{path}: not a key set (JWKS) with an Ed25519 key")]
    NotAKeySet { path: PathBuf },
}

impl Signer {
    pub fn read(path: &Path) -> Result<Signer, KeyError> {
        let file = |source| KeyError::File { path: path.to_owned(), source };
        let pem = std::fs::read(path).map_err(file)?;
        Signer::from_pem(&pem).map_err(|_| KeyError::NotAKey { path: path.to_owned() })
    }

    fn from_pem(pem: &[u8]) -> Result<Signer, jsonwebtoken::errors::Error> {
        let key = EncodingKey::from_ed_pem(pem)?;
        let mut public = Key::from_encoding_key(&key, Algorithm::EdDSA)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let header = Header { typ: Some(TYP.to_owned()), kid: Some(kid), ..Header::new(Algorithm::EdDSA) };
        Ok(Signer { key, public, header })
    }

    /// Makes a new key in a file that only its owner can read. Never overwrites one.
    pub fn generate(path: &Path) -> Result<(), KeyError> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = |source| KeyError::File { path: path.to_owned(), source };
        let refused = |_| file(std::io::Error::other("the key could not be made"));
        let der = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(refused)?;
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(path).and_then(|mut out| out.write_all(pem.as_bytes())).map_err(file)
    }

    pub fn sign(&self, receipt: &Receipt) -> SignedReceipt {
        let jws = jsonwebtoken::encode(&self.header, receipt, &self.key)
            .expect("a receipt holds nothing that JSON cannot say, and the key was tried when it was read");
        SignedReceipt { id: receipt.id, jws }
    }

    /// For what is no receipt: whoever calls this gives it a header of its own.
    pub(crate) fn sign_bytes(&self, bytes: &[u8]) -> String {
        jsonwebtoken::crypto::sign(bytes, &self.key, Algorithm::EdDSA).expect("the key was tried when it was read")
    }

    pub fn kid(&self) -> &str {
        self.header.kid.as_deref().unwrap_or_default()
    }

    pub fn key(&self) -> Key {
        self.public.clone()
    }
}

/// A JSON Web Key Set (RFC 7517): the keys that verify receipts, also those that sign no longer. A set may hold
/// keys of other kinds; they are left behind, and so is a private part.
pub fn read_key_set(path: &Path) -> Result<KeySet, KeyError> {
    let file = |source| KeyError::File { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(file)?;
    let mut set: KeySet = serde_json::from_str(&text).unwrap_or_default();
    set.keys.retain(|key| {
        let ours =
            matches!(&key.algorithm, AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519);
        ours && key.common.key_id.is_some()
    });
    if set.keys.is_empty() { Err(KeyError::NotAKeySet { path: path.to_owned() }) } else { Ok(set) }
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

pub fn verify(jws: &str, keys: &KeySet) -> Result<Receipt, VerifyError> {
    use jsonwebtoken::errors::ErrorKind;
    let jws = jws.trim();
    if jws.len() > MAX_LENGTH || jws.split('.').count() != 3 {
        return Err(VerifyError::NotAJws);
    }
    let header = jsonwebtoken::decode_header(jws).map_err(|error| match error.kind() {
        ErrorKind::Json(_) => VerifyError::WrongHeader,
        _ => VerifyError::NotAJws,
    })?;
    if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYP) {
        return Err(VerifyError::WrongHeader);
    }
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or(VerifyError::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| VerifyError::UnknownKey)?;
    let mut rules = Validation::new(Algorithm::EdDSA);
    // A receipt is no token to get in with: it does not expire and is for whoever has it.
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    let decoded = jsonwebtoken::decode::<Receipt>(jws, &key, &rules).map_err(|error| match error.kind() {
        ErrorKind::Json(_) => VerifyError::NotAReceipt,
        ErrorKind::Base64(_) | ErrorKind::InvalidToken => VerifyError::NotAJws,
        _ => VerifyError::WrongSignature,
    })?;
    Ok(decoded.claims)
}

#[cfg(test)]
mod tests;
