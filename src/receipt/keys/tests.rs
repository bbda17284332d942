use super::*;
use crate::outcome::Outcome;
use crate::receipt::{Decision, MessageRef};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn receipt() -> Receipt {
    Receipt {
        id: uuid::Uuid::from_bytes([7; 16]),
        issuer: "urn:nld:oin:00000099000900000000:systeem:ketenpoort".to_owned(),
        message: MessageRef {
            r#type: None,
            source: None,
            id: Some("1".to_owned()),
            digest: "sha-256=:x:".to_owned(),
            signature: None,
        },
        outcome: Outcome::Delivered,
        reason: None,
        recipient: None,
        decision: Decision::default(),
        forwarded_digest: None,
        policy_version: "p".to_owned(),
        mapping_version: "m".to_owned(),
        time: "2026-11-24T10:00:00Z".parse().unwrap(),
        trace_id: None,
    }
}

fn signer() -> (tempfile::TempDir, Signer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    Signer::generate(&path).unwrap();
    assert!(Signer::generate(&path).is_err(), "a key is never overwritten");
    let signer = Signer::read(&path).unwrap();
    (folder, signer)
}

fn part(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn what_was_signed_verifies_and_the_same_receipt_gives_the_same_bytes() {
    let (_folder, signer) = signer();
    let token = signer.sign(&receipt());
    assert_eq!(token, signer.sign(&receipt()));
    let keys = KeySet { keys: vec![signer.key()] };
    assert_eq!(verify(token.as_str(), &keys), Ok(receipt()));
}

#[test]
fn nothing_else_verifies() {
    let (_folder, signer) = signer();
    let (_other_folder, other) = self::signer();
    let keys = KeySet { keys: vec![signer.key()] };
    let token = signer.sign(&receipt()).as_str().to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let with_header = |header: &str| format!("{}.{}.{}", part(header), parts[1], parts[2]);
    let kid = signer.header.kid.clone().unwrap();
    let mut changed = receipt();
    changed.outcome = Outcome::Refused;
    let changed = part(&serde_json::to_string(&changed).unwrap());
    let table = [
        (String::new(), VerifyError::NotAJws),
        (format!("{token}.x"), VerifyError::NotAJws),
        (format!("{token}="), VerifyError::NotAJws),
        (with_header(&format!(r#"{{"alg":"none","typ":"{TYP}","kid":"{kid}"}}"#)), VerifyError::WrongHeader),
        (with_header(&format!(r#"{{"alg":"HS256","typ":"{TYP}","kid":"{kid}"}}"#)), VerifyError::WrongHeader),
        (with_header(&format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#)), VerifyError::WrongHeader),
        (with_header(&format!(r#"{{"alg":"EdDSA","typ":"{TYP}","kid":"other"}}"#)), VerifyError::UnknownKey),
        (format!("{}.{changed}.{}", parts[0], parts[2]), VerifyError::WrongSignature),
        (other.sign(&receipt()).as_str().to_owned(), VerifyError::UnknownKey),
    ];
    for (token, expected) in table {
        assert_eq!(verify(&token, &keys), Err(expected), "{token}");
    }
    // Another key under the same name.
    let mut key = other.key();
    key.common.key_id = signer.header.kid.clone();
    let imposter = KeySet { keys: vec![key] };
    assert_eq!(verify(&token, &imposter), Err(VerifyError::WrongSignature));
}

#[test]
fn a_key_set_is_read_without_what_is_not_for_verifying() {
    let (folder, signer) = signer();
    let path = folder.path().join("keys.json");
    let key = serde_json::to_value(signer.key()).unwrap();
    let mut with_private = key.clone();
    with_private["d"] = "c2VjcmV0".into();
    let symmetric = serde_json::json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s"});
    let other = serde_json::json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "e"});
    std::fs::write(&path, serde_json::json!({ "keys": [other, with_private, symmetric] }).to_string()).unwrap();
    let set = read_key_set(&path).unwrap();
    assert_eq!(serde_json::to_value(&set).unwrap(), serde_json::json!({ "keys": [key] }));
    for nothing in ["", "[]", r#"{"keys": []}"#] {
        std::fs::write(&path, nothing).unwrap();
        assert!(matches!(read_key_set(&path), Err(KeyError::NotAKeySet { .. })), "{nothing}");
    }
}
