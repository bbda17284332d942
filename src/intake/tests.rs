use super::*;
use crate::envelope::Oversize;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, ShortString};

fn raw(properties: &BasicProperties, body: &[u8], max_body: usize) -> RawMessage {
    message::raw(properties, body.to_vec(), PartyId::new("dji"), max_body)
}

fn with_headers(headers: impl IntoIterator<Item = (String, AMQPValue)>) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(ShortString::from(name), value);
    }
    BasicProperties::default().with_headers(table)
}

#[test]
fn properties_and_body_are_carried() {
    let properties = BasicProperties::default()
        .with_content_type("application/xml".into())
        .with_content_encoding("utf-8".into())
        .with_user_id("dji-penitentiair".into());
    let raw = raw(&properties, b"<bericht/>", 10);
    assert_eq!(raw.body.reveal_personal_data(), b"<bericht/>");
    assert_eq!(raw.content_type.as_deref(), Some("application/xml"));
    assert_eq!(raw.content_encoding.as_deref(), Some("utf-8"));
    assert_eq!(raw.user_id.as_deref(), Some("dji-penitentiair"));
    assert_eq!(raw.queue_of, Some(PartyId::new("dji")));
    assert_eq!(raw.oversize, None);
}

#[test]
fn a_body_over_the_limit_is_only_measured() {
    let raw = raw(&BasicProperties::default(), b"<bericht/>", 9);
    assert!(raw.body.reveal_personal_data().is_empty());
    assert_eq!(raw.oversize, Some(Oversize::of(b"<bericht/>")));
}

#[test]
fn header_values_as_text() {
    use AMQPValue::*;
    let table = [
        (LongString("één".into()), "één"),
        (ShortString("one".into()), "one"),
        (Boolean(true), "true"),
        (ShortShortInt(-1), "-1"),
        (ShortShortUInt(1), "1"),
        (ShortInt(-2), "-2"),
        (ShortUInt(2), "2"),
        (LongInt(-3), "-3"),
        (LongUInt(3), "3"),
        (LongLongInt(-4), "-4"),
        (Float(0.5), "0.5"),
        (Double(2.0), "2"),
        (Timestamp(1_764_028_800), "2025-11-25T00:00:00Z"),
        // What is no text counts as empty, so that the envelope refuses an attribute that it needs.
        (Timestamp(u64::MAX), ""),
        (LongString(vec![0xff, 0xfe].into()), ""),
        (LongString("x".repeat(8193).into()), ""),
        (FieldArray(self::FieldArray::default()), ""),
        (FieldTable(self::FieldTable::default()), ""),
        (ByteArray(self::ByteArray::from(b"x".to_vec())), ""),
        (DecimalValue(self::DecimalValue { scale: 1, value: 15 }), ""),
        (Void, ""),
    ];
    for (value, text) in table {
        let raw = raw(&with_headers([("cloudEvents_sequence".to_owned(), value.clone())]), b"", 0);
        assert_eq!(raw.headers["cloudEvents_sequence"], text, "{value:?}");
    }
}

#[test]
fn all_headers_or_none() {
    let headers = |count: usize| (0..count).map(|n| (format!("cloudEvents_{n}"), AMQPValue::LongInt(1)));
    assert_eq!(raw(&with_headers(headers(64)), b"", 0).headers.len(), 64);
    assert!(raw(&with_headers(headers(65)), b"", 0).headers.is_empty());
    let longest = [("traceparent".to_owned(), AMQPValue::LongString("x".repeat(8192).into()))];
    assert_eq!(raw(&with_headers(longest), b"", 0).headers["traceparent"].len(), 8192);
}
