//! Envelope: what came off the wire becomes a CloudEvent from a proven sender.
//! No schema, no policy and no IO in here.

use crate::party::PartyId;
use crate::personal::Personal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A message as it came off the wire, before anything was believed.
#[derive(Clone, Debug, Default)]
pub struct RawMessage {
    pub body: Personal<Vec<u8>>,
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    /// AMQP headers or HTTP headers, as text.
    pub headers: BTreeMap<String, String>,
    /// The user that the broker proved (`user-id`), if the publisher set it.
    pub user_id: Option<String>,
    /// The party whose inbound queue this came from.
    pub queue_of: Option<PartyId>,
}

/// The stored form of a [`RawMessage`]; the one place where its content is serialised.
#[derive(Serialize, Deserialize)]
struct StoredRaw {
    content_type: Option<String>,
    content_encoding: Option<String>,
    headers: BTreeMap<String, String>,
    user_id: Option<String>,
    queue_of: Option<PartyId>,
    body_len: usize,
}

impl RawMessage {
    /// One line of JSON with the attributes, a newline, then the body as it was.
    pub fn to_stored(&self) -> Personal<Vec<u8>> {
        let head = StoredRaw {
            content_type: self.content_type.clone(),
            content_encoding: self.content_encoding.clone(),
            headers: self.headers.clone(),
            user_id: self.user_id.clone(),
            queue_of: self.queue_of.clone(),
            body_len: self.body.reveal_personal_data().len(),
        };
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(self.body.reveal_personal_data());
        Personal::new(bytes)
    }

    pub fn from_stored(stored: &Personal<Vec<u8>>) -> Option<RawMessage> {
        let bytes = stored.reveal_personal_data();
        let newline = bytes.iter().position(|&b| b == b'\n')?;
        let head: StoredRaw = serde_json::from_slice(&bytes[..newline]).ok()?;
        let body = bytes[newline + 1..].to_vec();
        (body.len() == head.body_len).then(|| RawMessage {
            body: Personal::new(body),
            content_type: head.content_type,
            content_encoding: head.content_encoding,
            headers: head.headers,
            user_id: head.user_id,
            queue_of: head.queue_of,
        })
    }
}
