//! Receipts in the hands of others: our own command verifies them, and so does a judge in another language that
//! never saw our code (tests/judges).

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ketenpoort::category::Category;
use ketenpoort::code::Code;
use ketenpoort::outcome::{Outcome, Reason};
use ketenpoort::party::{PartyId, Role};
use ketenpoort::receipt::keys::{KeySet, Signer};
use ketenpoort::receipt::{Decision, MessageRef, Receipt, Recipient, Shared, Withheld};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn receipt() -> Receipt {
    let shared = Shared {
        category: Category::Identificatie,
        policy: "re-integratie-melding".to_owned(),
        legal_basis: "Pbw 18a".to_owned(),
        status: "te bevestigen".to_owned(),
    };
    let withheld = Withheld { category: Category::Slachtoffer, reason: "verlaat de poort nooit".to_owned() };
    Receipt {
        id: uuid::Uuid::from_bytes([7; 16]),
        issuer: "urn:nld:oin:00000099000900000000:systeem:ketenpoort".to_owned(),
        message: MessageRef {
            r#type: Some("nl.ketenpoort.x.v1".to_owned()),
            source: Some("urn:nld:oin:00000099000000001000:systeem:tulp".to_owned()),
            // A partner may put anything into an id, also what would move a cursor.
            id: Some("één-\u{1b}[2J".to_owned()),
            digest: "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:".to_owned(),
            signature: None,
        },
        outcome: Outcome::Refused,
        reason: Some(Reason::new(Code::NoGround, "no ground")),
        recipient: Some(Recipient { party: PartyId::new("gemeente:0363"), role: Role::new("gemeente-college") }),
        decision: Decision { shared: vec![shared], withheld: vec![withheld], notes: vec!["twee regels".to_owned()] },
        forwarded_digest: None,
        policy_version: "p1".to_owned(),
        mapping_version: "m1".to_owned(),
        time: "2026-11-24T10:00:00Z".parse().unwrap(),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
    }
}

/// A signed receipt, the keys that verify it and those of somebody else, as files.
struct Files {
    folder: tempfile::TempDir,
    jws: String,
}

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let [own, other] = ["own", "other"].map(|name| {
            let key = folder.path().join(format!("{name}.pem"));
            Signer::generate(&key).unwrap();
            let signer = Signer::read(&key).unwrap();
            let set = serde_json::to_vec(&KeySet { keys: vec![signer.key()] }).unwrap();
            std::fs::write(folder.path().join(format!("{name}.jwks.json")), set).unwrap();
            signer
        });
        drop(other);
        let jws = own.sign(&receipt()).as_str().to_owned();
        let files = Files { folder, jws };
        files.write("receipt.jws", &files.jws);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// The receipt with one bit of one of its three parts turned over.
    fn flipped(&self, part: usize) -> PathBuf {
        let mut parts: Vec<String> = self.jws.split('.').map(str::to_owned).collect();
        let mut bytes = B64.decode(&parts[part]).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        parts[part] = B64.encode(bytes);
        self.write(&format!("flipped-{part}.jws"), &parts.join("."))
    }
}

fn verify(receipt: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ketenpoort"));
    command.args(["receipt", "verify"]).arg(receipt).args(more).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn own_keys(files: &Files) -> String {
    files.path("own.jwks.json").to_str().unwrap().to_owned()
}

#[test]
fn a_good_receipt_is_told_to_a_person_and_to_a_program() {
    let files = Files::new();
    let output = verify(&files.path("receipt.jws"), &["--jwks", &own_keys(&files)]);
    assert_eq!(output.status.code(), Some(0));
    let parts = [
        "The signature is good",
        "outcome      refused",
        "recipient    gemeente:0363 as gemeente-college",
        "KP-3001",
        "+ identificatie      re-integratie-melding (Pbw 18a; te bevestigen)",
        "- slachtoffer        verlaat de poort nooit",
        "! twee regels",
        "één-\u{fffd}[2J",
    ];
    for part in parts {
        assert!(stdout(&output).contains(part), "{part} in\n{}", stdout(&output));
    }
    let pem = files.path("own.pem");
    let output = verify(&files.path("receipt.jws"), &["--key", pem.to_str().unwrap(), "--json"]);
    let said: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(said["valid"], true);
    assert_eq!(said["receipt"], serde_json::to_value(receipt()).unwrap());
}

#[test]
fn a_receipt_can_come_through_a_pipe() {
    let files = Files::new();
    let mut verifying = Command::new(env!("CARGO_BIN_EXE_ketenpoort"))
        .args(["receipt", "verify", "-", "--jwks", &own_keys(&files)])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    verifying.stdin.take().unwrap().write_all(format!("{}\n", files.jws).as_bytes()).unwrap();
    assert_eq!(verifying.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_verified_ends_with_65() {
    let files = Files::new();
    let huge = "a".repeat(300 * 1024);
    let (garbage, huge, missing) = (files.write("garbage", "a.b"), files.write("huge", &huge), files.path("missing"));
    let keys = own_keys(&files);
    for receipt in [&files.flipped(1), &garbage, &huge] {
        let output = verify(receipt, &["--jwks", &keys]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(65), ""), "{receipt:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("KP-6002"), "{output:?}");
        let output = verify(receipt, &["--jwks", &keys, "--json"]);
        let said: Value = serde_json::from_str(stdout(&output)).unwrap();
        assert_eq!((&said["valid"], &said["reason"]["code"]), (&false.into(), &"KP-6002".into()));
    }
    for (receipt, keys) in [(&missing, &keys), (&files.path("receipt.jws"), &garbage.to_str().unwrap().to_owned())] {
        let output = verify(receipt, &["--jwks", keys]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(65), ""));
    }
}

#[test]
fn an_outside_judge_and_our_own_command_say_the_same() {
    let judges = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges");
    let installed = Command::new(judges.join("setup.sh")).output().expect("sh is there");
    let why = String::from_utf8_lossy(&installed.stderr);
    assert!(installed.status.success(), "the outside judge could not be installed (tests/judges/setup.sh):\n{why}");
    let judge = |receipt: &Path, keys: &Path| {
        let python = judges.join("../../target/judges/venv/bin/python");
        Command::new(python).arg(judges.join("verify_receipt.py")).args([receipt, keys]).output().unwrap()
    };

    let files = Files::new();
    let (good, own, other) = (files.path("receipt.jws"), files.path("own.jwks.json"), files.path("other.jwks.json"));
    let said = judge(&good, &own);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let said: Value = serde_json::from_str(stdout(&said)).unwrap();
    assert_eq!(said, serde_json::to_value(receipt()).unwrap());

    let parts = good.with_file_name("two-parts.jws");
    std::fs::write(&parts, files.jws.rsplit_once('.').unwrap().0).unwrap();
    let refused =
        [(files.flipped(0), &own), (files.flipped(1), &own), (files.flipped(2), &own), (parts, &own), (good, &other)];
    for (receipt, keys) in refused {
        let said = judge(&receipt, keys);
        assert_eq!(said.status.code(), Some(1), "{receipt:?}: {said:?}");
        assert!(stdout(&said).starts_with("refused: "), "{receipt:?}: {said:?}");
        assert_eq!(verify(&receipt, &["--jwks", keys.to_str().unwrap()]).status.code(), Some(65), "{receipt:?}");
    }
}
