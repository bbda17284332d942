//! The envelope: whoever a message says it is from, it is from him whom the broker proved.

use super::{assert_discreet, messages, now, pipeline, text};
use ketenpoort::check::raw_message;
use ketenpoort::envelope::RawMessage;
use ketenpoort::party::PartyId;
use ketenpoort::personal::Personal;
use std::collections::BTreeMap;

/// What the broker says, as lines `name: value`, an empty line, and the body.
fn read(data: &[u8]) -> RawMessage {
    let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let body = data.get(end + 2..).unwrap_or_default().to_vec();
    let mut raw = RawMessage { body: Personal::new(body), ..RawMessage::default() };
    for line in String::from_utf8_lossy(&data[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        let value = value.to_owned();
        match name {
            "user" => raw.user_id = Some(value),
            "queue" => raw.queue_of = Some(PartyId::new(value)),
            "content-type" => raw.content_type = Some(value),
            "content-encoding" => raw.content_encoding = Some(value),
            _ => drop(raw.headers.insert(name.to_owned(), value)),
        }
    }
    raw
}

fn written(raw: &RawMessage) -> Vec<u8> {
    let mut lines: Vec<String> = raw.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.extend(raw.user_id.iter().map(|user| format!("user: {user}")));
    lines.extend(raw.queue_of.iter().map(|party| format!("queue: {party}")));
    lines.extend(raw.content_type.iter().map(|kind| format!("content-type: {kind}")));
    let mut out = (lines.join("\n") + "\n\n").into_bytes();
    out.extend_from_slice(raw.body.reveal_personal_data());
    out
}

pub fn seeds() -> Vec<Vec<u8>> {
    let event = |from: &str, name: &str| {
        let party = pipeline().directory.by_id(&PartyId::new(from)).expect("a party");
        let raw = RawMessage {
            body: Personal::new(text(format!("tests/fixtures/{name}.event.json")).into_bytes()),
            content_type: Some("application/cloudevents+json".to_owned()),
            user_id: party.users.first().cloned(),
            queue_of: Some(party.id.clone()),
            ..RawMessage::default()
        };
        written(&raw)
    };
    let mut seeds = vec![
        event("dji", "invrijheidstelling"),
        event("dji", "verlof"),
        event("gemeente:0363", "informatie-gevraagd"),
        event("zvh:rotterdam-rijnmond", "casusoverleg"),
    ];
    for (kind, body) in messages("xml") {
        let from = &pipeline().catalogue.get(&kind).expect("a type").from[0];
        let sender = pipeline().directory.parties().find(|party| party.roles.contains(from)).expect("a sender");
        let raw = raw_message(pipeline(), sender.id.as_str(), &kind, body.into_bytes(), &BTreeMap::new());
        seeds.push(written(&raw.expect("a party")));
    }
    seeds
}

pub fn check(data: &[u8]) {
    let raw = read(data);
    let directory = &pipeline().directory;
    let user = raw.user_id.as_deref().and_then(|user| directory.by_user(user));
    let owner = raw.queue_of.as_ref().and_then(|id| directory.by_id(id));
    match pipeline().open(&raw, now()) {
        Ok(envelope) => {
            let user = user.expect("only a proven user gets in");
            assert_eq!(envelope.sender(), &user.id, "another sender than the broker proved");
            assert!(owner.is_none_or(|owner| owner.id == user.id), "through another's queue");
            let source = format!("urn:nld:oin:{}", user.oin.as_str());
            assert!(envelope.identity().source.starts_with(&source), "under another's name");
            if let Err(rejection) = pipeline().validate(envelope, now()) {
                assert_eq!(rejection.sender.as_ref(), Some(&user.id));
                assert_discreet(&rejection, &raw);
            }
        }
        Err(rejection) => {
            assert_eq!(rejection.sender.as_ref(), user.or(owner).map(|party| &party.id), "who gets the receipt");
            assert_discreet(&rejection, &raw);
            // Nobody uses up an id of another party.
            let claimed = rejection.identity().source;
            let own = user.is_some_and(|user| claimed.starts_with(&format!("urn:nld:oin:{}", user.oin.as_str())));
            assert!(own || claimed.starts_with("queue:"), "recorded under another's name");
        }
    }
    if let Some(stored) = RawMessage::from_stored(&raw.to_stored()) {
        assert_eq!(stored.to_stored().reveal_personal_data(), raw.to_stored().reveal_personal_data());
    } else {
        panic!("what is stored cannot be read back");
    }
}
