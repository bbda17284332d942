use super::*;
use serde_json::json;
use std::time::{Duration, Instant};

fn refused(bytes: &[u8]) -> String {
    let problem = parse(bytes).unwrap_err();
    format!("{} {}", problem.code, problem.place)
}

#[test]
fn a_document_is_read_as_it_is() {
    let table = [
        (r#"{"b":1,"a":[true,null,"x",1.5,-7]}"#, json!({"b": 1, "a": [true, null, "x", 1.5, -7]})),
        (" \n\"text\" ", json!("text")),
        (r#""\u00e9\ud83d\ude00""#, json!("é😀")),
        ("18446744073709551615", json!(u64::MAX)),
        ("{}", json!({})),
    ];
    for (text, expected) in table {
        assert_eq!(parse(text.as_bytes()).unwrap(), expected, "{text}");
    }
    let keys: Vec<_> = parse(br#"{"b":1,"a":2}"#).unwrap().as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["b", "a"], "in the order of the sender");
}

#[test]
fn surprises_are_refused_with_their_place_and_without_their_content() {
    let table: &[(&[u8], &str)] = &[
        (b"", "KP-2001 line 1, column 0"),
        (b"{} {}", "KP-2001 line 1, column 4"),
        (b"{\"a\":1,\"a\":1}", "KP-2001 line 1, column 13"),
        (b"{\"a\":{\"b\":1,\n\"b\":2}}", "KP-2001 line 2, column 6"),
        (b"{\"a\":1,\"\\u0061\":2}", "KP-2001 line 1, column 18"),
        (b"{'a':1}", "KP-2001 line 1, column 2"),
        (b"{\"a\":1,}", "KP-2001 line 1, column 8"),
        (b"[1 2]", "KP-2001 line 1, column 4"),
        (b"NaN", "KP-2001 line 1, column 1"),
        (b"01", "KP-2001 line 1, column 2"),
        (b"1e999", "KP-2001 line 1, column 5"),
        (b"\"\n\"", "KP-2001 line 2, column 0"),
        (b"\"\\ud800\"", "KP-2001 line 1, column 8"),
        (b"// spoed\n{}", "KP-2001 line 1, column 1"),
        (b"\xef\xbb\xbf{}", "KP-2001 line 1, column 1"),
        (b"\xff\xfe{\0}\0", "KP-1009 byte 0"),
        (b"{\"a\":\"\xe9\"}", "KP-1009 byte 6"),
    ];
    let found: Vec<String> = table.iter().map(|(bytes, _)| refused(bytes)).collect();
    let expected: Vec<&str> = table.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(found, expected);
    let problem = parse(br#"{"naam":"Jansen","naam":"Pietersen"}"#).unwrap_err();
    assert!(!format!("{problem:?}").contains("sen"), "{problem:?}");
}

#[test]
fn depth_is_bounded_and_costs_nothing() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(100).as_bytes()).is_ok());
    let started = Instant::now();
    for depth in [200, 10_000, 500_000] {
        assert!(refused(nested(depth).as_bytes()).starts_with("KP-2004"), "{depth}");
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(refused(objects.as_bytes()).starts_with("KP-2004"), "{depth}");
    }
    let deep_event = format!("{{\"data\":{}}}", nested(500_000));
    let members = top_level(deep_event.as_bytes()).unwrap();
    assert_eq!(members.len(), 1, "what lies deep in the data is not looked at before its turn");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn many_members_are_told_apart_in_linear_time() {
    let members: Vec<String> = (0..100_000).map(|n| format!("\"m{n}\":1")).collect();
    let event = |more: &str| format!("{{{}{more}}}", members.join(","));
    let started = Instant::now();
    assert_eq!(top_level(event("").as_bytes()).unwrap().len(), 100_000);
    assert!(top_level(event(",\"m5\":2").as_bytes()).is_err());
    assert!(parse(event(",\"m5\":2").as_bytes()).is_err());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
