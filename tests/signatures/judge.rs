//! The example that partners get (docs/examples/partner_keys.py, on jwcrypto) as the judge: it signs what the gateway
//! takes in, and opens what the gateway encrypts and signs.

use crate::keys::{b64, ed25519, set};
use crate::partner::{partner, python};
use crate::{NOW, root};
use ketenpoort::directory::Directory;
use ketenpoort::jose::keys::Keys;
use ketenpoort::jose::{self, detached};
use ketenpoort::personal::Personal;
use ketenpoort::receipt::keys::{KeySet, Signer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn explain(folder: &Path, event: &Path) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ketenpoort"));
    command.arg("explain").arg(event).arg("--root").arg(root()).arg("--partners").arg(folder);
    let output = command.args(["--json", "--now", NOW]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// As the guide says, step by step.
#[test]
fn a_partner_signs_and_is_believed_until_a_byte_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let partners = std::fs::read_to_string(root().join("deploy/demo/partners.toml")).unwrap();
    let dji = "users = [\"dji\"]\n";
    assert!(partners.contains(dji));
    let partners = partners.replace(dji, &format!("{dji}keys = \"dji.jwks.json\"\nsignature = \"required\"\n"));
    std::fs::write(path("partners.toml"), partners).unwrap();
    partner(folder.path(), &["new", "dji.private.json", "dji.jwks.json"]).unwrap();
    let attributes = json!({
        "specversion": "1.0", "id": "3f0c9a12-1234-4678-9abc-d234567890ab", "sequence": 1, "time": NOW,
        "source": "urn:nld:oin:00000099000900000001:systeem:tulp", "datacontenttype": "application/xml",
        "type": "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1",
    });
    std::fs::write(path("attributes.json"), attributes.to_string()).unwrap();
    let release = root().join("deploy/demo/messages/release-utrecht.xml");
    let sign = ["sign", "dji.private.json", "attributes.json", release.to_str().unwrap()];
    let event = partner(folder.path(), &sign).unwrap();
    std::fs::write(path("event.json"), &event).unwrap();
    let explained = explain(folder.path(), &path("event.json"));
    assert_eq!(explained["deliveries"][1]["recipient"], "gemeente:0344", "{explained}");
    assert_eq!(explained["message"]["signature"]["alg"], "EdDSA");

    let event: Value = serde_json::from_slice(&event).unwrap();
    for (member, value, code) in [
        ("signature", Value::Null, "KP-1011"),
        ("data_base64", "PFZlcmxvZi8+".into(), "KP-1018"),
        ("id", "another".into(), "KP-1019"),
    ] {
        let mut changed = event.clone();
        changed[member] = value;
        std::fs::write(path("changed.json"), changed.to_string()).unwrap();
        let explained = explain(folder.path(), &path("changed.json"));
        assert_eq!((&explained["outcome"], &explained["reason"]["code"]), (&"rejected".into(), &code.into()));
    }
}

/// The gateway's keys and those of a recipient, as files.
struct Sent {
    folder: tempfile::TempDir,
    signer: Signer,
    keys: Keys,
}

impl Sent {
    fn new() -> Sent {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::generate(&folder.path().join("gateway.pem"))
            .and_then(|()| Signer::read(&folder.path().join("gateway.pem")))
            .unwrap();
        let published = serde_json::to_string(&KeySet { keys: vec![signer.key()] }).unwrap();
        std::fs::write(folder.path().join("gateway.jwks.json"), published).unwrap();
        partner(folder.path(), &["new", "private.json", "public.jwks.json"]).unwrap();
        let keys = Keys::read(&std::fs::read_to_string(folder.path().join("public.jwks.json")).unwrap()).unwrap();
        Sent { folder, signer, keys }
    }

    /// Another key for encryption than the example makes.
    fn with_key(mut self, kty: &str, crv: &str, alg: &str) -> Sent {
        let make = format!(
            "import json; from jwcrypto import jwk\n\
             key = jwk.JWK.generate(kty='{kty}', crv='{crv}', use='enc', alg='{alg}', kid='enc')\n\
             open('private.json', 'w').write(json.dumps({{'keys': [key.export(as_dict=True)]}}))\n\
             open('public.jwks.json', 'w').write(json.dumps({{'keys': [key.export_public(as_dict=True)]}}))"
        );
        let made = Command::new(python()).args(["-c", &make]).current_dir(self.folder.path()).status().unwrap();
        assert!(made.success());
        let public = std::fs::read_to_string(self.folder.path().join("public.jwks.json")).unwrap();
        self.keys = Keys::read(&public).unwrap();
        self
    }

    fn open(&self, event: &Value) -> Result<Vec<u8>, String> {
        std::fs::write(self.folder.path().join("event.json"), event.to_string()).unwrap();
        partner(self.folder.path(), &["open", "private.json", "gateway.jwks.json", "event.json", AUDIENCE])
    }
}

const AUDIENCE: &str = "urn:nld:oin:00000099000000000344";
const DATA: &[u8] = "{\"naam\": \"Wïllem\"}".as_bytes();

fn attributes() -> Vec<(&'static str, String)> {
    let all = [("id", "e-1"), ("source", "urn:x"), ("specversion", "1.0"), ("type", "t"), ("time", NOW)];
    all.map(|(name, value)| (name, value.to_owned())).into()
}

fn event(content_type: &str, data: &[u8]) -> Value {
    let mut event = json!({ "datacontenttype": content_type, "traceparent": "00-1-2-01" });
    attributes().into_iter().for_each(|(name, value)| event[name] = value.into());
    event["data_base64"] = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, data).into();
    event
}

#[test]
fn what_we_sign_a_partner_verifies() {
    let sent = Sent::new();
    let attributes = attributes();
    let about = jose::Event { attributes: &attributes, content_type: "application/json" };
    let mut good = event("application/json", DATA);
    good["signature"] = detached::sign(&sent.signer, &about, AUDIENCE, DATA).into();
    assert_eq!(sent.open(&good).unwrap(), DATA);
    let with = |name: &str, value: &str| {
        let mut changed = good.clone();
        changed[name] = value.into();
        changed
    };
    let for_another = detached::sign(&sent.signer, &about, "urn:nld:oin:00000099000000000606", DATA);
    for (changed, why) in [
        (with("id", "e-2"), "another event"),
        (with("data_base64", "e30="), "InvalidJWSSignature"),
        (with("signature", &for_another), "somebody else"),
    ] {
        let refused = sent.open(&changed).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn what_we_encrypt_only_the_partner_opens() {
    let ways = [
        ("EC", "P-256", "ECDH-ES"),
        ("EC", "P-256", "ECDH-ES+A256KW"),
        ("OKP", "X25519", "ECDH-ES"),
        ("OKP", "X25519", "ECDH-ES+A256KW"),
    ];
    let attributes = attributes();
    let about = jose::Event { attributes: &attributes, content_type: jose::CONTENT_TYPE };
    for (kty, crv, alg) in ways {
        let sent = Sent::new().with_key(kty, crv, alg);
        let key = sent.keys.encrypting(NOW.parse().unwrap()).unwrap();
        let jwe = key.encrypt(&Personal::new(DATA.to_vec()), "application/json", &about).unwrap();
        assert_eq!(sent.open(&event(jose::CONTENT_TYPE, jwe.as_bytes())).unwrap(), DATA, "{crv} {alg}");

        let jws = detached::sign_whole(&sent.signer, &about, AUDIENCE, DATA, "application/json");
        let both = key.encrypt(&Personal::new(jws.into_bytes()), jose::CONTENT_TYPE, &about).unwrap();
        let both = event(jose::CONTENT_TYPE, both.as_bytes());
        assert_eq!(sent.open(&both).unwrap(), DATA, "{crv} {alg}, signed");
        let mut elsewhere = both.clone();
        elsewhere["id"] = "e-2".into();
        assert!(sent.open(&elsewhere).unwrap_err().contains("another event"));

        let other = Sent::new().with_key(kty, crv, alg);
        assert!(other.open(&both).unwrap_err().contains("refused"), "{crv} {alg}: another's key");
    }
}

#[test]
fn the_example_gives_only_public_keys_away() {
    let folder = tempfile::tempdir().unwrap();
    partner(folder.path(), &["new", "private.json", "public.jwks.json"]).unwrap();
    let text = |name: &str| -> String { std::fs::read_to_string(PathBuf::from(folder.path()).join(name)).unwrap() };
    assert!(Keys::read(&text("public.jwks.json")).is_ok());
    assert!(Keys::read(&text("private.json")).is_err());
    // And a key set of another make, so that the judge does not judge itself.
    let files = BTreeMap::from([("x.jwks.json".to_owned(), set(&[&ed25519(&b64("x")).jwk]))]);
    assert!(Directory::load(&files).is_err_and(|findings| findings[0].problem.hint.contains("[[party]]")));
}
