//! Signatures and encryption as anybody's own tools do them: JWS (RFC 7515, 7797) and JWE (RFC 7516) with a short,
//! fixed list of algorithms. No IO and no clock in here; which party has which key, the directory says.

pub mod detached;
pub mod encrypted;
pub mod keys;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Of what is signed as a whole or encrypted.
pub const CONTENT_TYPE: &str = "application/jose";
/// The attribute of an event that holds its detached signature: in binary mode a header like any other attribute.
pub const SIGNATURE: &str = "signature";
/// In a protected header: the attributes of the event that the content belongs to, so that neither goes with another.
const EVENT: &str = "ce";
/// What whoever carries a message on may change: nothing is decided by it.
const UNSIGNED: [&str; 3] = [SIGNATURE, "traceparent", "tracestate"];

/// A CloudEvent that goes out, as its receiver will see it.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Context attributes, `datacontenttype` left out.
    pub attributes: &'a [(&'static str, String)],
    pub content_type: &'a str,
}

impl Event<'_> {
    fn signed(&self) -> Value {
        let signed = self.attributes.iter().filter(|(name, _)| !UNSIGNED.contains(name));
        let mut all: Map<String, Value> =
            signed.map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
        all.insert("datacontenttype".to_owned(), self.content_type.into());
        Value::Object(all)
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Only what [`encode`] would write: no padding, no other alphabet, no bits to spare.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
