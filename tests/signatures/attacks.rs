//! Everything that can be wrong with a signature: the message is rejected, each time with the code that says so.

use crate::keys::{Key, b64, detached, ed25519, header, p256, rsa, set};
use crate::{Message, NOW, pipeline, root};
use aws_lc_rs::hmac;
use jiff::Timestamp;
use ketenpoort::core::Pipeline;
use ketenpoort::envelope::RawMessage;
use ketenpoort::explain::{Explanation, explain};
use ketenpoort::outcome::Outcome;
use serde_json::{Value, json};

const LEAVE: &str = "nl.ketenpoort.detentie.verlof-aangekondigd.v1";
const REQUEST: &str = "nl.ketenpoort.re-integratie.informatie-gevraagd.v1";

/// DJI must sign and has a key of each kind; a municipality may.
struct World {
    pipeline: Pipeline,
    ed: Key,
    ed_other: Key,
    ec: Key,
    rsa: Key,
    old: Key,
    future: Key,
    revoked: Key,
    gemeente: Key,
    enc: Value,
}

impl World {
    fn new() -> World {
        let with = |mut key: Key, name: &str, value: Value| {
            key.jwk[name] = value;
            key
        };
        let at = |text: &str| json!(text.parse::<Timestamp>().unwrap().as_second());
        let (ed, ed_other, ec, rsa, gemeente) =
            (ed25519("dji-2026"), ed25519("dji-2027"), p256("dji-hsm"), rsa("dji-rsa"), ed25519("gemeente"));
        // To the second: what ends now has ended.
        let old = with(ed25519("dji-2025"), "exp", at(NOW));
        let future = with(ed25519("dji-2028"), "nbf", at("2026-11-24T10:00:01Z"));
        let revoked = with(ed25519("dji-lost"), "revoked", json!({ "revoked_at": at("2026-11-20T00:00:00Z") }));
        let mut enc = p256("dji-enc").jwk;
        enc["use"] = "enc".into();
        let dji = [&ed.jwk, &ed_other.jwk, &ec.jwk, &rsa.jwk, &old.jwk, &future.jwk, &revoked.jwk, &enc];
        let changes = [
            ("dji", "keys = \"dji.jwks.json\"\nsignature = \"required\""),
            ("gemeente-0344", "keys = \"utrecht.jwks.json\""),
        ];
        let key_sets = [("dji.jwks.json", set(&dji)), ("utrecht.jwks.json", set(&[&gemeente.jwk]))];
        let pipeline = pipeline(&changes, &key_sets);
        World { pipeline, ed, ed_other, ec, rsa, old, future, revoked, gemeente, enc }
    }

    fn explain(&self, raw: &RawMessage) -> Explanation {
        explain(&self.pipeline, raw, None, NOW.parse().unwrap())
    }

    /// What is wrong with it: codes and places.
    fn wrong(&self, raw: &RawMessage) -> Vec<String> {
        let explained = self.explain(raw);
        let problems = explained.reason.into_iter().flat_map(|reason| reason.problems);
        let told = problems.map(|problem| format!("{} {}", problem.code, problem.place)).collect::<Vec<_>>();
        assert_eq!(explained.outcome == Outcome::Rejected, !told.is_empty());
        told
    }
}

fn leave() -> Message {
    let xml = std::fs::read(root().join("tests/fixtures/verlof.xml")).unwrap();
    let source = "urn:nld:oin:00000099000900000001:systeem:tulp";
    Message::new("dji", source, LEAVE, "application/xml", xml)
}

fn request() -> Message {
    let data = r#"{"verzoek": {"kenmerk": "0344-2027-17", "grond": "18b", "doel": "toezicht", "gemeentecode": "0344"},
        "persoon": {"bsn": "999993653", "geslachtsnaam": "Haverkamp", "geboortedatum": "1987-04-12"}}"#;
    let source = "urn:nld:oin:00000099000000000344:systeem:zaken";
    Message::new("gemeente:0344", source, REQUEST, "application/json", data.as_bytes().to_vec()).without("sequence")
}

fn by(key: &Key, message: &Message) -> Message {
    message.signed(detached(key, &header(key, &message.attributes), &message.data))
}

#[test]
fn what_is_signed_as_it_should_be_is_taken_in_whichever_way_it_comes() {
    let world = World::new();
    let message = leave();
    let unencoded = |key: &Key| {
        let mut header = header(key, &message.attributes);
        (header["b64"], header["crit"]) = (false.into(), json!(["b64"]));
        message.signed(detached(key, &header, &message.data))
    };
    let mut fully_specified = header(&world.ed, &message.attributes);
    fully_specified["alg"] = "Ed25519".into();
    let ways = [
        (by(&world.ed, &message), "EdDSA"),
        (by(&world.ed_other, &message), "EdDSA"),
        (by(&world.ec, &message), "ES256"),
        (by(&world.rsa, &message), "PS256"),
        (unencoded(&world.ed), "EdDSA"),
        (unencoded(&world.ec), "ES256"),
        (message.signed(detached(&world.ed, &fully_specified, &message.data)), "EdDSA"),
    ];
    for (signed, alg) in ways {
        for raw in [signed.binary(), signed.structured(false)] {
            let explained = world.explain(&raw);
            assert_ne!(explained.outcome, Outcome::Rejected, "{alg}: {:?}", explained.reason);
            let signature = explained.message.signature.unwrap();
            assert_eq!(signature.alg, alg);
        }
    }
}

#[test]
fn json_is_signed_as_it_stands_in_the_event() {
    let world = World::new();
    let message = request();
    let signed = by(&world.gemeente, &message);
    for raw in [signed.binary(), signed.structured(true), signed.structured(false)] {
        assert_eq!(world.wrong(&raw), [""; 0]);
        assert_eq!(world.explain(&raw).message.signature.unwrap().kid, "gemeente");
    }
    let again: Value = serde_json::from_slice(&message.data).unwrap();
    let re_encoded = Message { data: again.to_string().into_bytes(), ..signed };
    for raw in [re_encoded.binary(), re_encoded.structured(true)] {
        assert_eq!(world.wrong(&raw), ["KP-1018 signature"]);
    }
}

#[test]
fn who_may_sign_need_not_but_what_is_signed_is_right() {
    let world = World::new();
    let message = request();
    let unsigned = world.explain(&message.binary());
    assert_ne!(unsigned.outcome, Outcome::Rejected);
    assert_eq!(unsigned.message.signature, None);
    assert_eq!(world.wrong(&message.signed("").binary()), ["KP-1012 signature"]);
    assert_eq!(world.wrong(&by(&world.ed, &message).binary()), ["KP-1015 signature"], "another party's key");
    // Of a party without keys nobody can tell, and nothing is said.
    let other = "urn:nld:oin:00000099000000000489:systeem:zaken";
    let other = Message { from: "gemeente:0489", ..message.with("source", other) };
    let data = String::from_utf8(other.data.clone()).unwrap().replace("0344", "0489").into_bytes();
    let other = Message { data, ..other }.signed("anything");
    let explained = world.explain(&other.binary());
    assert_ne!(explained.outcome, Outcome::Rejected, "{:?}", explained.reason);
    assert_eq!(explained.message.signature, None);
}

#[test]
fn every_attack_is_rejected_with_its_own_code() {
    let world = World::new();
    let World { ed, ed_other, ec, rsa, old, future, revoked, gemeente, .. } = &world;
    let message = leave();
    let good = by(ed, &message);
    let with_header = |key: &Key, change: &dyn Fn(&mut Value)| {
        let mut header = header(key, &message.attributes);
        change(&mut header);
        message.signed(detached(key, &header, &message.data))
    };
    let text = |header: &str, signature: &[u8]| message.signed(format!("{}..{}", b64(header), b64(signature)));
    let cut = |key: &Key, length: usize| {
        let jws = by(key, &message).signature.unwrap();
        let (head, signature) = jws.rsplit_once('.').unwrap();
        let mut bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).unwrap();
        bytes.resize(length, 0);
        message.signed(format!("{head}.{}", b64(bytes)))
    };
    let der = {
        let header = header(ec, &message.attributes);
        let jws = detached(ec, &header, &message.data);
        let raw = jws.rsplit_once('.').unwrap();
        let raw = (raw.0, base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, raw.1).unwrap());
        let integer = |bytes: &[u8]| [&[2, 33, 0][..], bytes].concat();
        let der = [&[0x30, 70][..], &integer(&raw.1[..32]), &integer(&raw.1[32..])].concat();
        message.signed(format!("{}.{}", raw.0, b64(der)))
    };
    let with_public_key_as_secret = {
        let head = b64(json!({ "alg": "HS256", "kid": "dji-rsa", "ce": message.attributes }).to_string());
        let secret = hmac::Key::new(hmac::HMAC_SHA256, rsa.jwk["n"].as_str().unwrap().as_bytes());
        let tag = hmac::sign(&secret, format!("{head}.{}", b64(&message.data)).as_bytes());
        message.signed(format!("{head}..{}", b64(tag)))
    };
    let attached = {
        let jws = good.signature.clone().unwrap();
        message.signed(jws.replacen("..", &format!(".{}.", b64(&message.data)), 1))
    };
    let attributes = serde_json::to_string(&message.attributes).unwrap();
    let ec_as = |alg: &'static str| with_header(ec, &|header| header["alg"] = alg.into());
    let later = message.with("id", "11111111-6a5e-4b8c-9a55-1f2e3d4c5b6a");
    let table: Vec<(&str, Message, &[&str])> = vec![
        ("stripped", message.clone(), &["KP-1011 signature"]),
        ("empty", message.signed(""), &["KP-1012 signature"]),
        ("no JWS", message.signed("waarmerk"), &["KP-1012 signature"]),
        ("a JWE", message.signed("e30.a.b.c.d"), &["KP-1012 signature"]),
        ("with its payload", attached, &["KP-1012 signature"]),
        ("padded", message.signed(format!("{}=", good.signature.as_ref().unwrap())), &["KP-1012 signature"]),
        ("too long", message.signed(format!("{}..", "A".repeat(9000))), &["KP-1012 signature"]),
        ("a header that is no object", text("[]", b""), &["KP-1012 signature"]),
        ("a key twice in the header", text(r#"{"alg":"EdDSA","alg":"none"}"#, b""), &["KP-1012 signature"]),
        ("no kid", with_header(ed, &|header| header["kid"] = Value::Null), &["KP-1012 signature"]),
        ("no attributes", with_header(ed, &|header| header["ce"] = Value::Null), &["KP-1012 signature"]),
        ("an attribute that is no text", with_header(ed, &|h| h["ce"]["sequence"] = 1.into()), &["KP-1012 signature"]),
        (
            "an attribute twice",
            text(&format!(r#"{{"alg":"EdDSA","kid":"dji-2026","ce":{{"id":"x",{}}}"#, &attributes[1..]), b""),
            &["KP-1012 signature"],
        ),
        ("b64 that is not critical", with_header(ed, &|header| header["b64"] = false.into()), &["KP-1012 signature"]),
        ("nothing that is critical", with_header(ed, &|header| header["crit"] = json!([])), &["KP-1012 signature"]),
        ("critical and not there", with_header(ed, &|h| h["crit"] = json!(["b64"])), &["KP-1012 signature"]),
        (
            "critical and not understood",
            with_header(ed, &|header| {
                (header["exp"], header["crit"]) = (1.into(), json!(["exp"]));
            }),
            &["KP-1013 signature"],
        ),
        (
            "alg none",
            text(&format!(r#"{{"alg":"none","kid":"dji-2026","ce":{attributes}}}"#), b""),
            &["KP-1014 signature"],
        ),
        ("the public key as a secret", with_public_key_as_secret, &["KP-1014 signature"]),
        ("the algorithm of another kind of key", ec_as("EdDSA"), &["KP-1014 signature"]),
        ("RS256", with_header(rsa, &|header| header["alg"] = "RS256".into()), &["KP-1014 signature"]),
        ("the kid of a key of another kind", with_header(ed, &|h| h["kid"] = "dji-hsm".into()), &["KP-1014 signature"]),
        ("a kid that nobody has", with_header(ed, &|header| header["kid"] = "dji".into()), &["KP-1015 signature"]),
        (
            "a key that the header brings",
            with_header(gemeente, &|header| {
                header["jwk"] = gemeente.jwk.clone();
            }),
            &["KP-1015 signature"],
        ),
        ("another party's key", by(gemeente, &message), &["KP-1015 signature"]),
        (
            "another party's key under our kid",
            with_header(gemeente, &|h| h["kid"] = "dji-2026".into()),
            &["KP-1018 signature"],
        ),
        ("a key for encryption", with_header(ed, &|header| header["kid"] = "dji-enc".into()), &["KP-1016 signature"]),
        ("a key that has expired", by(old, &message), &["KP-1017 signature"]),
        ("a key that has not begun", by(future, &message), &["KP-1017 signature"]),
        ("a key that was revoked", by(revoked, &message), &["KP-1017 signature"]),
        (
            "the kid of another key of this kind",
            with_header(ed_other, &|h| h["kid"] = "dji-2026".into()),
            &["KP-1018 signature"],
        ),
        ("other data", Message { data: b"<Verlof/>".to_vec(), ..good.clone() }, &["KP-1018 signature"]),
        ("a signature that is too short", cut(ec, 63), &["KP-1018 signature"]),
        ("a signature that is too long", cut(ec, 65), &["KP-1018 signature"]),
        ("no signature in the signature", cut(ed, 0), &["KP-1018 signature"]),
        ("a signature in DER", der, &["KP-1018 signature"]),
        ("another id", good.with("id", "22222222-6a5e-4b8c-9a55-1f2e3d4c5b6a"), &["KP-1019 id"]),
        ("another's signature of the same data", good.signed(by(ed, &later).signature.unwrap()), &["KP-1019 id"]),
        ("another type", good.with("type", REQUEST), &["KP-1019 type"]),
        ("another time", good.with("time", "2026-11-24T11:00:00Z"), &["KP-1019 time"]),
        ("another sequence", good.with("sequence", "2"), &["KP-1019 sequence"]),
        ("another system", good.with("source", "urn:nld:oin:00000099000900000001:systeem:x"), &["KP-1019 source"]),
        ("another content type", good.with("datacontenttype", "text/xml"), &["KP-1019 datacontenttype"]),
        ("an attribute less", good.without("sequence"), &["KP-1019 sequence"]),
        ("an attribute more", good.with("subject", "x"), &["KP-1019 subject"]),
        ("two of them", good.with("sequence", "2").without("time"), &["KP-1019 sequence", "KP-1019 time"]),
    ];
    for (attack, message, expected) in table {
        for raw in [message.binary(), message.structured(false)] {
            assert_eq!(world.wrong(&raw), expected, "{attack}");
            let now = NOW.parse().unwrap();
            let rejection = world.pipeline.open(&raw, now).unwrap_err();
            assert_eq!(rejection.sender.as_ref().unwrap().as_str(), "dji", "{attack}: who gets the receipt");
            // Whoever cannot sign uses up no id of him who can.
            assert_eq!(rejection.identity().source, "queue:dji", "{attack}");
            assert_eq!(rejection.identity().message.signature, None, "{attack}");
        }
    }
    assert_eq!(world.wrong(&good.binary()), [""; 0], "what all of this was made from");
    assert!(world.enc["kid"] == "dji-enc");
}

#[test]
fn each_unsigned_message_has_a_name_of_its_own_and_keeps_it() {
    let world = World::new();
    let now = NOW.parse().unwrap();
    let identity = |message: &Message| world.pipeline.open(&message.binary(), now).unwrap_err().identity();
    let message = leave();
    let (missing, wrong) = (identity(&message), identity(&message.signed("waarmerk")));
    assert_ne!(missing.id, wrong.id, "the one who mends his signature hears what is wrong now");
    assert_eq!(missing, identity(&message));
    let mut traced = message.binary();
    traced
        .headers
        .insert("traceparent".to_owned(), "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    assert_eq!(missing, world.pipeline.open(&traced, now).unwrap_err().identity());
}

#[test]
fn the_same_message_signed_anew_is_the_same_message() {
    let world = World::new();
    let now = NOW.parse().unwrap();
    let message = leave();
    let identities = [&world.ed, &world.ec].map(|key| {
        let identity = world.pipeline.open(&by(key, &message).binary(), now).unwrap().identity().clone();
        (identity.source, identity.id, identity.digest)
    });
    assert_eq!(identities[0], identities[1]);
}

#[test]
fn what_was_taken_in_is_not_asked_for_its_signature_again() {
    let world = World::new();
    let signed = by(&world.ed, &leave()).binary();
    let stored = RawMessage::from_stored(&signed.to_stored()).unwrap();
    let years_later = "2031-01-01T00:00:00Z".parse().unwrap();
    let without_the_key = pipeline(
        &[("dji", "keys = \"dji.jwks.json\"\nsignature = \"required\"")],
        &[("dji.jwks.json", set(&[&world.ec.jwk]))],
    );
    assert!(without_the_key.open(&signed, years_later).is_err());
    assert!(without_the_key.open(&stored, years_later).is_ok());
}
