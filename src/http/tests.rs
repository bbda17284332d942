use super::log::Question;
use super::server::Limits;
use super::*;
use crate::disclosurelog::prove::{Consistency, Inclusion};
use crate::ledger::Error;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

const KNOWN: Uuid = Uuid::from_bytes([5; 16]);

/// A served face and the switches behind it.
struct Face {
    addr: SocketAddr,
    intake: watch::Sender<bool>,
    publish: watch::Sender<bool>,
    ledger: watch::Sender<bool>,
    iris: watch::Sender<bool>,
    log: watch::Sender<bool>,
    stopping: CancellationToken,
    shutdown: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

async fn face() -> Face {
    face_with(Limits::default()).await
}

async fn face_with(limits: Limits) -> Face {
    face_over(None, limits).await
}

fn tls() -> Arc<Incoming> {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let files = crate::tls::Files { cert: Some(cert), key: Some(key), ca: None };
    Arc::new(Incoming::incoming("http", files).unwrap())
}

async fn face_over(tls: Option<Arc<Incoming>>, limits: Limits) -> Face {
    face_of(tls, limits, None).await
}

async fn face_of(tls: Option<Arc<Incoming>>, limits: Limits, secret: Option<&str>) -> Face {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let switch = || watch::Sender::new(true);
    let (intake, publish, ledger, iris, log) = (switch(), switch(), switch(), switch(), switch());
    let (stopping, shutdown) = (CancellationToken::new(), CancellationToken::new());
    let ready = Ready {
        intake: intake.subscribe().into(),
        publish: publish.subscribe().into(),
        ledger: ledger.subscribe().into(),
        iris: iris.subscribe().into(),
        log: log.subscribe().into(),
        stopping: stopping.clone(),
    };
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    crate::receipt::keys::Signer::generate(&key).unwrap();
    let keys = KeySet { keys: vec![crate::receipt::keys::Signer::read(&key).unwrap().key()] };
    let readable = ledger.subscribe();
    let find = move |id| {
        let readable = *readable.borrow();
        async move {
            let receipt = (id == KNOWN).then(|| SignedReceipt::from_ledger(id, "a.b.c".to_owned()));
            if readable { Ok(receipt) } else { Err(Error::Unavailable) }
        }
    };
    let asked = move |question| async move { Ok(in_the_log(question)) };
    let state = State::new(Arc::new(ready), Metrics::new().unwrap(), keys, find, asked)
        .with_processing(log_of(secret))
        .with_evaluator(policy_of(secret));
    let served = tokio::spawn(server::run(listener, tls, router(state), limits, shutdown.clone()));
    Face { addr, intake, publish, ledger, iris, log, stopping, shutdown, served }
}

/// A log of nine entries.
fn in_the_log(question: Question) -> Option<log::Answer> {
    let hash = "A".repeat(43) + "=";
    match question {
        Question::Head => Some(log::Answer::Head("a.b.c".to_owned())),
        Question::Inclusion(KNOWN) => Some(log::Answer::Json(serde_json::json!(Inclusion {
            entry: "{}".to_owned(),
            digest_key: hash.clone(),
            position: 2,
            size: 9,
            path: vec![hash],
            head: "a.b.c".to_owned(),
        }))),
        Question::Consistency(from @ ..=9, None | Some(..=9)) => {
            Some(log::Answer::Json(serde_json::json!(Consistency {
                from,
                to: 9,
                path: vec![hash],
                head: Some("a.b.c".to_owned()),
            })))
        }
        _ => None,
    }
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

const EVALUATION: &str = r#"{
    "subject": {"type": "partij", "id": "gemeente:0363", "properties": {"rol": "gemeente-gemandateerde"}},
    "action": {"name": "verstrekken"}, "resource": {"type": "categorie", "id": "adres"},
    "context": {"bericht": "re-integratie.informatie-gevraagd", "afzender": "gemeente-gemandateerde", "bron": "reclassering"}
}"#;

/// Says no, or of risks nothing, as the ledger is away.
fn policy_of(token: Option<&str>) -> Option<Evaluator> {
    Some(Evaluator::new(&crate::config::Secret::new(token?), |evaluation| async move {
        let context =
            serde_json::json!({ "reason": "no rule", "policies": [], "obligations": [], "policy_version": "p" });
        let no = serde_json::json!({ "decision": false, "context": context });
        if evaluation.record(&no).contains("risicoanalyse") { Err(Error::Unavailable) } else { Ok(Ok(no)) }
    }))
}

/// Has one record of each kind, and more on another page.
fn log_of(token: Option<&str>) -> Option<Processing> {
    let hex = |digits| "a".repeat(digits);
    let processing = serde_json::json!({
        "traceId": hex(32), "spanId": hex(16), "status": "Ok", "name": "x", "startTime": 1, "endTime": 2,
        "attributes": { "dpl.core.processing_activity_id": "https://register.example/x" }
    });
    let decision = serde_json::json!({
        "trace_id": hex(32), "span_id": hex(16), "parent_span_id": hex(16), "event_name": "adl.access_evaluation",
        "timestamp": 1, "status": "Ok", "resource": { "attributes": {} },
        "attributes": { "adl.core.policies": "p", "adl.core.information": "t", "adl.core.configuration": "m" },
        "body": { "adl.core.request": {}, "adl.core.response": {} }
    });
    Some(Processing::new(&crate::config::Secret::new(token?), move |log, question, _| {
        let found = if log == Log::Processings { processing.clone() } else { decision.clone() };
        async move {
            if question.after == 13 { Err(Error::Unavailable) } else { Ok((vec![found], Some(question.after + 7))) }
        }
    }))
}

struct Answer {
    status: u16,
    headers: header::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Face {
    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        reqwest::Client::new().request(method, format!("http://{}{path}", self.addr))
    }

    async fn ask(&self, path: &str, token: &str, body: impl Into<String>) -> Answer {
        let request = self.request("POST", path).bearer_auth(token).body(body.into());
        answer(request.header("content-type", "application/json")).await
    }

    async fn get(&self, path: &str) -> Answer {
        answer(self.request("GET", path)).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.text().await.unwrap() }
}

#[tokio::test]
async fn readiness_names_each_part_and_iris_only_degrades() {
    let face = face().await;
    let table: [(&str, &watch::Sender<bool>, u16, &str); 5] = [
        ("broker_intake", &face.intake, 503, "down"),
        ("broker_publish", &face.publish, 503, "down"),
        ("ledger", &face.ledger, 503, "down"),
        ("iris", &face.iris, 200, "degraded"),
        ("log", &face.log, 200, "degraded"),
    ];
    for (part, switch, status, word) in table {
        let answer = face.get("/health/ready").await;
        assert_eq!((answer.status, &answer.json()["parts"][part]), (200, &"up".into()));
        switch.send_replace(false);
        let answer = face.get("/health/ready").await;
        let json = answer.json();
        assert_eq!((answer.status, &json["parts"][part]), (status, &word.into()), "{part}");
        if status == 503 {
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(json["detail"], format!("not ready: {part}"));
        }
        assert_eq!(face.get("/health/live").await.status, 200, "{part}");
        switch.send_replace(true);
    }
    face.stopping.cancel();
    let answer = face.get("/health/ready").await;
    assert_eq!((answer.status, &answer.json()["parts"]["gateway"]), (503, &"stopping".into()));
}

#[tokio::test]
async fn a_receipt_is_its_very_bytes_or_a_problem() {
    let face = face().await;
    let answer = face.get(&format!("/v1/receipts/{KNOWN}")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "a.b.c"));
    assert_eq!(answer.header("content-type"), "application/jose");
    let known = KNOWN.to_string();
    for unknown in [&Uuid::nil().to_string(), "x", &known.to_uppercase().replace('5', "A"), &known.replace('-', "")] {
        let answer = face.get(&format!("/v1/receipts/{unknown}")).await;
        assert_eq!((answer.status, &answer.json()["status"]), (404, &404.into()), "{unknown}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    face.ledger.send_replace(false);
    let answer = face.get(&format!("/v1/receipts/{KNOWN}")).await;
    assert_eq!((answer.status, &answer.json()["title"]), (503, &"Service Unavailable".into()));
}

#[tokio::test]
async fn whoever_may_have_a_receipt_may_have_its_proof() {
    let face = face().await;
    let answer = face.get(&format!("/v1/receipts/{KNOWN}/proof")).await;
    assert_eq!((answer.status, &answer.json()["position"]), (200, &2.into()));
    for unknown in [&Uuid::nil().to_string(), "x"] {
        let answer = face.get(&format!("/v1/receipts/{unknown}/proof")).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, "application/problem+json"), "{unknown}");
    }
    let answer = face.get("/v1/log/head").await;
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.body.as_str()),
        (200, "application/jose", "a.b.c")
    );
}

#[tokio::test]
async fn metrics_follow_the_same_probes() {
    let face = face().await;
    face.intake.send_replace(false);
    face.iris.send_replace(false);
    let answer = face.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain"));
    let lines = [
        "ketenpoort_amqp_connected{direction=\"intake\"} 0",
        "ketenpoort_amqp_connected{direction=\"publish\"} 1",
        "ketenpoort_facts_breaker_open 1",
    ];
    for line in lines {
        assert!(answer.body.lines().any(|l| l == line), "{line} in\n{}", answer.body);
    }
}

#[tokio::test]
async fn every_error_is_a_problem_and_every_answer_has_the_headers() {
    let face = face().await;
    let table = [
        ("GET", "/health/live", 200),
        ("HEAD", "/health/live", 200),
        ("GET", "/health/live/", 404),
        ("GET", "/", 404),
        ("GET", "/v1/receipts", 404),
        ("GET", "/v1/receipts/%2e%2e", 404),
        ("POST", "/v1/openapi.json", 405),
        ("DELETE", &format!("/v1/receipts/{KNOWN}"), 405),
    ];
    for (method, path, status) in table {
        let answer = answer(face.request(method, path)).await;
        assert_eq!(answer.status, status, "{method} {path}");
        for (name, value) in HEADERS {
            assert_eq!(answer.header(name.as_str()), value, "{method} {path}");
        }
        if status >= 400 {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
            assert_eq!(answer.json()["status"], status, "{method} {path}");
        }
        if status == 405 {
            assert_eq!(answer.header("allow"), "GET,HEAD", "{method} {path}");
        }
    }
    let answer = answer(face.request("GET", "/health/live").body("anything")).await;
    assert_eq!((answer.status, answer.header("connection")), (413, "close"));
    assert_eq!(answer.header("api-version"), API_VERSION);
}

#[tokio::test]
async fn the_description_describes_what_is_answered() {
    let face = face_of(None, Limits::default(), Some(TOKEN)).await;
    let document = face.get("/v1/openapi.json").await;
    assert_eq!(document.header("access-control-allow-origin"), "*");
    let document = document.json();
    assert_eq!(document["info"]["version"], API_VERSION);
    let fits = |schema: &Value, value: &Value| {
        let mut whole = schema.clone();
        whole["components"] = document["components"].clone();
        jsonschema::validator_for(&whole).unwrap().is_valid(value)
    };
    let as_described = |responses: &Value, answer: &Answer| {
        let status = answer.status.to_string();
        let mut response = &responses[&status];
        if let Some(reference) = response["$ref"].as_str() {
            response = document.pointer(reference.trim_start_matches('#')).unwrap();
        }
        let kind = answer.header("content-type").split(';').next().unwrap();
        let value = serde_json::from_str(&answer.body).unwrap_or_else(|_| Value::String(answer.body.clone()));
        assert!(fits(&response["content"][kind]["schema"], &value), "{status} {kind}: {value}");
    };
    let paths = document["paths"].as_object().unwrap();
    let (to_read, to_ask): (Vec<_>, Vec<_>) = paths.iter().partition(|(_, item)| item["get"].is_object());
    assert_eq!((to_read.len(), to_ask.len()), (9, 3));
    for (path, item) in to_ask {
        let good = if path == "/access/v1/evaluation" {
            EVALUATION
        } else {
            "{\"traceId\":\"00000000000000000000000000000000\"}"
        };
        let bodies = [("{}", 400), (good, 200)];
        for (body, status) in bodies {
            let answer = face.ask(path, TOKEN, body).await;
            assert_eq!(answer.status, status, "{path}");
            as_described(&item["post"]["responses"], &answer);
        }
        as_described(&item["post"]["responses"], &face.ask(path, "other", "{}").await);
    }
    for (path, item) in to_read {
        let query = if path == "/v1/log/consistency" { "?from=3" } else { "" };
        let answer = face.get(&(path.replace("{receipt_id}", &KNOWN.to_string()) + query)).await;
        assert_eq!(answer.status, 200, "{path}");
        as_described(&item["get"]["responses"], &answer);
    }
    let missing = face.get(&format!("/v1/receipts/{}", Uuid::nil())).await;
    as_described(&paths["/v1/receipts/{receipt_id}"]["get"]["responses"], &missing);
    for query in ["", "?from=0", "?from=5&to=4", "?from=x", "?from=1&more=2", "?from=10"] {
        let answer = face.get(&format!("/v1/log/consistency{query}")).await;
        assert_eq!(answer.status, if query == "?from=10" { 404 } else { 400 }, "{query}");
        as_described(&paths["/v1/log/consistency"]["get"]["responses"], &answer);
    }
    face.publish.send_replace(false);
    as_described(&paths["/health/ready"]["get"]["responses"], &face.get("/health/ready").await);
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_let_go() {
    let face = face_with(Limits { head: Duration::from_millis(50), ..Limits::default() }).await;
    for sent in [&b"GET /health/live HTTP/1.1\r\nhost: x\r\n"[..], b""] {
        let mut silent = TcpStream::connect(face.addr).await.unwrap();
        silent.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        // Ends only because the other side closes.
        let _ = silent.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    }
}

#[tokio::test]
async fn over_tls_a_peer_that_does_not_agree_in_time_is_let_go_and_nothing_is_in_the_clear() {
    let face = face_over(Some(tls()), Limits { head: Duration::from_millis(50), ..Limits::default() }).await;
    // The beginning of a ClientHello, and a request without TLS.
    for sent in [&b"\x16\x03\x01\x02\x00"[..], b"", b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut peer = TcpStream::connect(face.addr).await.unwrap();
        peer.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        // Ends only because the other side closes.
        let _ = peer.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let face = face().await;
    let answer = face.request("GET", "/health/live").header("x", "y".repeat(server::MAX_HEAD)).send().await;
    assert_eq!(answer.unwrap().status().as_u16(), 431);
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_wait() {
    let face = face_with(Limits { connections: 1, ..Limits::default() }).await;
    let first = TcpStream::connect(face.addr).await.unwrap();
    let second = face.get("/health/live");
    let mut second = std::pin::pin!(second);
    assert!(tokio::time::timeout(Duration::from_millis(50), second.as_mut()).await.is_err());
    drop(first);
    assert_eq!(second.await.status, 200);
}

#[tokio::test]
async fn it_stops_although_a_connection_is_idle() {
    let face = face().await;
    let mut idle = TcpStream::connect(face.addr).await.unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 12];
    idle.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");
    face.shutdown.cancel();
    face.served.await.unwrap();
    assert!(TcpStream::connect(face.addr).await.is_err());
}

#[tokio::test]
async fn the_logs_are_for_who_has_the_token_and_repeat_nothing_of_what_was_asked() {
    let face = face_of(None, Limits::default(), Some(TOKEN)).await;
    let trace = serde_json::json!({ "traceId": "a".repeat(32) }).to_string();
    let subject = "{\"dpl.core.data_subject_id\":\"999990019\"}".to_owned();
    let long = " ".repeat(5000) + &trace;
    let table: [(&str, &str, &str, u16); 9] = [
        (TOKEN, "", &trace, 200),
        ("", "", &trace, 401),
        (&TOKEN[1..], "", &trace, 401),
        (&TOKEN.to_uppercase(), "", &trace, 401),
        (TOKEN, "", "{}", 400),
        (TOKEN, "", &subject, 400),
        (TOKEN, "?before=1", &trace, 400),
        (TOKEN, "", &long, 413),
        (TOKEN, "?after=13", &trace, 503),
    ];
    for path in ["/processing-activities", "/authorization-decisions"] {
        for (token, query, body, status) in table {
            let answer = face.ask(&format!("{path}{query}"), token, body).await;
            assert_eq!(answer.status, status, "{path}{query} {body:.60}");
            assert!(!answer.body.contains("999990019"), "{}", answer.body);
            if status != 200 {
                assert_eq!(answer.header("content-type"), "application/problem+json", "{path}{query}");
            }
            assert_eq!(answer.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
        }
        let page = face.ask(&format!("{path}?after=3"), TOKEN, &*trace).await;
        assert_eq!(page.header("link"), format!("<{path}?after=10>; rel=\"next\""));
        assert_eq!(face.get(path).await.status, 405);
    }
    let closed = face_with(Limits::default()).await;
    assert_eq!(closed.ask("/processing-activities", TOKEN, &*trace).await.status, 404);
}

#[tokio::test]
async fn a_no_is_an_answer_and_the_request_id_comes_back() {
    let face = face_of(None, Limits::default(), Some(TOKEN)).await;
    let table = [
        (TOKEN, EVALUATION.to_owned(), 200),
        ("other", EVALUATION.to_owned(), 401),
        (TOKEN, EVALUATION.replace("adres", "alles"), 400),
        (TOKEN, EVALUATION.replace("gemeente:0363", "999990342"), 400),
        (TOKEN, EVALUATION.replace("adres", "risicoanalyse"), 503),
        (TOKEN, " ".repeat(17_000) + EVALUATION, 413),
    ];
    for (token, body, status) in table {
        let request = face.request("POST", "/access/v1/evaluation").bearer_auth(token).body(body.clone());
        let answer = answer(request.header("x-request-id", "een-verzoek")).await;
        assert_eq!((answer.status, answer.header("x-request-id")), (status, "een-verzoek"), "{body:.200}");
        assert!(!answer.body.contains("999990342"));
        if status == 200 {
            assert_eq!(answer.json()["decision"], false);
        } else {
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    let closed = face_with(Limits::default()).await;
    assert_eq!(closed.ask("/access/v1/evaluation", TOKEN, EVALUATION).await.status, 404);
}
