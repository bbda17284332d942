use super::collector::{Collector, Span};
use super::*;
use crate::code::Code;
use crate::directory::Endpoint;
use crate::envelope::RawMessage;
use crate::party::PartyId;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing::Instrument;
use uuid::Uuid;

mod specification;

const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn all(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn settings(text: &str) -> config::Telemetry {
    toml::from_str(text).unwrap()
}

/// Telemetry for this thread only.
fn started(text: &str) -> (tracing::dispatcher::DefaultGuard, Guard, Lines) {
    let lines = Lines::default();
    let writer = lines.clone();
    let (dispatch, guard) = subscriber(&settings(text), move || writer.clone()).unwrap();
    (tracing::dispatcher::set_default(&dispatch), guard, lines)
}

fn message(headers: &[(&str, &str)]) -> RawMessage {
    let headers: BTreeMap<_, _> = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    RawMessage { headers, queue_of: Some(PartyId::new("dji")), ..RawMessage::default() }
}

/// What the gateway does with one message, without a gateway.
async fn walk(raw: &RawMessage) -> Option<String> {
    async {
        stage_span("envelope").in_scope(|| ());
        note_type("nl.ketenpoort.x.v1");
        async { tokio::task::yield_now().await }.instrument(stage_span("facts")).await;
        stage_span("policy").in_scope(|| stage_span("minimisation").in_scope(|| ()));
        let queue = Endpoint::Amqp { queue: "kp.uit.gemeente-0363".to_owned() };
        let send = delivery_span(&queue, "gemeente:0363", Uuid::from_bytes([1; 16]), Some(SENT));
        let sent = async {
            note_failure("timeout");
            current_traceparent()
        };
        let sent = sent.instrument(send).await;
        note_outcome("parked", Some(Code::AttemptsExhausted));
        sent
    }
    .instrument(message_span("kp.in.dji", raw))
    .await
}

async fn exported(collector: &Collector, guard: Guard) -> Vec<Span> {
    tokio::task::spawn_blocking(|| guard.shutdown()).await.unwrap();
    collector.spans()
}

async fn collector() -> (Collector, String) {
    let collector = Collector::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let endpoint = format!("otlp_endpoint = \"{}\"\n", collector.endpoint());
    (collector, endpoint)
}

#[tokio::test]
async fn one_trace_from_the_sender_through_every_room_to_the_recipient() {
    let (collector, endpoint) = collector().await;
    // A filter on the logs takes nothing from the traces.
    let (_here, guard, _) = started(&format!("{endpoint}log_filter = \"error\""));
    let sent = walk(&message(&[("traceparent", SENT)])).await.unwrap();
    let spans = exported(&collector, guard).await;

    let by_name = |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}"));
    let of = |span: &Span, key: &str| span.attributes.get(key).cloned().unwrap_or_default();
    assert_eq!(spans.len(), 6);
    assert!(spans.iter().all(|span| span.trace_id == TRACE && span.service == "ketenpoort"));

    let process = by_name("process kp.in.dji");
    assert_eq!(process.parent_span_id.as_deref(), Some("00f067aa0ba902b7"));
    assert_eq!((process.kind, process.failed), ("consumer", true));
    let expected: [(&str, serde_json::Value); 10] = [
        ("messaging.system", "rabbitmq".into()),
        ("messaging.operation.type", "process".into()),
        ("messaging.operation.name", "process".into()),
        ("messaging.destination.name", "kp.in.dji".into()),
        ("messaging.message.body.size", 0.into()),
        ("ketenpoort.sender", "dji".into()),
        ("cloudevents.event_type", "nl.ketenpoort.x.v1".into()),
        ("ketenpoort.outcome", "parked".into()),
        ("ketenpoort.code", "KP-5004".into()),
        ("error.type", "KP-5004".into()),
    ];
    for (key, value) in expected {
        assert_eq!(of(process, key), value, "{key}");
    }

    let send = by_name("send kp.uit.gemeente-0363");
    assert_eq!((send.kind, send.failed), ("producer", true));
    assert_eq!(of(send, "messaging.rabbitmq.destination.routing_key"), "kp.uit.gemeente-0363");
    assert_eq!(of(send, "messaging.message.id"), "01010101-0101-0101-0101-010101010101");
    assert_eq!(of(send, "error.type"), "timeout");
    assert_eq!(sent, format!("00-{TRACE}-{}-01", send.span_id), "the recipient continues where we send");

    for stage in ["envelope", "facts", "policy", "send kp.uit.gemeente-0363"] {
        assert_eq!(by_name(stage).parent_span_id.as_ref(), Some(&process.span_id), "{stage}");
    }
    assert_eq!(by_name("minimisation").parent_span_id.as_ref(), Some(&by_name("policy").span_id));
}

#[tokio::test]
async fn no_header_of_a_message_becomes_an_attribute() {
    let (collector, endpoint) = collector().await;
    let (_here, guard, _) = started(&endpoint);
    let headers = [
        ("cloudEvents_traceparent", SENT),
        ("tracestate", "vendor=marked"),
        ("baggage", "marked=marked"),
        ("cloudEvents_id", "marked"),
        ("cloudEvents_subject", "marked"),
    ];
    walk(&message(&headers)).await;
    let spans = exported(&collector, guard).await;
    let all = serde_json::to_string(&spans).unwrap();
    assert!(all.contains(TRACE) && !all.contains("marked"), "{all}");
}

#[tokio::test]
async fn what_is_not_recorded_has_a_trace_id_and_no_spans() {
    let (collector, endpoint) = collector().await;
    let table = [
        ("no endpoint", String::new(), "01"),
        ("the sender does not sample", endpoint.clone(), "00"),
        ("the ratio is zero", format!("{endpoint}sample_ratio = 0.0"), ""),
    ];
    for (why, settings, flags) in table {
        let (here, guard, _) = started(&settings);
        let sent = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
        let headers: &[_] = if flags.is_empty() { &[] } else { &[("traceparent", sent.as_str())] };
        let raw = message(headers);
        let traceparent = walk(&raw).await.unwrap();
        assert!(traceparent.starts_with("00-") && traceparent.ends_with("-00"), "{why}: {traceparent}");
        assert_eq!(traceparent.contains(TRACE), !flags.is_empty(), "{why}: {traceparent}");
        message_span("q", &raw).in_scope(|| {
            assert!(stage_span("envelope").is_disabled(), "{why}");
            assert!(publish_span("q", Uuid::nil(), None).is_disabled(), "{why}");
        });
        assert_eq!(exported(&collector, guard).await, [], "{why}");
        drop(here);
    }
}

#[test]
fn what_comes_out_of_the_ledger_goes_on_in_its_own_trace() {
    let (_here, _guard, _) = started("");
    let trace_of = |span: tracing::Span| span.in_scope(current_traceparent).unwrap()[3..35].to_owned();
    assert_eq!(trace_of(resumed_span(Some(SENT), "held", 0)), TRACE);
    assert_eq!(trace_of(publish_span("q", Uuid::nil(), Some(SENT))), TRACE);
    assert_ne!(trace_of(resumed_span(None, "held", 0)), "0".repeat(32));
}

#[test]
fn a_hostile_traceparent_is_ignored() {
    let (_here, _guard, _) = started("");
    let long = "0".repeat(100_000);
    let hostile = [
        "",
        "-",
        "garbage",
        &long,
        &format!("{SENT}-00"),
        &format!("{SENT} "),
        &SENT.replace("00-4", "01-4"),
        &SENT.replace("00-4", "ff-4"),
        &SENT.to_uppercase(),
        &SENT.replace('-', "_"),
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ];
    for traceparent in hostile {
        let raw = message(&[("traceparent", traceparent)]);
        let own = message_span("q", &raw).in_scope(current_traceparent).unwrap();
        assert!(!own.contains("bf92f3577b34da6a3ce929d0e0e473"), "{traceparent}");
    }
    let raw = message(&[("traceparent", SENT)]);
    assert!(message_span("q", &raw).in_scope(current_traceparent).unwrap().contains(TRACE));
}

#[tokio::test]
async fn a_log_line_names_its_trace() {
    let (_here, _guard, lines) = started("");
    tracing::info!(count = 1, "outside\nof a trace");
    async {
        tokio::task::yield_now().await;
        stage_span("facts").in_scope(|| tracing::warn!(code = %Code::FactsUnavailable, "within"));
    }
    .instrument(message_span("q", &message(&[("traceparent", SENT)])))
    .await;
    let lines = lines.all();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        (&lines[0]["message"], &lines[0]["trace_id"]),
        (&"outside\nof a trace".into(), &serde_json::Value::Null)
    );
    assert_eq!((&lines[1]["level"], &lines[1]["code"]), (&"WARN".into(), &"KP-4001".into()));
    assert_eq!(lines[1]["trace_id"], TRACE);
    assert_eq!(lines[1]["span_id"].as_str().unwrap().len(), 16);
}

#[test]
fn other_libraries_never_log_below_warn() {
    let (_here, _guard, lines) = started("log_filter = \"trace,lapin=trace\"");
    tracing::info!(target: "lapin::channel", "a");
    tracing::debug!(target: "ketenpoorter", "b");
    tracing::warn!(target: "sqlx::query", "c");
    // With all that is in the message.
    tracing::warn!(target: "lapin::returned_messages", "Server returned us a message");
    tracing::debug!(target: "ketenpoort::gateway", "d");
    tracing::info_span!(target: "hyper", "e").in_scope(|| assert_eq!(current_traceparent(), None));
    let told: Vec<_> = lines.all().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["c", "d"]);
}

#[test]
fn a_wrong_filter_is_told() {
    let refused = subscriber(&settings("log_filter = \"ketenpoort=loud\""), std::io::sink);
    assert!(matches!(refused, Err(Error::Filter(_))));
}
