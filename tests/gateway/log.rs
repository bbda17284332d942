//! The disclosure log in the hands of outsiders: an outside judge (tests/judges) gets what anybody can get over HTTP.

use crate::messages::{Person, release, supervised};
use crate::scene::{Scene, root, run, shared};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Files for the judge.
struct Papers(TempDir);

impl Papers {
    async fn new(scene: &Scene) -> Papers {
        let installed = Command::new(root().join("tests/judges/setup.sh")).output().unwrap();
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let papers = Papers(tempfile::tempdir().unwrap());
        papers.put("keys.json", &get(scene, "/.well-known/jwks.json").await.1);
        papers
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What the judge says: whether it is good, and why or why not.
    fn judged(&self, what: &str, papers: &[&str]) -> (bool, String) {
        let mut judge = Command::new(root().join("target/judges/venv/bin/python"));
        judge.arg(root().join("tests/judges/verify_log.py")).arg(what);
        judge.args(papers.iter().map(|name| self.path(name))).arg(self.path("keys.json"));
        let said = judge.output().unwrap();
        (said.status.code() == Some(0), String::from_utf8_lossy(&said.stdout).into_owned())
    }

    /// Our own command on the same papers.
    fn verified(&self, receipt: &str, proof: &str) -> bool {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ketenpoort"));
        command.args(["receipt", "verify"]).arg(self.path(receipt)).arg("--proof").arg(self.path(proof));
        command.arg("--jwks").arg(self.path("keys.json")).output().unwrap().status.success()
    }
}

async fn get(scene: &Scene, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{}{path}", scene.world.note.http)).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Once it is there: the log grows every few seconds, and nothing tells when.
async fn in_time(scene: &Scene, path: &str) -> String {
    let found = async {
        loop {
            let (status, text) = get(scene, path).await;
            if status == 200 {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    scene.in_time(path, found).await
}

/// The receipts of one release notification, which go to two.
async fn receipts(scene: &Scene) -> Vec<(String, String)> {
    let notice = Person::new().notice("0606");
    scene.world.iris.know(notice.person.on_file(supervised(), json!({})));
    let event = release(&notice);
    scene.send("dji", &event).await;
    let proofs = scene.receipts("dji", &event.id, 2).await;
    proofs.iter().map(|proof| (proof.receipt.id.to_string(), proof.jws.clone())).collect()
}

fn changed(proof: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut proof: Value = serde_json::from_str(proof).unwrap();
    change(&mut proof);
    proof.to_string()
}

#[test]
fn an_outside_judge_finds_a_receipt_in_the_log_and_no_other() {
    run(async {
        let scene = shared().await;
        let papers = Papers::new(scene).await;
        let receipts = receipts(scene).await;
        let (id, jws) = &receipts[0];
        let proof = in_time(scene, &format!("/v1/receipts/{id}/proof")).await;
        papers.put("receipt.jws", jws);
        papers.put("proof.json", &proof);
        let (good, said) = papers.judged("inclusion", &["receipt.jws", "proof.json"]);
        assert!(good, "{said}");
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["receipt"], *id);
        assert!(papers.verified("receipt.jws", "proof.json"));

        papers.put("other.jws", &receipts[1].1);
        let refused = |receipt: &str, proof: &str| {
            let (good, said) = papers.judged("inclusion", &[receipt, proof]);
            assert!(!good && said.starts_with("refused: "), "{said}");
            assert!(!papers.verified(receipt, proof), "{said}");
        };
        refused("other.jws", "proof.json");
        let hash = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        type Change = Box<dyn Fn(&mut Value)>;
        let fields = ["digest_key", "position", "size", "head", "entry"];
        let mut changes: Vec<Change> = Vec::new();
        for field in fields {
            let hash = hash.clone();
            changes.push(Box::new(move |proof| match field {
                "digest_key" => proof[field] = hash.clone(),
                "head" => proof[field] = json!(flipped(proof[field].as_str().unwrap())),
                "entry" => {
                    proof[field] = json!(proof[field].as_str().unwrap().replacen("gemeente", "gemeentf", 1));
                    proof[field] = json!(proof[field].as_str().unwrap().replacen("reclassering", "reclasserinf", 1));
                }
                number => proof[number] = json!(proof[number].as_u64().unwrap() + 1),
            }));
        }
        changes.push(Box::new(move |proof| proof["path"].as_array_mut().unwrap().push(hash.clone())));
        changes.push(Box::new(|proof| drop(proof["path"].as_array_mut().unwrap().pop())));
        for change in changes {
            papers.put("changed.json", &changed(&proof, change));
            refused("receipt.jws", "changed.json");
        }
    });
}

/// One bit of what is signed.
fn flipped(jws: &str) -> String {
    let mut parts: Vec<String> = jws.split('.').map(str::to_owned).collect();
    let mut bytes = B64.decode(&parts[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    parts[1] = B64.encode(bytes);
    parts.join(".")
}

#[test]
fn an_outside_judge_sees_that_a_newer_log_continues_an_older_one() {
    run(async {
        let scene = shared().await;
        let papers = Papers::new(scene).await;
        let first = receipts(scene).await;
        in_time(scene, &format!("/v1/receipts/{}/proof", first[1].0)).await;
        let older = get(scene, "/v1/log/head").await.1;
        let more = receipts(scene).await;
        in_time(scene, &format!("/v1/receipts/{}/proof", more[1].0)).await;
        let newer = get(scene, "/v1/log/head").await.1;
        let size = |head: &str| -> u64 {
            let payload = B64.decode(head.split('.').nth(1).unwrap()).unwrap();
            serde_json::from_slice::<Value>(&payload).unwrap()["size"].as_u64().unwrap()
        };
        let path = format!("/v1/log/consistency?from={}&to={}", size(&older), size(&newer));
        let (status, proof) = get(scene, &path).await;
        assert_eq!(status, 200, "{proof}");
        papers.put("older.jws", &older);
        papers.put("newer.jws", &newer);
        papers.put("proof.json", &proof);
        let (good, said) = papers.judged("consistency", &["older.jws", "newer.jws", "proof.json"]);
        assert!(good, "{said}");
        papers.put("changed.json", &changed(&proof, |proof| drop(proof["path"].as_array_mut().unwrap().pop())));
        papers.put("flipped.jws", &flipped(&older));
        for wrong in [
            ["newer.jws", "older.jws", "proof.json"],
            ["older.jws", "newer.jws", "changed.json"],
            ["flipped.jws", "newer.jws", "proof.json"],
        ] {
            assert!(!papers.judged("consistency", &wrong).0, "{wrong:?}");
        }
    });
}

#[test]
fn the_commands_say_what_http_says_and_verify_a_log_that_a_kill_cut_short() {
    run(async {
        let mut scene = Scene::start("log", "").await;
        let first = receipts(&scene).await;
        let path = format!("/v1/receipts/{}/proof", first[0].0);
        in_time(&scene, &path).await;
        let held = scene.command(&["ledger", "head"]).await;
        let proof: Value = serde_json::from_str(&scene.command(&["ledger", "proof", &first[0].0]).await).unwrap();
        assert_eq!(proof["entry"], serde_json::from_str::<Value>(&get(&scene, &path).await.1).unwrap()["entry"]);
        receipts(&scene).await;
        scene.world.kill_gateway().await.unwrap();
        let file = scene.world.home.join("held.jws");
        std::fs::write(&file, held).unwrap();
        let verify = ["ledger", "verify", "--json", "--since-head", file.to_str().unwrap()];
        let report: Value = serde_json::from_str(&scene.command(&verify).await).unwrap();
        assert_eq!(report["findings"], json!([]));
        scene.world.start_gateway().await.unwrap();
        let more = receipts(&scene).await;
        in_time(&scene, &format!("/v1/receipts/{}/proof", more[0].0)).await;
        let said = scene.command(&["ledger", "verify", "--since-head", file.to_str().unwrap()]).await;
        assert!(said.contains("is what was signed"), "{said}");
        scene.world.stop_gateway().await.unwrap();

        let tampered = tamper(&scene.world.home.join("ledger.db")).await;
        let output = Command::new(env!("CARGO_BIN_EXE_ketenpoort"))
            .args(["ledger", "verify", "--config"])
            .arg(&scene.world.note.config)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{told}");
        assert!(told.contains("KP-6021 delivery.recipient entry 0") && told.contains(&tampered), "{told}");
    });
}

/// Another recipient than the receipt has; gives the id of that receipt.
async fn tamper(ledger: &Path) -> String {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(ledger);
    let mut connection = options.connect().await.unwrap();
    let changed = "UPDATE delivery SET recipient = 'gemeente:0599' WHERE key = (SELECT delivery FROM receipt ORDER BY key LIMIT 1)";
    sqlx::query(changed).execute(&mut connection).await.unwrap();
    let first = sqlx::query_scalar("SELECT id FROM receipt ORDER BY key LIMIT 1");
    let id: Vec<u8> = first.fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    uuid::Uuid::from_slice(&id).unwrap().to_string()
}
