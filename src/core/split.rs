//! A list falls apart: each item becomes a message of its own, from the same sender, under a name that follows from
//! the list's. It then walks the corridor as any other message does.

use super::{Pipeline, Plan};
use crate::category::CategorySet;
use crate::envelope::{RawMessage, Rejection, item_id};
use crate::facts::dutch_day;
use crate::personal::Personal;
use crate::validation::Valid;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The messages that a list becomes, one after the other.
pub struct Items {
    /// What is the same of all of them.
    raw: RawMessage,
    list: String,
    carried: Map<String, Value>,
    name: String,
    items: std::iter::Enumerate<std::vec::IntoIter<Value>>,
}

impl Pipeline {
    /// `raw` is the list as it came in. Of a message that is no list there is nothing.
    pub fn items(&self, list: Valid, raw: &RawMessage, now: Timestamp) -> Items {
        let Valid { envelope, kind, content, items, .. } = list;
        let identity = envelope.identity();
        let (mut carried, mut headers, mut name) = (Map::new(), BTreeMap::new(), String::new());
        if let Some(split) = &kind.split {
            let content = content.reveal_personal_data();
            // What a rule cannot carry, the item's own form finds missing.
            let _ = split.carry.fill(&mut carried, content, dutch_day(now), &mut CategorySet::default());
            name = split.at.last().cloned().unwrap_or_default();
            let attributes = [("source", identity.source.as_str()), ("specversion", "1.0"), ("type", &split.into)];
            headers.extend(attributes.map(|(name, value)| (header(name), value.to_owned())));
        }
        let raw = RawMessage {
            content_type: Some("application/json".to_owned()),
            headers,
            user_id: raw.user_id.clone(),
            queue_of: raw.queue_of.clone(),
            part_of: Some(identity.message.digest.clone()),
            ..RawMessage::default()
        };
        Items {
            raw,
            list: identity.id.clone(),
            carried,
            name,
            items: items.into_personal_data().into_iter().enumerate(),
        }
    }

    /// An item as far as it can be known without asking anybody.
    pub fn plan_item(&self, item: &RawMessage, now: Timestamp) -> Result<Plan, Box<Rejection>> {
        let valid = self.open(item, now).and_then(|envelope| self.validate(envelope, now))?;
        Ok(self.complete(&self.decide(valid, None, now), None))
    }
}

impl Iterator for Items {
    type Item = RawMessage;

    fn next(&mut self) -> Option<RawMessage> {
        let (index, item) = self.items.next()?;
        let mut content = self.carried.clone();
        content.insert(self.name.clone(), item);
        let mut raw = self.raw.clone();
        raw.body = Personal::new(Value::Object(content).to_string().into_bytes());
        raw.headers.insert(header("id"), item_id(&self.list, index + 1));
        Some(raw)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl ExactSizeIterator for Items {}

impl std::fmt::Debug for Items {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Items").field("left", &self.len()).finish_non_exhaustive()
    }
}

fn header(attribute: &str) -> String {
    format!("cloudEvents_{attribute}")
}
