//! Envelope: what came off the wire becomes a CloudEvent from a proven sender.
//! No schema, no policy and no IO in here.

mod open;

use crate::directory::Party;
use crate::outcome::Problem;
use crate::party::PartyId;
use crate::personal::Personal;
use crate::receipt::MessageRef;
use base64::Engine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

pub use open::{Sizes, open};

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
    /// What is left of a body that was too large to be carried at all; `body` is then empty.
    pub oversize: Option<Oversize>,
    /// Of an item of a list that the gateway split: the digest of the list, as its receipts name it. Whoever fills
    /// this in is the gateway; nothing that comes off the wire can.
    pub part_of: Option<String>,
    /// It was taken in before, or we made it up ourselves, as `explain` does: nobody asks for its signature (any more).
    /// A key that was good then need not be good now. Nothing that comes off the wire can say so.
    pub admitted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize {
    size: u64,
    digest: [u8; 32],
}

impl Oversize {
    pub fn of(body: &[u8]) -> Oversize {
        Oversize { size: body.len() as u64, digest: digest(body) }
    }
}

/// The stored form of a [`RawMessage`]; the one place where its content is serialised.
#[derive(Serialize, Deserialize)]
struct StoredRaw {
    content_type: Option<String>,
    content_encoding: Option<String>,
    headers: BTreeMap<String, String>,
    user_id: Option<String>,
    queue_of: Option<PartyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part_of: Option<String>,
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
            part_of: self.part_of.clone(),
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
            oversize: None,
            part_of: head.part_of,
            // Nothing else is stored.
            admitted: true,
        })
    }
}

/// A CloudEvent from a proven sender. Only [`open`] makes one.
#[derive(Debug)]
pub struct Envelope {
    pub(crate) sender: Arc<Party>,
    pub(crate) attributes: Attributes,
    pub(crate) data: Personal<Vec<u8>>,
    pub(crate) identity: Identity,
    /// Made by the gateway itself, out of a list.
    pub(crate) internal: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Attributes {
    pub id: String,
    pub kind: String,
    pub sequence: Option<i64>,
    pub data_content_type: Option<String>,
}

impl Envelope {
    pub fn kind(&self) -> &str {
        &self.attributes.kind
    }
    pub fn id(&self) -> &str {
        &self.attributes.id
    }
    pub fn sender(&self) -> &PartyId {
        &self.sender.id
    }
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// What the item at a position of a list is called, the first one 1. Not by a number of its own: two items may have
/// the same, and one that is wrong may have none.
pub fn item_id(list: &str, position: usize) -> String {
    format!("{list}#{position}")
}

/// What makes a message the same message again, and what a receipt calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub source: String,
    pub id: String,
    /// Over type, sequence and data: another digest under the same id is another message.
    pub digest: [u8; 32],
    pub message: MessageRef,
}

/// A message that is not taken in, and everything that is wrong with it.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// Who gets the receipt; unknown if neither the user nor the queue tells.
    pub sender: Option<PartyId>,
    pub problems: Vec<Problem>,
    identity: Identity,
}

impl Rejection {
    /// Before anything could be read, the bytes themselves are the message's only name.
    fn of(raw: &RawMessage) -> Box<Rejection> {
        let body = raw.body.reveal_personal_data();
        let queue = raw.queue_of.as_ref().map_or("unknown", |party| party.as_str());
        let digest = raw.oversize.map_or_else(|| digest(body), |oversize| oversize.digest);
        let identity = Identity {
            source: format!("queue:{queue}"),
            id: hex(&digest),
            digest,
            message: MessageRef { r#type: None, source: None, id: None, digest: label(digest), signature: None },
        };
        Box::new(Rejection { sender: None, problems: Vec::new(), identity })
    }

    pub(crate) fn from_envelope(envelope: &Envelope, problems: Vec<Problem>) -> Box<Rejection> {
        let sender = Some(envelope.sender.id.clone());
        Box::new(Rejection { sender, problems: bounded(problems), identity: envelope.identity.clone() })
    }

    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// What the message says it is. That names it in a receipt; only [`Rejection::name_as`] names it to us.
    fn know(&mut self, context: &BTreeMap<String, String>, data: [u8; 32]) {
        let get = |name: &str| repeatable(context, name);
        let (kind, source, id) = (get("type"), get("source"), get("id"));
        let sequence = context.get("sequence").map_or("", String::as_str);
        let mut whole = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in [kind.as_deref().unwrap_or_default().as_bytes(), sequence.as_bytes(), &data] {
            whole.update(&(part.len() as u64).to_be_bytes());
            whole.update(part);
        }
        self.identity.digest.copy_from_slice(whole.finish().as_ref());
        self.identity.message = MessageRef { r#type: kind, source, id, digest: label(data), signature: None };
    }

    /// For a sender that was proven: under another's name nobody may use up an id.
    fn name_as(&mut self, context: &BTreeMap<String, String>) {
        if let (Some(source), Some(id)) = (repeatable(context, "source"), repeatable(context, "id")) {
            self.identity.source = source;
            self.identity.id = id;
        }
    }

    /// For one that was not signed as it must be: it uses up no id, and no other such message is the same.
    fn name_unsigned(&mut self, context: &BTreeMap<String, String>) {
        let mut whole = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        whole.update(&self.identity.digest);
        let untraced = context.iter().filter(|(name, _)| !matches!(name.as_str(), "traceparent" | "tracestate"));
        for part in untraced.flat_map(|(name, value)| [name, value]) {
            whole.update(&(part.len() as u64).to_be_bytes());
            whole.update(part.as_bytes());
        }
        self.identity.id = hex(whole.finish().as_ref());
    }

    fn because(mut self: Box<Self>, problem: Problem) -> Box<Self> {
        self.problems.push(problem);
        self
    }

    fn because_all(mut self: Box<Self>, problems: Vec<Problem>) -> Box<Self> {
        self.problems = bounded(problems);
        self
    }
}

/// An attribute that holds a personal number is not repeated anywhere.
fn repeatable(context: &BTreeMap<String, String>, name: &str) -> Option<String> {
    let value = context.get(name).filter(|v| !v.is_empty() && v.len() <= 255)?;
    (!crate::validation::formats::holds_bsn(value)).then(|| value.clone())
}

/// More than these say nothing new, and a receipt must not grow with the message.
const MOST_PROBLEMS: usize = 100;

fn bounded(mut problems: Vec<Problem>) -> Vec<Problem> {
    let left_out = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    if let (Some(last), true) = (problems.last_mut(), left_out > 0) {
        last.hint = format!("{}; and {left_out} more problems", last.hint);
    }
    problems
}

pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    out
}

/// As in RFC 9530: `sha-256=:<base64>:`.
pub fn digest_label(bytes: &[u8]) -> String {
    label(digest(bytes))
}

fn label(digest: [u8; 32]) -> String {
    format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
