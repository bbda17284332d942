use super::*;
use crate::envelope::{Oversize, RawMessage, digest_label};
use crate::party::PartyId;
use std::time::{Duration, Instant};

const SOURCE: &str = "urn:nld:oin:00000099000900000001:systeem:tulp";
const TYPE: &str = "nl.ketenpoort.detentie.verlof-aangekondigd.v1";
const LIMIT: usize = 1024 * 1024;

const LIST: &str = "nl.ketenpoort.detentie.inkomstenlijst-aangeboden.v1";

fn up_to(message: usize) -> Sizes<impl Fn(&str) -> bool> {
    Sizes { message, list: 3 * LIMIT, is_list: |kind: &str| kind == LIST }
}

fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

fn directory() -> Directory {
    let partners = r#"
        [[role]]
        name = "dji"
        [[party]]
        id = "dji"
        name = "DJI"
        oin = "00000099000900000001"
        users = ["dji", "dji-reserve"]
        roles = ["dji"]
        [[party]]
        id = "om"
        name = "OM"
        oin = "00000099000900000004"
        users = ["om"]
        roles = ["dji"]
    "#;
    Directory::load(&BTreeMap::from([("partners.toml".to_owned(), partners.to_owned())])).unwrap()
}

/// A good message in binary mode.
fn good() -> RawMessage {
    let headers = [("id", "m-1"), ("source", SOURCE), ("type", TYPE), ("specversion", "1.0"), ("sequence", "7")];
    RawMessage {
        body: Personal::new(b"<Verlof/>".to_vec()),
        content_type: Some("application/xml".to_owned()),
        headers: headers.map(|(name, value)| (format!("cloudEvents_{name}"), value.to_owned())).into(),
        user_id: Some("dji".to_owned()),
        queue_of: Some(PartyId::new("dji")),
        ..RawMessage::default()
    }
}

fn structured_event(event: &str) -> RawMessage {
    RawMessage {
        body: Personal::new(event.as_bytes().to_vec()),
        content_type: Some("application/cloudevents+json; charset=utf-8".to_owned()),
        headers: BTreeMap::new(),
        ..good()
    }
}

fn event(data: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"m-1","source":"{SOURCE}","type":"{TYPE}","sequence":7,{data}}}"#)
}

fn problems(raw: &RawMessage) -> Vec<String> {
    match open(raw, &directory(), up_to(LIMIT), now()) {
        Ok(_) => Vec::new(),
        Err(rejection) => rejection.problems.iter().map(|p| format!("{} {}", p.code, p.place)).collect(),
    }
}

#[test]
fn one_message_in_every_mode_is_one_message() {
    let with_prefix = |prefix: &str| {
        let headers = good().headers;
        let renamed = headers.into_iter().map(|(name, value)| (name.replace("cloudEvents_", prefix), value));
        RawMessage { headers: renamed.collect(), ..good() }
    };
    let by = |user: &str| RawMessage { user_id: Some(user.to_owned()), ..good() };
    let ways = [
        good(),
        with_prefix("cloudEvents:"),
        with_prefix("ce-"),
        by("dji-reserve"),
        RawMessage { queue_of: None, ..good() },
        structured_event(&event(r#""data_base64":"PFZlcmxvZi8+""#)),
    ];
    for raw in ways {
        let envelope = open(&raw, &directory(), up_to(LIMIT), now()).unwrap();
        assert_eq!(envelope.sender().as_str(), "dji");
        assert_eq!((envelope.kind(), envelope.id(), envelope.attributes.sequence), (TYPE, "m-1", Some(7)));
        assert_eq!(envelope.identity().source, SOURCE);
        assert_eq!(envelope.data.reveal_personal_data(), b"<Verlof/>");
        assert_eq!(envelope.identity(), open(&good(), &directory(), up_to(LIMIT), now()).unwrap().identity());
    }
}

#[test]
fn data_in_an_event_stays_as_it_was_written() {
    for data in [r#""<Verlof/>""#, r#"{"b": 1, "a": 2}"#, "null"] {
        let raw = structured_event(&event(&format!(r#""data":{data}"#)));
        let envelope = open(&raw, &directory(), up_to(LIMIT), now()).unwrap();
        assert_eq!(envelope.data.reveal_personal_data(), data.as_bytes());
    }
}

#[test]
fn what_is_no_event_is_told() {
    let table: &[(&str, &str)] = &[
        ("", "KP-2001 line 1, column 0"),
        ("[]", "KP-2001 line 1, column 0"),
        ("\u{feff}{}", "KP-2001 line 1, column 1"),
        (r#"{"id":"a","id":"b"}"#, "KP-2001 line 1, column 19"),
        (&event(r#""subject":"x""#), "KP-1001 data"),
        (&event(r#""data":1,"data_base64":"MQ==""#), "KP-1001 data_base64"),
        (&event(r#""data_base64":"niet!""#), "KP-1001 data_base64"),
        (&event(r#""data_base64":7"#), "KP-1001 data_base64"),
        (&event(r#""data":1,"extra":{"a":1}"#), "KP-1001 attributes"),
    ];
    for (event, expected) in table {
        assert_eq!(problems(&structured_event(event)), [*expected], "{event}");
    }
    let mut bare = good();
    bare.headers.clear();
    assert_eq!(problems(&bare), ["KP-1001 headers"]);
    let mut torn = good();
    torn.headers.insert("ce-id".to_owned(), "m-2".to_owned());
    assert_eq!(problems(&torn), ["KP-1001 headers"], "two headers that disagree");
}

#[test]
fn attributes_are_checked_all_at_once() {
    let with = |name: &str, value: &str| {
        let mut raw = good();
        raw.headers.insert(format!("cloudEvents_{name}"), value.to_owned());
        raw
    };
    let long = "x".repeat(256);
    let table: &[(&str, &str, &[&str])] = &[
        ("id", "", &["KP-1002 id"]),
        ("id", &long, &["KP-1002 id"]),
        ("id", "999993653", &["KP-1007 id"]),
        ("time", "2026-11-24T10:00:00Z", &[]),
        ("time", "2026-11-24 10:00:00Z", &["KP-1002 time"]),
        ("sequence", "2147483647", &[]),
        ("sequence", "2147483648", &["KP-1002 sequence"]),
        ("sequence", "-1", &["KP-1002 sequence"]),
        ("subject", "detentie/999993653", &["KP-1007 subject"]),
        ("subject", "6f2f4d3e-9999-4000-8000-999993653000", &[]),
        ("client_number", "1", &["KP-1002 attributes"]),
        ("999993653", "999993653", &["KP-1007 (a field with an unusual name)"]),
        ("source", "urn:nld:oin:00000099000900000004:systeem:x", &["KP-1005 source"]),
        ("source", "urn:nld:oin:0000009900090000000:systeem:x", &["KP-1005 source"]),
        ("source", "", &["KP-1002 source", "KP-1005 source"]),
    ];
    for (name, value, expected) in table {
        assert_eq!(problems(&with(name, value)), *expected, "{name} = {value}");
    }
}

#[test]
fn nobody_can_speak_or_use_up_an_id_in_anothers_name() {
    let by = |user: Option<&str>, queue: Option<&str>| RawMessage {
        user_id: user.map(str::to_owned),
        queue_of: queue.map(PartyId::new),
        ..good()
    };
    let table = [
        (Some("om"), Some("dji"), "KP-1005 user-id", Some("om")),
        (Some("om"), Some("om"), "KP-1005 source", Some("om")),
        (Some("nobody"), Some("dji"), "KP-1004 user-id", Some("dji")),
        (None, Some("dji"), "KP-1004 user-id", Some("dji")),
        (None, None, "KP-1004 user-id", None),
    ];
    for (user, queue, expected, receipt_to) in table {
        let rejection = *open(&by(user, queue), &directory(), up_to(LIMIT), now()).unwrap_err();
        let found: Vec<_> = rejection.problems.iter().map(|p| format!("{} {}", p.code, p.place)).collect();
        assert_eq!(found, [expected], "{user:?} {queue:?}");
        assert_eq!(rejection.sender.as_ref().map(PartyId::as_str), receipt_to);
        let identity = rejection.identity();
        assert!(identity.source.starts_with("queue:"), "{user:?} {queue:?}: {}", identity.source);
        assert_eq!(identity.message.id.as_deref(), Some("m-1"), "the receipt says what it was called");
    }
}

#[test]
fn too_large_is_told_without_reading_it() {
    let large = RawMessage { body: Personal::new(vec![b'{'; 50 * LIMIT]), ..structured_event("") };
    let started = Instant::now();
    assert_eq!(problems(&large), ["KP-1008 body"]);
    assert!(started.elapsed() < Duration::from_secs(2));
    let not_carried = |of: u8| {
        let body = vec![of; LIMIT + 1];
        RawMessage { body: Personal::default(), oversize: Some(Oversize::of(&body)), ..good() }
    };
    assert_eq!(problems(&not_carried(b'a')), ["KP-1008 body"]);
    let identity = |of| open(&not_carried(of), &directory(), up_to(LIMIT), now()).unwrap_err().identity();
    let (one, other) = (identity(b'a'), identity(b'b'));
    assert_ne!((one.id, one.digest), (other.id, other.digest), "two messages that were not carried are two messages");
    assert_eq!(one.message.id.as_deref(), Some("m-1"), "the receipt says what it was called");
    assert_eq!(one.message.digest, digest_label(&[b'a'; LIMIT + 1]));
}

#[test]
fn many_attributes_cost_little_and_say_little() {
    let mut many = String::new();
    for number in 0..60_000 {
        let name: String = format!("{number:05}").bytes().map(|b| char::from(b - b'0' + b'a')).collect();
        many.push_str(&format!(r#""{name}":"999993653","#));
    }
    let raw = structured_event(&event(&format!(r#"{many}"data":1"#)));
    let started = Instant::now();
    let rejection = open(&raw, &directory(), up_to(2 * LIMIT), now()).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(rejection.problems.len(), 100);
    assert!(rejection.problems[99].hint.ends_with("; and 59900 more problems"), "{}", rejection.problems[99].hint);
}

#[test]
fn only_a_list_may_be_larger_than_other_messages() {
    let of_size = |kind: &str, size: usize| {
        let mut raw = RawMessage { body: Personal::new(vec![b'x'; size]), ..good() };
        raw.headers.insert("cloudEvents_type".to_owned(), kind.to_owned());
        raw
    };
    let in_json = |kind: &str, size: usize| {
        let data = format!(r#""data":"{}""#, "x".repeat(size));
        structured_event(&event(&data).replace(TYPE, kind))
    };
    for (kind, size, expected) in [
        (TYPE, LIMIT, &[][..]),
        (TYPE, LIMIT + 1, &["KP-1008 body"]),
        (LIST, LIMIT + 1, &[]),
        (LIST, 3 * LIMIT - 1000, &[]),
        (LIST, 3 * LIMIT + 1, &["KP-1008 body"]),
    ] {
        assert_eq!(problems(&of_size(kind, size)), expected, "{kind} of {size} bytes");
        if size != LIMIT {
            assert_eq!(problems(&in_json(kind, size)), expected, "{kind} of {size} bytes, as JSON");
        }
    }
    let not_carried = RawMessage { oversize: Some(Oversize::of(&vec![0; 2 * LIMIT])), ..of_size(LIST, 0) };
    assert_eq!(problems(&not_carried), ["KP-1008 body"]);
}

#[test]
fn an_item_of_a_list_is_the_gateways_own_and_is_called_after_the_list() {
    assert!(!open(&good(), &directory(), up_to(LIMIT), now()).unwrap().internal);
    let item = RawMessage { part_of: Some("sha-256=:bGlqc3Q=:".to_owned()), ..good() };
    let stored = RawMessage::from_stored(&item.to_stored()).unwrap();
    for item in [item, stored] {
        let envelope = open(&item, &directory(), up_to(LIMIT), now()).unwrap();
        assert!(envelope.internal);
        assert_eq!(envelope.identity.message.digest, "sha-256=:bGlqc3Q=:", "what its sender knows it by");
        assert_eq!(envelope.identity.digest, open(&good(), &directory(), up_to(LIMIT), now()).unwrap().identity.digest);
    }
}
