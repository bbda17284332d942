use super::super::schema::Schema;
use super::*;
use serde_json::json;
use std::time::{Duration, Instant};

const NS: &str = "urn:t";

fn shape() -> Shape {
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "@v": {"type": "string"},
            "name": {"type": "string"},
            "note": {"type": "array", "items": {"type": "string"}},
            "part": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
            "row": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "string"}}}},
        },
    });
    Schema::compile(&schema.to_string()).unwrap().shape
}

fn read_with(bytes: &[u8], limits: Limits) -> Result<Value, String> {
    parse(bytes, "doc", NS, &shape(), &limits).map_err(|p| format!("{} {}", p.code, p.place))
}

fn read(text: &str) -> Result<Value, String> {
    read_with(text.as_bytes(), Limits::default())
}

fn doc(inside: &str) -> String {
    format!("<doc xmlns=\"urn:t\">{inside}</doc>")
}

#[test]
fn elements_attributes_and_text_become_json() {
    let table = [
        ("", json!({})),
        ("<name>a</name>", json!({"name": "a"})),
        ("<name/>", json!({"name": ""})),
        ("<name> a  b\n</name>", json!({"name": "a  b"})),
        ("<name>a&amp;b&#x43;&#68;</name>", json!({"name": "a&bCD"})),
        ("<name><![CDATA[<a>&amp;]]></name>", json!({"name": "<a>&amp;"})),
        ("<name>a<!-- b -->c</name>", json!({"name": "ac"})),
        ("<name>line\r\nbreak</name>", json!({"name": "line\nbreak"})),
        ("<note>1</note>", json!({"note": ["1"]})),
        ("<note>1</note><name>x</name><note>2</note>", json!({"note": ["1", "2"], "name": "x"})),
        ("<part/>", json!({"part": {}})),
        ("<part>\n  <a>1</a>\n</part>", json!({"part": {"a": "1"}})),
        ("<part>text</part>", json!({"part": "text"})),
        ("<row><c>1</c></row><row/>", json!({"row": [{"c": "1"}, {}]})),
        ("<name x='1'>a</name>", json!({"name": {"@x": "1", "#text": "a"}})),
        ("<other><deep/></other>", json!({"other": {"deep": ""}})),
        ("<p:name xmlns:p='urn:t'>a</p:name>", json!({"name": "a"})),
    ];
    for (inside, expected) in table {
        assert_eq!(read(&doc(inside)), Ok(expected), "{inside}");
    }
    assert_eq!(read("<doc xmlns='urn:t' v='1&lt;2'/>"), Ok(json!({"@v": "1<2"})));
    assert_eq!(read("\u{feff}<?xml version='1.0' encoding='utf-8'?><doc xmlns='urn:t'/>"), Ok(json!({})));
}

#[test]
fn what_is_not_accepted_is_told_with_its_place() {
    let table: &[(&str, &str)] = &[
        ("", "KP-2002 line 1"),
        ("text", "KP-2002 line 1"),
        ("<doc xmlns='urn:t'>", "KP-2002 line 1"),
        ("<doc xmlns='urn:t'></cod>", "KP-2002 line 1"),
        ("<doc xmlns='urn:t'/>\n<doc xmlns='urn:t'/>", "KP-2002 line 2"),
        ("<doc xmlns='urn:t'/> x", "KP-2002 line 1"),
        ("<doc xmlns='urn:t' a='1' a='2'/>", "KP-2002 line 1"),
        ("<doc xmlns='urn:t'><?xml version='1.0'?></doc>", "KP-2002 line 1"),
        ("<doc xmlns='urn:t'>&#0;</doc>", "KP-2002 line 1"),
        ("<doc xmlns='urn:t'>&#11;</doc>", "KP-2002 line 1"),
        ("<doc xmlns='urn:t' v='&#11;'/>", "KP-2002 line 1"),
        ("<doc xmlns='urn:t'>\n\u{b}</doc>", "KP-2002 line 2"),
        ("<doc xmlns='urn:t'>\u{ffff}</doc>", "KP-2002 line 1"),
        ("<!DOCTYPE doc><doc xmlns='urn:t'/>", "KP-2003 line 1"),
        ("<doc xmlns='urn:t'>&x;</doc>", "KP-2003 line 1"),
        ("<doc xmlns='urn:t' v='&x;'/>", "KP-2003 line 1"),
        ("<?php x?><doc xmlns='urn:t'/>", "KP-2003 line 1"),
        ("<?xml version='1.0' encoding='latin1'?><doc xmlns='urn:t'/>", "KP-1009 line 1"),
        ("<doc/>", "KP-2007 /"),
        ("<doc xmlns='urn:u'/>", "KP-2007 /"),
        ("<cod xmlns='urn:t'/>", "KP-2006 /"),
        ("<doc xmlns='urn:t'><name xmlns=''>a</name></doc>", "KP-2007 /name"),
        ("<doc xmlns='urn:t'><q:name>a</q:name></doc>", "KP-2007 /name"),
        ("<doc xmlns='urn:t'><name>a</name><name>b</name></doc>", "KP-2006 /name"),
        ("<doc xmlns='urn:t'><part><a/>text<b/></part></doc>", "KP-2007 /part"),
    ];
    for (text, expected) in table {
        assert_eq!(read(text), Err((*expected).to_owned()), "{text}");
    }
    assert_eq!(read_with(b"<doc xmlns='urn:t'>\xe9</doc>", Limits::default()), Err("KP-1009 byte 19".to_owned()));
    assert_eq!(read_with(b"\xff\xfe<\0d\0", Limits::default()), Err("KP-1009 byte 0".to_owned()), "UTF-16");
}

#[test]
fn depth_and_number_of_elements_are_bounded_to_the_element() {
    let limits = |xml_depth, xml_elements| Limits { xml_depth, xml_elements, ..Limits::default() };
    let three_deep = doc("<part><a>1</a></part>");
    assert!(read_with(three_deep.as_bytes(), limits(3, 3)).is_ok());
    assert_eq!(read_with(three_deep.as_bytes(), limits(2, 3)), Err("KP-2004 line 1".to_owned()));
    assert_eq!(read_with(three_deep.as_bytes(), limits(3, 2)), Err("KP-2004 line 1".to_owned()));
}

#[test]
fn what_is_built_to_cost_much_costs_little() {
    let bomb = "<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><doc xmlns='urn:t'>&b;</doc>";
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=''")).collect();
    let namespaces: String = (0..50_000).map(|n| format!(" xmlns:n{n}='u'")).collect();
    let table = [
        ("entities", bomb.to_owned()),
        ("10,000 levels", format!("<doc xmlns='urn:t'>{}", "<a>".repeat(10_000))),
        ("many elements", doc(&"<note/>".repeat(140_000))),
        ("many attributes", doc(&format!("<name{attributes}>a</name>"))),
        ("many namespaces", doc(&format!("<part{namespaces}>{}</part>", "<a/>".repeat(50_000)))),
        ("an element that never ends", format!("<doc xmlns='urn:t'><{}", "x".repeat(1_000_000))),
        ("much text", doc(&format!("<name>{}</name>", "&amp;".repeat(200_000)))),
        ("many comments", doc(&"<!---->".repeat(140_000))),
    ];
    for (name, text) in table {
        let started = Instant::now();
        let answer = read(&text);
        assert!(started.elapsed() < Duration::from_secs(5), "{name} took {:?}", started.elapsed());
        let harmless = ["many attributes", "much text", "many comments"].contains(&name);
        assert_eq!(answer.is_ok(), harmless, "{name}");
    }
}

#[test]
fn what_is_written_reads_back_the_same() {
    let content = json!({
        "@v": "a \"b\" & <c>",
        "name": "d'Hondt & Ça < va >",
        "note": ["één", "]]>"],
        "part": {"a": " \u{a0}x", "b": ""},
        "row": [{"c": "1"}, {}],
    });
    let written = write(&content, "doc", NS).unwrap();
    let mut expected = content.clone();
    expected["part"]["a"] = json!("x");
    assert_eq!(read(std::str::from_utf8(&written).unwrap()), Ok(expected));
    assert_eq!(write(&json!({"name": "a\u{1}b"}), "doc", NS), None, "a character that XML does not have");
    let numbers = write(&json!({"name": 7, "part": {"a": true, "b": null}}), "doc", NS).unwrap();
    assert_eq!(read(std::str::from_utf8(&numbers).unwrap()), Ok(json!({"name": "7", "part": {"a": "true", "b": ""}})));
}

#[test]
fn what_the_form_says_nothing_about_is_kept_as_it_is() {
    let item = r#"<doc xmlns="urn:t"><other><a>1</a><a>2</a><a>3</a><b/></other></doc>"#.replace("urn:t", NS);
    assert_eq!(read(&item), Ok(json!({"other": {"a": ["1", "2", "3"], "b": ""}})));
}
