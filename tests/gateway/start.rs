//! Starting: with something broken, without a broker, and what can be asked over HTTP of one that runs.

mod proxy;

use crate::messages::{Person, release};
use crate::scene::{Scene, WITHIN, root, run, shared};
use proxy::Proxy;
use reqwest::{StatusCode, Url};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// A configuration of copies of the shipped files, with everything there is to connect to at one address.
fn installation(folder: &Path, address: &str) {
    for files in ["schemas", "policies", "mappings"] {
        copy(&root().join(files), &folder.join(files));
    }
    copy(&root().join("deploy/partners"), &folder.join("partners"));
    fs::write(folder.join("pseudonym.key"), "k".repeat(32)).unwrap();
    fs::write(folder.join("ledger.key"), ketenpoort::ledger::Keys::generate().unwrap()).unwrap();
    ketenpoort::receipt::keys::Signer::generate(&folder.join("signing-key.pem")).unwrap();
    let config = format!(
        r#"
        broker = {{ urls = ["amqp://{address}"] }}
        iris = {{ base_url = "http://{address}" }}
        telemetry = {{ otlp_endpoint = "http://{address}" }}
        receipts = {{ key_file = "signing-key.pem", issuer = "urn:nld:oin:00000099000900000003:systeem:ketenpoort" }}
        ledger = {{ key_file = "ledger.key" }}
        pseudonym = {{ key_file = "pseudonym.key" }}
        http = {{ listen = "127.0.0.1:0" }}
        "#
    );
    fs::write(folder.join("ketenpoort.toml"), config).unwrap();
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// In a file, one thing for another.
type Change = (&'static str, &'static str, &'static str);

#[test]
fn with_a_file_that_does_not_load_it_ends_with_64_names_it_and_connects_to_nothing() {
    let table: [(Change, &str); 10] = [
        (("ketenpoort.toml", "http =", "colour = {}\nhttp ="), "KP-7001"),
        (("ketenpoort.toml", "\"signing-key.pem\"", "\"nowhere.pem\""), "KP-7001"),
        (("ketenpoort.toml", "iris = {", "delivery = { ca_file = \"nowhere.pem\" }\niris = {"), "KP-7010"),
        (
            ("ketenpoort.toml", "http = {", "http = { cert_file = \"ledger.key\", key_file = \"signing-key.pem\","),
            "KP-7010",
        ),
        (("ketenpoort.toml", "http = {", "http = { client_ca_file = \"ledger.key\","), "KP-7001"),
        (("policies/gemeente.cedar", "permit (", "permitt ("), "KP-7002"),
        (("policies/gemeente.cedar", "context.kader.aanwezig", "context.kader.aanwezigheid"), "KP-7002"),
        (("schemas/canonical/re-integratie.informatie-gevraagd.v1.schema.json", "\"bsn\"", "bsn"), "KP-7003"),
        (
            ("mappings/re-integratie.informatie-gevraagd.v1/out.json.yaml", "/gegevens/zorg/", "/gegevens/zorgen/"),
            "KP-7004",
        ),
        (("partners/keten.toml", "roles = [", "rollen = ["), "KP-7005"),
    ];
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let starts = table.map(|((file, what, with), code)| {
            let address = &address;
            async move {
                let folder = tempfile::tempdir().unwrap();
                installation(folder.path(), address);
                let path = folder.path().join(file);
                let good = fs::read_to_string(&path).unwrap();
                assert!(good.contains(what), "{file}");
                fs::write(&path, good.replacen(what, with, 1)).unwrap();
                let mut command = Command::new(env!("CARGO_BIN_EXE_ketenpoort"));
                command.arg("run").arg("--config").arg(folder.path().join("ketenpoort.toml")).kill_on_drop(true);
                let ended = tokio::time::timeout(WITHIN, command.output()).await.expect("it runs").unwrap();
                let said = String::from_utf8_lossy(&ended.stderr).into_owned();
                assert_eq!(ended.status.code(), Some(64), "{file}: {said}");
                let name = file.rsplit('/').next().unwrap();
                assert!(said.lines().any(|line| line.contains(name) && line.contains(code)), "{file}: {said}");
            }
        });
        futures_util::future::join_all(starts).await;
        let nobody = listener.accept().map(|(_, from)| from);
        assert_eq!(nobody.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "something connected");
    });
}

async fn health(scene: &Scene, which: &str) -> Option<(StatusCode, Value)> {
    let answer = reqwest::get(format!("{}/health/{which}", scene.world.note.http)).await.ok()?;
    Some((answer.status(), answer.json().await.unwrap()))
}

/// There is no event to wait for in what one can only ask.
async fn until_ready_is(scene: &Scene, status: StatusCode) -> Value {
    let started = Instant::now();
    loop {
        match health(scene, "ready").await {
            Some((is, parts)) if is == status => return parts,
            answer => assert!(started.elapsed() < WITHIN, "{answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn without_a_broker_it_lives_and_is_ready_once_there_is_one() {
    run(async {
        let mut scene = Scene::start("no-broker", "").await;
        scene.world.stop_gateway().await.unwrap();
        let config = fs::read_to_string(&scene.world.note.config).unwrap();
        let mut table: toml::Table = config.parse().unwrap();
        let mut url: Url = table["broker"]["urls"][0].as_str().unwrap().parse().unwrap();
        let mut proxy = Proxy::to((url.host_str().unwrap(), url.port().unwrap_or(5672)));
        url.set_port(Some(proxy.port)).unwrap();
        table["broker"]["urls"][0] = url.to_string().into();
        fs::write(&scene.world.note.config, table.to_string()).unwrap();

        let http = scene.world.note.http.clone();
        let started = scene.world.start_gateway();
        let opened = async {
            let client = reqwest::Client::new();
            let told = loop {
                let asked = client.get(format!("{http}/health/ready")).send().await;
                match asked {
                    Ok(answer) => break answer,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            };
            assert_eq!(told.status(), StatusCode::SERVICE_UNAVAILABLE);
            let told: Value = told.json().await.unwrap();
            assert_eq!(
                (&told["parts"]["broker_intake"], &told["parts"]["broker_publish"]),
                (&"down".into(), &"down".into())
            );
            let live = client.get(format!("{http}/health/live")).send().await.unwrap();
            assert_eq!(live.status(), StatusCode::OK);
            proxy.open().await;
        };
        let (started, ()) = tokio::join!(started, opened);
        started.unwrap();

        // And in the middle of everything.
        for _ in 0..2 {
            let event = release(&Person::new().notice("0606"));
            scene.send("dji", &event).await;
            scene.receipt("dji", &event.id, "gemeente:0606").await;
            proxy.close().await;
            let told = until_ready_is(&scene, StatusCode::SERVICE_UNAVAILABLE).await;
            assert_eq!(told["parts"]["ledger"], "up");
            assert_eq!(health(&scene, "live").await.unwrap().0, StatusCode::OK);
            proxy.open().await;
            until_ready_is(&scene, StatusCode::OK).await;
        }
        scene.world.stop_gateway().await.unwrap();
    });
}

#[test]
fn health_metrics_keys_and_receipts_can_be_had_over_http() {
    run(async {
        let scene = shared().await;
        let event = release(&Person::new().notice("0606"));
        scene.send("dji", &event).await;
        let proof = scene.receipts("dji", &event.id, 1).await.remove(0);
        let get = async |path: &str| {
            let answer = reqwest::get(format!("{}{path}", scene.world.note.http)).await.unwrap();
            let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
            (answer.status(), content_type, answer.text().await.unwrap())
        };
        assert_eq!(get("/health/live").await.0, StatusCode::OK);
        let (status, _, parts) = get("/health/ready").await;
        assert_eq!(status, StatusCode::OK);
        for part in ["broker_intake", "broker_publish", "ledger"] {
            assert!(parts.contains(&format!("\"{part}\":\"up\"")), "{parts}");
        }

        let (_, _, metrics) = get("/metrics").await;
        let value = |start: &str| {
            let line =
                metrics.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {metrics}"));
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(value("ketenpoort_messages_received_total{party=\"dji\"}") >= 1.0);
        assert!(value("ketenpoort_receipts_sent_total") >= 1.0);
        assert_eq!(value("ketenpoort_amqp_connected{direction=\"intake\"}"), 1.0);

        let (_, content_type, keys) = get("/.well-known/jwks.json").await;
        assert_eq!(content_type, "application/jwk-set+json");
        let keys: Value = serde_json::from_str(&keys).unwrap();
        assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
        assert_eq!(keys["keys"][0]["kty"], "OKP");
        assert!(keys["keys"][0]["d"].is_null(), "the public part only");

        let (status, content_type, jws) = get(&format!("/v1/receipts/{}", proof.receipt.id)).await;
        assert_eq!((status, content_type.as_str(), &jws), (StatusCode::OK, "application/jose", &proof.jws));
        let (status, content_type, _) = get(&format!("/v1/receipts/{}", uuid::Uuid::new_v4())).await;
        assert_eq!((status, content_type.as_str()), (StatusCode::NOT_FOUND, "application/problem+json"));
    });
}
