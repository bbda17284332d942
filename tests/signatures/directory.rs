//! What can be wrong with a partner's keys is told when the directory is read, with its place.

use crate::keys::{b64, ed25519, p256, rsa, set};
use ketenpoort::code::Code;
use ketenpoort::directory::Directory;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn findings(keys: &str, party: &str, endpoint: &str) -> Vec<String> {
    let partners = format!(
        "[[role]]\nname = \"om\"\n[[party]]\nid = \"om\"\nname = \"OM\"\noin = \"00000099000900000004\"\nusers = [\"om\"]\n\
         roles = [\"om\"]\n{party}\nendpoint = [{{ kind = \"amqp\"{endpoint} }}]\n"
    );
    let files = BTreeMap::from([("om.toml".to_owned(), partners), ("om.jwks.json".to_owned(), keys.to_owned())]);
    let findings = Directory::load(&files).err().unwrap_or_default();
    findings.iter().map(|f| format!("{} {} {}: {}", f.problem.code, f.file, f.problem.place, f.problem.hint)).collect()
}

fn x25519() -> Value {
    json!({ "kty": "OKP", "crv": "X25519", "x": b64([9; 32]), "use": "enc", "kid": "enc" })
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

#[test]
fn every_key_is_tried_when_it_is_read() {
    let (ed, ec, rsa) = (ed25519("ed").jwk, p256("ec").jwk, rsa("rsa").jwk);
    let enc = with(p256("enc").jwk, "use", "enc".into());
    let table = [
        ("not JSON", "{".to_owned(), "line 1", "JSON"),
        ("no set", "{}".to_owned(), "", "JWK Set"),
        ("an empty set", set(&[]), "", "JWK Set"),
        ("a private part", set(&[&with(ed.clone(), "d", "x".into())]), "keys/0", "holds `d`"),
        ("a secret", set(&[&json!({ "kty": "oct", "k": "x", "use": "sig", "kid": "a" })]), "keys/0", "holds `k`"),
        ("no kid", set(&[&with(ed.clone(), "kid", Value::Null)]), "keys/0", "needs `kid`"),
        (
            "a number of a person",
            set(&[&with(ed.clone(), "kid", "bsn-999993653".into())]),
            "keys/0",
            "no personal number",
        ),
        ("no use", set(&[&ed, &with(ec.clone(), "use", Value::Null)]), "keys/1", "needs `use`"),
        ("one kid twice", set(&[&ed, &with(ec.clone(), "kid", "ed".into())]), "keys/1", "has this `kid`"),
        ("another curve", set(&[&with(ec.clone(), "crv", "P-384".into())]), "keys/0", "a signing key is"),
        ("another algorithm", set(&[&with(ed.clone(), "alg", "HS256".into())]), "keys/0", "`alg` must be EdDSA"),
        ("RS256", set(&[&with(rsa.clone(), "alg", "RS256".into())]), "keys/0", "`alg` must be PS256"),
        ("a weak RSA key", set(&[&with(rsa.clone(), "n", b64([255; 128]).into())]), "keys/0", "2048"),
        ("half a point", set(&[&with(ec.clone(), "y", Value::Null)]), "keys/0", "needs `y`"),
        ("a point off the curve", set(&[&with(ec.clone(), "y", b64([1; 32]).into())]), "keys/0", "not a key"),
        ("a short key", set(&[&with(ed.clone(), "x", b64([1; 31]).into())]), "keys/0", "not a key"),
        ("to encrypt, off the curve", set(&[&with(enc.clone(), "y", b64([1; 32]).into())]), "keys/0", "not a key"),
        ("to encrypt, of small order", set(&[&with(x25519(), "x", b64([0; 32]).into())]), "keys/0", "not a key"),
        ("to encrypt, with RSA", set(&[&with(rsa.clone(), "use", "enc".into())]), "keys/0", "an encryption key is"),
        ("to encrypt, another way", set(&[&with(enc.clone(), "alg", "dir".into())]), "keys/0", "an encryption key is"),
        (
            "an end before its beginning",
            set(&[&with(with(ed.clone(), "nbf", 2.into()), "exp", 1.into())]),
            "keys/0",
            "before `exp`",
        ),
        ("an end in words", set(&[&with(ed.clone(), "exp", "2027".into())]), "keys/0", "invalid type"),
    ];
    for (what, keys, place, hint) in table {
        let found = findings(&keys, "keys = \"om.jwks.json\"", "");
        let expected = format!("{} om.jwks.json {place}", Code::KeySetInvalid);
        assert!(found.len() == 1 && found[0].starts_with(&expected) && found[0].contains(hint), "{what}: {found:?}");
    }
    let good = set(&[&ed, &ec, &rsa, &enc, &with(x25519(), "kid", "x".into())]);
    assert_eq!(
        findings(&good, "keys = \"om.jwks.json\"\nsignature = \"required\"", ", sign = true, encrypt = true"),
        [""; 0]
    );
}

#[test]
fn what_a_party_asks_for_it_has_the_keys_for() {
    let (sig, enc) = (set(&[&ed25519("ed").jwk]), set(&[&x25519()]));
    let table = [
        (&sig, "signature = \"required\"", "", "signature needs `keys`"),
        (&sig, "signature = \"checked\"", "", "signature needs `keys`"),
        (&enc, "keys = \"om.jwks.json\"\nsignature = \"required\"", "", "`use`: sig"),
        (&sig, "keys = \"om.jwks.json\"", ", encrypt = true", "`use`: enc"),
        (&sig, "", ", encrypt = true", "encrypt needs `keys`"),
        (&sig, "keys = \"../om.jwks.json\"", "", "there is no `../om.jwks.json`"),
        (&sig, "keys = \"om.json\"", "", "there is no `om.json`"),
        (&sig, "keys = \"om.jwks.json\"\nsignature = \"none\"", "", "unknown variant `none`"),
        (&sig, "", ", sign = \"yes\"", "invalid type"),
    ];
    for (keys, party, endpoint, hint) in table {
        let found = findings(keys, party, endpoint);
        assert!(found.len() == 1 && found[0].contains(hint), "{party} {endpoint}: {found:?}");
    }
    assert_eq!(findings(&sig, "", ", sign = true"), [""; 0], "we sign with a key of our own");
}
