//! What of an AMQP message is carried on: its bytes and its properties as text, within bounds.

use crate::envelope::{Oversize, RawMessage};
use crate::party::PartyId;
use crate::personal::Personal;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::collections::BTreeMap;

const MAX_HEADERS: usize = 64;
const MAX_HEADER: usize = 8 * 1024;

pub(super) fn raw(properties: &BasicProperties, body: Vec<u8>, party: PartyId, max_body: usize) -> RawMessage {
    let text = |property: &Option<ShortString>| property.as_ref().map(ToString::to_string);
    let oversize = (body.len() > max_body).then(|| Oversize::of(&body));
    RawMessage {
        body: Personal::new(if oversize.is_none() { body } else { Vec::new() }),
        content_type: text(properties.content_type()),
        content_encoding: text(properties.content_encoding()),
        headers: properties.headers().as_ref().map(headers).unwrap_or_default(),
        user_id: text(properties.user_id()),
        queue_of: Some(party),
        oversize,
        part_of: None,
        admitted: false,
    }
}

/// Never some of too many: a message that lost an attribute on the way might pass for another one. Without any it
/// is refused, and so it is where an attribute that counts is empty.
fn headers(table: &FieldTable) -> BTreeMap<String, String> {
    let all = table.inner();
    if all.len() > MAX_HEADERS {
        return BTreeMap::new();
    }
    let bounded = |value| text(value).filter(|text| text.len() <= MAX_HEADER).unwrap_or_default();
    all.iter().map(|(name, value)| (name.to_string(), bounded(value))).collect()
}

fn text(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok()?.to_owned(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(yes) => yes.to_string(),
        AMQPValue::ShortShortInt(number) => number.to_string(),
        AMQPValue::ShortShortUInt(number) => number.to_string(),
        AMQPValue::ShortInt(number) => number.to_string(),
        AMQPValue::ShortUInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongUInt(number) => number.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::Float(number) => number.to_string(),
        AMQPValue::Double(number) => number.to_string(),
        AMQPValue::Timestamp(seconds) => {
            let seconds = i64::try_from(*seconds).ok()?;
            jiff::Timestamp::from_second(seconds).ok()?.to_string()
        }
        AMQPValue::DecimalValue(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::ByteArray(_)
        | AMQPValue::Void => return None,
    })
}
