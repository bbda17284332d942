//! Encrypts to one key: compact JWE (RFC 7516) with ECDH-ES or ECDH-ES+A256KW (RFC 7518 section 4.6, RFC 8037) and
//! A256GCM. Only the owner of the key can open it again, so nothing in here can.

use super::{EVENT, Event, decode, encode};
use crate::personal::Personal;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use serde_json::{Value, json};

const ENC: &str = "A256GCM";

/// A public key of a recipient. What [`super::keys`] made of a JWK, and tried.
#[derive(Debug)]
pub struct Key {
    pub kid: String,
    pub(super) curve: Curve,
    pub(super) way: Way,
    pub(super) public: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Curve {
    P256,
    X25519,
}

/// How the content key comes about: agreed on, or wrapped under what was agreed on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Direct,
    Wrapped,
}

impl Curve {
    fn algorithm(self) -> &'static agreement::Algorithm {
        match self {
            Curve::P256 => &ECDH_P256,
            Curve::X25519 => &X25519,
        }
    }

    /// The public key as a JWK.
    fn jwk(self, public: &[u8]) -> Value {
        match self {
            // The first byte says that both coordinates follow.
            Curve::P256 => json!({
                "kty": "EC", "crv": "P-256", "x": encode(&public[1..33]), "y": encode(&public[33..])
            }),
            Curve::X25519 => json!({ "kty": "OKP", "crv": "X25519", "x": encode(public) }),
        }
    }
}

impl Way {
    fn algorithm(self) -> &'static str {
        match self {
            Way::Direct => "ECDH-ES",
            Way::Wrapped => "ECDH-ES+A256KW",
        }
    }
}

impl Key {
    /// `content_type` is that of the content; `event` is the one that carries the result.
    pub fn encrypt(
        &self,
        content: &Personal<Vec<u8>>,
        content_type: &str,
        event: &Event<'_>,
    ) -> Result<String, Unspecified> {
        self.sealed(content.reveal_personal_data(), content_type, &event.signed())
    }

    pub(super) fn try_out(&self) -> Result<(), Unspecified> {
        self.sealed(b"", "", &Value::Null).map(drop)
    }

    fn sealed(&self, content: &[u8], content_type: &str, event: &Value) -> Result<String, Unspecified> {
        let ephemeral = PrivateKey::generate(self.curve.algorithm())?;
        let public = ephemeral.compute_public_key()?;
        let secret = agreed(&ephemeral, &self.public, |secret| Ok(secret.to_vec()))?;
        let (content_key, encrypted_key) = match self.way {
            Way::Direct => (derived(&secret, ENC, b"", b"", 256), Vec::new()),
            Way::Wrapped => wrapped(&derived(&secret, self.way.algorithm(), b"", b"", 256))?,
        };
        let header = json!({
            "alg": self.way.algorithm(),
            "enc": ENC,
            "kid": self.kid,
            "cty": content_type,
            "epk": self.curve.jwk(public.as_ref()),
            EVENT: event,
        });
        let header = encode(header.to_string());
        let mut nonce = [0; 12];
        aws_lc_rs::rand::fill(&mut nonce)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &content_key)?);
        let mut text = content.to_vec();
        let aad = Aad::from(header.as_bytes());
        let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)?;
        let [encrypted_key, nonce, text, tag] =
            [encrypted_key.as_slice(), &nonce, text.as_slice(), tag.as_ref()].map(encode);
        Ok(format!("{header}.{encrypted_key}.{nonce}.{text}.{tag}"))
    }
}

/// To whose key something was encrypted: what its header says.
pub fn kid_of(jwe: &[u8]) -> Option<String> {
    let header = jwe.split(|&byte| byte == b'.').next()?;
    let header: Value = serde_json::from_slice(&decode(std::str::from_utf8(header).ok()?)?).ok()?;
    header.get("kid")?.as_str().map(str::to_owned)
}

fn agreed<T>(
    own: &PrivateKey,
    other: &[u8],
    with: impl FnOnce(&[u8]) -> Result<T, Unspecified>,
) -> Result<T, Unspecified> {
    agreement::agree(own, UnparsedPublicKey::new(own.algorithm(), other), Unspecified, with)
}

/// The Concat KDF of NIST SP 800-56A, as RFC 7518 section 4.6.2 has it. One round: no more than 256 bits are asked.
fn derived(secret: &[u8], algorithm: &str, apu: &[u8], apv: &[u8], bits: u32) -> Vec<u8> {
    let mut round = Context::new(&SHA256);
    round.update(&1_u32.to_be_bytes());
    round.update(secret);
    for part in [algorithm.as_bytes(), apu, apv] {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        round.update(&length.to_be_bytes());
        round.update(part);
    }
    round.update(&bits.to_be_bytes());
    let mut key = round.finish().as_ref().to_vec();
    key.truncate(bits as usize / 8);
    key
}

/// A new content key, and what it is under the agreed one.
fn wrapped(agreed: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Unspecified> {
    let mut key = vec![0; 32];
    aws_lc_rs::rand::fill(&mut key)?;
    let mut out = vec![0; key.len() + 8];
    AesKek::new(&AES_256, agreed)?.wrap(&key, &mut out)?;
    Ok((key, out))
}

#[cfg(test)]
mod tests;
