//! What partners sign and what they get signed and encrypted: everything that can be wrong, through the core, and a
//! judge in another language that never saw our code (docs/examples, as partners have it).

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod attacks;
mod directory;
mod judge;
mod keys;
mod partner;

use ketenpoort::catalogue::Sources;
use ketenpoort::core::Pipeline;
use ketenpoort::directory::Directory;
use ketenpoort::envelope::RawMessage;
use ketenpoort::party::PartyId;
use ketenpoort::personal::Personal;
use ketenpoort::validation::Limits;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

pub const NOW: &str = "2026-11-24T10:00:00Z";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The partners of the whole-gateway tests, with keys: `changes` says what goes after the users of whom.
pub fn pipeline(changes: &[(&str, &str)], key_sets: &[(&str, String)]) -> Pipeline {
    static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
        let [schemas, policies, mappings] = ["schemas", "policies", "mappings"].map(|folder| root().join(folder));
        Sources::read(&schemas, &policies, &mappings).unwrap()
    });
    let mut partners = std::fs::read_to_string(root().join("tests/gateway/partners.toml")).unwrap();
    for (user, keys) in changes {
        let users = format!("users = [\"{user}\"]\n");
        assert!(partners.contains(&users), "there is no user {user}");
        partners = partners.replace(&users, &format!("{users}{keys}\n"));
    }
    let mut files = BTreeMap::from([("partners.toml".to_owned(), partners)]);
    files.extend(key_sets.iter().map(|(name, text)| ((*name).to_owned(), text.clone())));
    let directory = Directory::load(&files).unwrap_or_else(|findings| panic!("{findings:?}"));
    Pipeline::load(&SOURCES, Arc::new(directory), Limits::default(), &[7; 32]).unwrap()
}

/// One message in the hands of whoever carries it.
#[derive(Clone, Debug)]
pub struct Message {
    pub from: &'static str,
    pub attributes: BTreeMap<String, String>,
    pub data: Vec<u8>,
    pub signature: Option<String>,
}

impl Message {
    pub fn new(from: &'static str, source: &str, kind: &str, content_type: &str, data: Vec<u8>) -> Message {
        let attributes = [
            ("specversion", "1.0"),
            ("id", "b7a1c7f2-6a5e-4b8c-9a55-1f2e3d4c5b6a"),
            ("source", source),
            ("type", kind),
            ("time", NOW),
            ("sequence", "1"),
            ("datacontenttype", content_type),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Message { from, attributes, data, signature: None }
    }

    pub fn with(&self, name: &str, value: &str) -> Message {
        let mut other = self.clone();
        other.attributes.insert(name.to_owned(), value.to_owned());
        other
    }

    pub fn without(&self, name: &str) -> Message {
        let mut other = self.clone();
        other.attributes.remove(name);
        other
    }

    pub fn signed(&self, signature: impl Into<String>) -> Message {
        Message { signature: Some(signature.into()), ..self.clone() }
    }

    pub fn binary(&self) -> RawMessage {
        let all = self.attributes.iter().filter(|(name, _)| *name != "datacontenttype");
        let mut headers: BTreeMap<String, String> =
            all.map(|(name, value)| (format!("cloudEvents_{name}"), value.clone())).collect();
        headers.extend(self.signature.iter().map(|jws| ("cloudEvents_signature".to_owned(), jws.clone())));
        headers.insert("traceparent".to_owned(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
        RawMessage { headers, content_type: self.attributes.get("datacontenttype").cloned(), ..self.raw(&self.data) }
    }

    /// `data` as it stands in the event, or in base64.
    pub fn structured(&self, as_it_stands: bool) -> RawMessage {
        let mut event = serde_json::Map::new();
        event.extend(self.attributes.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        event.extend(self.signature.iter().map(|jws| ("signature".to_owned(), jws.as_str().into())));
        let text = serde_json::Value::Object(event).to_string();
        let data = match as_it_stands {
            true => format!("\"data\":{}", std::str::from_utf8(&self.data).unwrap()),
            false => {
                let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &self.data);
                format!("\"data_base64\":\"{encoded}\"")
            }
        };
        let body = format!("{},{data}}}", text.trim_end_matches('}'));
        RawMessage { content_type: Some("application/cloudevents+json".to_owned()), ..self.raw(body.as_bytes()) }
    }

    fn raw(&self, body: &[u8]) -> RawMessage {
        let user = self.from.replace(':', "-");
        RawMessage {
            body: Personal::new(body.to_vec()),
            user_id: Some(user),
            queue_of: Some(PartyId::new(self.from)),
            ..RawMessage::default()
        }
    }
}
