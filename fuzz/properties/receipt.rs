//! A receipt: only the very bytes that were signed verify.

use super::now;
use ketenpoort::category::Category;
use ketenpoort::outcome::Outcome;
use ketenpoort::party::{PartyId, Role};
use ketenpoort::receipt::keys::{KeySet, Signer, verify};
use ketenpoort::receipt::{Decision, MessageRef, Receipt, Recipient, Shared};
use std::sync::OnceLock;

struct Signed {
    jws: String,
    keys: KeySet,
}

fn signed() -> &'static Signed {
    static SIGNED: OnceLock<Signed> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let file = std::env::temp_dir().join(format!("ketenpoort-fuzz-{}.pem", std::process::id()));
        Signer::generate(&file).expect("a key can be made");
        let signer = Signer::read(&file).expect("the key that was made");
        std::fs::remove_file(&file).expect("the key that was made");
        Signed { jws: signer.sign(&receipt()).as_str().to_owned(), keys: KeySet { keys: vec![signer.key()] } }
    })
}

fn receipt() -> Receipt {
    let shared = Shared {
        category: Category::Identificatie,
        policy: "re-integratie-melding".to_owned(),
        legal_basis: "Pbw 18a".to_owned(),
        status: "te bevestigen".to_owned(),
    };
    Receipt {
        id: uuid::Uuid::from_bytes([7; 16]),
        issuer: "urn:nld:oin:00000099000900000000:systeem:ketenpoort".to_owned(),
        message: MessageRef {
            r#type: Some("nl.ketenpoort.detentie.verlof-aangekondigd.v1".to_owned()),
            source: Some("urn:nld:oin:00000099000900000001:systeem:tulp".to_owned()),
            id: Some("c9f0f895-fb98-4b91-9c2e-5a7d3e8f6b22".to_owned()),
            digest: "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:".to_owned(),
            signature: None,
        },
        outcome: Outcome::Delivered,
        reason: None,
        recipient: Some(Recipient { party: PartyId::new("gemeente:0363"), role: Role::new("gemeente-college") }),
        decision: Decision { shared: vec![shared], ..Decision::default() },
        forwarded_digest: None,
        policy_version: "p1".to_owned(),
        mapping_version: "m1".to_owned(),
        time: now(),
        trace_id: None,
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let whole = signed().jws.clone().into_bytes();
    // `alg: none` with an empty signature, and a header that brings its own key.
    let none = b"eyJhbGciOiJub25lIiwidHlwIjoib250dmFuZ3N0YmV3aWpzK2p3cyJ9.e30.".to_vec();
    vec![whole, none, vec![0, 0, 1], vec![3, 0, 255], b"..".to_vec()]
}

/// The bytes as they are, and the good receipt with the changes that they say: a place in two, a byte to turn in
/// one.
pub fn check(data: &[u8]) {
    let Signed { jws, keys } = signed();
    let mut changed = jws.clone().into_bytes();
    for change in data.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % changed.len();
        changed[place] ^= change[2];
    }
    for bytes in [data, &changed] {
        let text = String::from_utf8_lossy(bytes);
        let same = text.trim() == jws;
        match verify(&text, keys) {
            Ok(said) => {
                assert!(same, "a receipt that was changed verifies");
                assert_eq!(said, receipt());
            }
            Err(error) => assert!(!same, "{error}"),
        }
    }
}

/// Each byte in turn, changed in every way that base64 could take for the same.
pub fn every_byte() -> impl Iterator<Item = Vec<u8>> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. ";
    let jws = signed().jws.as_bytes();
    (0..jws.len()).flat_map(move |place| {
        let last = place + 1 == jws.len();
        // All of them where bits may be unused: at the end of a part.
        let ends = last || jws[place + 1] == b'.';
        let others = alphabet.iter().filter(move |other| **other != jws[place]).take(if ends { 99 } else { 2 });
        others.map(move |other| {
            let [high, low] = u16::try_from(place).expect("a receipt is short").to_be_bytes();
            vec![high, low, jws[place] ^ other]
        })
    })
}
