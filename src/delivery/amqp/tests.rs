use super::*;

fn publication() -> Publication {
    let attributes = [
        ("id", "4d1c"),
        ("source", "urn:nld:oin:00000099000000000000:systeem:ketenpoort"),
        ("type", "nl.ketenpoort.ontvangstbewijs.v1"),
        ("datacontenttype", "application/json"),
        ("correlationid", "message 7"),
    ];
    Publication {
        to: "ketenpoort.out.dji".to_owned(),
        body: Personal::new(b"{}".to_vec()),
        content_type: "application/json".to_owned(),
        message_id: "4d1c".to_owned(),
        attributes: attributes.map(|(name, value)| (name, value.to_owned())).to_vec(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

#[test]
fn an_event_in_binary_mode() {
    let properties = properties(&publication());
    let short = |text: &str| Some(ShortString::from(text));
    assert_eq!(*properties.delivery_mode(), Some(PERSISTENT));
    assert_eq!(*properties.content_type(), short("application/json"));
    assert_eq!(*properties.message_id(), short("4d1c"));
    assert_eq!(*properties.kind(), short("nl.ketenpoort.ontvangstbewijs.v1"));
    assert_eq!(*properties.app_id(), short("ketenpoort"));
    assert_eq!(*properties.correlation_id(), short("message 7"));
    assert!(properties.timestamp().is_some());
    let headers = properties.headers().as_ref().unwrap().inner();
    let names: Vec<&str> = headers.keys().map(ShortString::as_str).collect();
    let expected =
        ["cloudEvents_correlationid", "cloudEvents_id", "cloudEvents_source", "cloudEvents_type", "traceparent"];
    assert_eq!(names, expected);
    assert_eq!(headers["cloudEvents_id"], AMQPValue::LongString("4d1c".into()));
}

#[test]
fn what_is_too_long_for_a_property_is_left_out() {
    let mut publication = publication();
    publication.attributes[4].1 = "x".repeat(256);
    publication.content_type = "x".repeat(256);
    let properties = properties(&publication);
    assert_eq!(*properties.correlation_id(), None);
    assert_eq!(*properties.content_type(), None);
}
