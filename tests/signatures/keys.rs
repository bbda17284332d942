//! Keys as partners have them, and signatures as they, or those who attack them, make them.

#![allow(dead_code, reason = "of the two crates with this module one needs less of it")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PSS_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

pub struct Key {
    pub kid: String,
    pub alg: &'static str,
    /// Its public part.
    pub jwk: Value,
    pub sign: Sign,
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn ed25519(kid: &str) -> Key {
    let pair = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key()), "use": "sig", "kid": kid });
    Key { kid: kid.to_owned(), alg: "EdDSA", jwk, sign: Box::new(move |bytes| pair.sign(bytes).as_ref().to_vec()) }
}

pub fn p256(kid: &str) -> Key {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]), "use": "sig", "kid": kid
    });
    let sign = move |bytes: &[u8]| pair.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec();
    Key { kid: kid.to_owned(), alg: "ES256", jwk, sign: Box::new(sign) }
}

pub fn rsa(kid: &str) -> Key {
    let pair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    // SEQUENCE { INTEGER modulus, INTEGER exponent }
    let der = pair.public_key().as_ref();
    let jwk = json!({
        "kty": "RSA", "n": b64(&der[9..265]), "e": b64(&der[267..]), "use": "sig", "alg": "PS256", "kid": kid
    });
    let sign = move |bytes: &[u8]| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), bytes, &mut signature).unwrap();
        signature
    };
    Key { kid: kid.to_owned(), alg: "PS256", jwk, sign: Box::new(sign) }
}

pub fn set(keys: &[&Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// The header of an honest signature.
pub fn header(key: &Key, attributes: &BTreeMap<String, String>) -> Value {
    json!({ "alg": key.alg, "kid": key.kid, "ce": attributes })
}

/// Whatever header: `b64` in it is heeded, and nothing else.
pub fn detached(key: &Key, header: &Value, data: &[u8]) -> String {
    let encoded = b64(header.to_string());
    let mut input = format!("{encoded}.").into_bytes();
    match header["b64"] == false {
        true => input.extend_from_slice(data),
        false => input.extend_from_slice(b64(data).as_bytes()),
    }
    format!("{encoded}..{}", b64((key.sign)(&input)))
}
