//! What partners sign and want encrypted, over a real broker and real webhooks: DJI must sign, and what goes out is
//! opened by a program that never saw our code.

use crate::keys::{Key, detached, ed25519, header, p256, set};
use crate::messages::{Person, numbered, release};
use crate::partner::partner;
use crate::reload::reload;
use crate::scene::{Arrival, Scene, root, run};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ketenpoort::demo::partner::Event;
use ketenpoort::envelope::digest_label;
use ketenpoort::outcome::Outcome;
use ketenpoort::simulators::recipient::Behaviour;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// A gateway among partners with keys, and the secrets of those partners.
struct World {
    scene: Scene,
    folder: tempfile::TempDir,
    dji: Key,
    dji_hsm: Key,
}

impl World {
    async fn start(name: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let partners = folder.path().join("partners");
        fs::create_dir(&partners).unwrap();
        let (dji, dji_hsm) = (ed25519("dji-2026"), p256("dji-hsm"));
        fs::write(partners.join("dji.jwks.json"), set(&[&dji.jwk, &dji_hsm.jwk])).unwrap();
        let mut text = fs::read_to_string(root().join("tests/gateway/partners.toml")).unwrap();
        let mut change = |party: &str, keys: &str, endpoint: &str| {
            let at = text.find(&format!("id = \"{party}\"")).unwrap();
            let roles = at + text[at..].find("roles = ").unwrap();
            text.insert_str(roles, &format!("{keys}\n"));
            let kind = roles + text[roles..].find("kind = ").unwrap();
            text.insert_str(kind, endpoint);
        };
        change("dji", "keys = \"dji.jwks.json\"\nsignature = \"required\"", "");
        for (gemeente, wants) in [
            ("0606", "sign = true, encrypt = true, "),
            ("0344", "sign = true, "),
            ("0599", "encrypt = true, "),
            ("0505", "sign = true, encrypt = true, "),
            ("0613", "sign = true, "),
        ] {
            make_keys(folder.path(), gemeente);
            change(&format!("gemeente:{gemeente}"), &format!("keys = \"{gemeente}.jwks.json\""), wants);
        }
        fs::write(partners.join("partners.toml"), text).unwrap();
        World { scene: Scene::among(name, &partners).await, folder, dji, dji_hsm }
    }

    /// Signed as by DJI's system.
    fn signed(&self, event: Event, key: &Key) -> Event {
        let source = self.scene.partner("dji").access.source.clone();
        let attributes = [
            ("specversion", "1.0".to_owned()),
            ("id", event.id.clone()),
            ("source", source),
            ("type", event.kind.clone()),
            ("time", "2026-11-24T10:00:00Z".to_owned()),
            ("sequence", event.sequence.unwrap().to_string()),
            ("datacontenttype", "application/xml".to_owned()),
        ];
        let attributes: BTreeMap<_, _> = attributes.map(|(name, value)| (name.to_owned(), value)).into();
        let jws = detached(key, &header(key, &attributes), event.data.reveal_personal_data());
        let time = ("cloudEvents_time".to_owned(), attributes["time"].clone());
        Event { headers: vec![time, ("cloudEvents_signature".to_owned(), jws)], ..event }
    }

    fn release(&self, gemeente: &str) -> Event {
        self.signed(release(&Person::new().notice(gemeente)), &self.dji)
    }

    /// What a municipality reads, as its own program does; `secret` names whose private keys.
    fn open(&self, secret: &str, arrival: &Arrival) -> Result<Vec<u8>, String> {
        let folder = self.folder.path();
        let gateway = fs::read_to_string(folder.join("gateway.json"));
        let mut event: Value = json!({
            "datacontenttype": arrival.content_type, "data_base64": STANDARD.encode(&arrival.body)
        });
        arrival.attributes.iter().for_each(|(name, value)| event[name] = value.as_str().into());
        let file = format!("event-{}.json", uuid::Uuid::new_v4());
        fs::write(folder.join(&file), event.to_string()).unwrap();
        assert!(gateway.is_ok(), "the keys of the gateway are fetched first");
        let number = secret.split('-').next().unwrap();
        let audience = format!("urn:nld:oin:0000009900000000{number}");
        partner(folder, &["open", &format!("{secret}.private.json"), "gateway.json", &file, &audience])
    }

    async fn fetch_keys(&self) {
        let keys = serde_json::to_string(&self.scene.world.note.keys().await.unwrap()).unwrap();
        fs::write(self.folder.path().join("gateway.json"), keys).unwrap();
    }

    /// In the partner directory of the gateway that runs.
    fn file(&self, name: &str) -> PathBuf {
        self.scene.world.home.join("partners").join(name)
    }

    /// A new pair for a municipality; the old one is in its key set no more.
    fn rotate(&self, gemeente: &str) {
        let new = format!("{gemeente}-new");
        let keys = make_keys(self.folder.path(), &new);
        fs::copy(keys, self.file(&format!("{gemeente}.jwks.json"))).unwrap();
    }
}

fn make_keys(folder: &std::path::Path, name: &str) -> PathBuf {
    let public = format!("partners/{name}.jwks.json");
    partner(folder, &["new", &format!("{name}.private.json"), &public]).unwrap();
    folder.join(public)
}

#[test]
fn what_is_signed_comes_in_and_what_goes_out_only_its_receiver_reads() {
    run(async {
        let world = World::start("signed").await;
        world.fetch_keys().await;
        let scene = &world.scene;
        for (gemeente, encrypted, signed_outside) in [
            ("0606", true, false),
            ("0344", false, true),
            ("0599", true, false),
            ("0505", true, false),
            ("0613", false, true),
        ] {
            let party = format!("gemeente:{gemeente}");
            let event = world.release(gemeente);
            scene.send("dji", &event).await;
            let receipt = scene.receipt("dji", &event.id, &party).await;
            assert_eq!(receipt.outcome, Outcome::Delivered, "{party}: {:?}", receipt.reason);
            let signature = receipt.message.signature.as_ref().unwrap();
            assert_eq!((signature.kid.as_str(), signature.alg.as_str()), ("dji-2026", "EdDSA"));

            let arrival = scene.arrival(&party, &event.id).await;
            assert_eq!(receipt.forwarded_digest, Some(digest_label(&arrival.body)), "of the very bytes");
            assert_eq!(arrival.content_type == "application/jose", encrypted, "{party}");
            assert_eq!(arrival.attributes.contains_key("signature"), signed_outside, "{party}");
            assert_eq!(String::from_utf8_lossy(&arrival.body).contains("Dijkhuizen"), !encrypted, "{party}");
            let opened = String::from_utf8(world.open(gemeente, &arrival).unwrap()).unwrap();
            assert!(opened.contains("Dijkhuizen") && !opened.contains("P. de Groot"), "{party}: {opened}");
            let mut elsewhere = Arrival::clone(&arrival);
            elsewhere.attributes.insert("type".to_owned(), "nl.ketenpoort.iets-anders.v1".to_owned());
            assert!(world.open(gemeente, &elsewhere).unwrap_err().contains("another event"), "{party}");
        }
    });
}

#[test]
fn without_a_signature_it_is_rejected_and_the_id_is_still_free() {
    run(async {
        let world = World::start("unsigned").await;
        let scene = &world.scene;
        let signed = world.release("0606");
        let strip = |event: &Event| Event { headers: event.headers[..1].to_vec(), ..event.clone() };
        scene.send("dji", &strip(&signed)).await;
        let rejected = scene.receipts("dji", &signed.id, 1).await.remove(0);
        assert_eq!(rejected.receipt.outcome, Outcome::Rejected);
        assert_eq!(rejected.receipt.reason.as_ref().unwrap().code.as_str(), "KP-1011");

        let later = numbered(2, release(&Person::new().notice("0606")));
        let mut stolen = world.signed(later, &world.dji);
        stolen.headers = signed.headers.clone();
        scene.send("dji", &stolen).await;
        let rejected = scene.receipts("dji", &stolen.id, 1).await.remove(0);
        assert_eq!(rejected.receipt.reason.as_ref().unwrap().code.as_str(), "KP-1018");

        scene.send("dji", &signed).await;
        let delivered = scene.receipt("dji", &signed.id, "gemeente:0606").await;
        assert_eq!(delivered.outcome, Outcome::Delivered);
        assert_eq!(scene.recipients_of(&stolen.id), [""; 0]);

        // Signed with another key, it is still the same message.
        let again = world.signed(Event { headers: Vec::new(), ..signed.clone() }, &world.dji_hsm);
        let before = scene.receipts("dji", &signed.id, 2).await.len();
        scene.send("dji", &again).await;
        let all = scene.receipts("dji", &signed.id, before + 1).await;
        let delivered = all.iter().filter(|proof| proof.receipt.outcome == Outcome::Delivered);
        let texts: BTreeSet<&str> = delivered.map(|proof| proof.jws.as_str()).collect();
        assert_eq!((texts.len(), all.len()), (1, before + 1), "the very same receipt");
        assert_eq!(scene.arrivals("gemeente:0606", &signed.id).len(), 1);
    });
}

#[test]
fn nothing_leaves_in_the_clear_that_must_not_whatever_becomes_of_the_keys() {
    run(async {
        let world = World::start("keys").await;
        world.fetch_keys().await;
        let scene = &world.scene;
        // Of one that is down, the key changes; another one wants encryption now that did not before.
        let down = Behaviour::Answer { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: None };
        scene.world.webhooks.behave_at("/gemeente-0599", down.clone(), None);
        scene.world.webhooks.behave_at("/gemeente-0613", down, None);
        let (rotated, encrypted) = (world.release("0599"), world.release("0613"));
        for event in [&rotated, &encrypted] {
            scene.send("dji", event).await;
            scene.waits_as(crate::messages::trace_id(event), "retrying").await;
        }
        // And a third has no key any more that is valid.
        let expired =
            fs::read_to_string(world.file("0606.jwks.json")).unwrap().replace("\"use\"", "\"exp\": 1, \"use\"");
        fs::write(world.file("0606.jwks.json"), expired).unwrap();
        let partners = fs::read_to_string(world.file("partners.toml")).unwrap();
        let mut partners: toml::Table = partners.parse().unwrap();
        let parties = partners["party"].as_array_mut().unwrap();
        let albrandswaard = parties.iter_mut().find(|party| party["id"].as_str() == Some("gemeente:0613")).unwrap();
        let endpoint = albrandswaard["endpoint"][0].as_table_mut().unwrap();
        endpoint.extend([("encrypt", true), ("sign", false)].map(|(name, value)| (name.to_owned(), value.into())));
        fs::write(world.file("partners.toml"), partners.to_string()).unwrap();
        world.rotate("0599");
        reload(scene, "ok", 1).await;

        let keyless = world.release("0606");
        scene.send("dji", &keyless).await;
        scene.waits_as(crate::messages::trace_id(&keyless), "parked").await;
        let parked = scene.parked(&keyless.id).await;
        assert_eq!(parked[0]["reason"]["code"], "KP-5011", "{parked:?}");

        for path in ["/gemeente-0599", "/gemeente-0613"] {
            scene.world.webhooks.behave_at(path, Behaviour::Take, None);
        }
        let arrival = scene.arrival("gemeente:0599", &rotated.id).await;
        assert!(world.open("0599", &arrival).is_err(), "the key that it waited with");
        assert!(String::from_utf8(world.open("0599-new", &arrival).unwrap()).unwrap().contains("Dijkhuizen"));
        let arrival = scene.arrival("gemeente:0613", &encrypted.id).await;
        assert!(!String::from_utf8_lossy(&arrival.body).contains("Dijkhuizen"));
        assert!(String::from_utf8(world.open("0613", &arrival).unwrap()).unwrap().contains("Dijkhuizen"));

        assert_eq!(scene.recipients_of(&keyless.id), [""; 0]);
        world.rotate("0606");
        reload(scene, "ok", 2).await;
        let delivery = parked[0]["delivery"].to_string();
        scene.command(&["parked", "replay", &delivery, "--who", "beheer", "--why", "a new key is there"]).await;
        let arrival = scene.arrival("gemeente:0606", &keyless.id).await;
        assert!(String::from_utf8(world.open("0606-new", &arrival).unwrap()).unwrap().contains("Dijkhuizen"));
        let receipt = scene.receipt("dji", &keyless.id, "gemeente:0606").await;
        assert_eq!(receipt.forwarded_digest, Some(digest_label(&arrival.body)));
    });
}
