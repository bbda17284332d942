//! Operations follow a message by its trace: from its sender's span to whoever gets something of it.

use crate::messages::{Person, case_file, release, request, supervised, trace_id};
use crate::scene::{Scene, run, shared};
use axum::http::StatusCode;
use ketenpoort::demo::partner::Event;
use ketenpoort::simulators::recipient::Behaviour;
use ketenpoort::telemetry::collector::Span;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const IN: &str = "process ketenpoort.in.dji";
const RECEIPTS: &str = "send ketenpoort.receipts.dji";

/// Each span as `parent > span (kind)`; the sender's own is the root.
fn tree(event: &Event, spans: &[Span]) -> Vec<String> {
    let names: BTreeMap<_, _> = spans.iter().map(|span| (span.span_id.as_str(), span.name.as_str())).collect();
    let sender = event.traceparent.as_deref().unwrap().split('-').nth(2).unwrap();
    let line = |span: &Span| {
        let parent = span.parent_span_id.as_deref().unwrap();
        let parent = if parent == sender { "the sender" } else { names.get(parent).copied().unwrap_or("nobody") };
        format!("{parent} > {} ({})", span.name, span.kind)
    };
    // Questions about several persons are one request, in the trace of the first; others are linked to it.
    let mut lines: Vec<_> = spans.iter().filter(|span| span.name != "POST /v1/feiten").map(line).collect();
    lines.sort();
    lines
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// Of one span that is as named, these attributes.
fn has(spans: &[Span], name: &str, expected: Value) {
    let [span] = named(spans, name)[..] else { panic!("one span {name}") };
    for (attribute, value) in expected.as_object().unwrap() {
        assert_eq!(span.attributes.get(attribute), Some(value), "{name}: {attribute}");
    }
}

/// The `traceparent` that says that something came out of a span.
fn out_of(span: &Span) -> Option<String> {
    Some(format!("00-{}-{}-01", span.trace_id, span.span_id))
}

#[test]
fn a_notification_is_one_trace_from_its_sender_to_recipients_and_receipts() {
    run(async {
        let scene = shared().await;
        let notice = Person::new().notice("0599");
        scene.world.iris.know(notice.person.on_file(supervised(), json!({})));
        let event = release(&notice);
        scene.send("dji", &event).await;
        let whole = |spans: &[Span]| named(spans, RECEIPTS).len() == 2 && named(spans, IN).len() == 1;
        let spans = scene.trace(trace_id(&event), whole).await;
        let stage = |name: &str| format!("{IN} > {name} (internal)");
        let mut expected = vec![
            format!("the sender > {IN} (consumer)"),
            stage("envelope"),
            stage("validation"),
            stage("facts"),
            stage("policy"),
            stage("minimisation"),
            stage("minimisation"),
            stage("translation"),
            stage("translation"),
            stage("ledger"),
            format!("{IN} > POST gemeente:0599 (client)"),
            format!("{IN} > send ketenpoort.out.reclassering (producer)"),
            stage("receipt"),
            stage("receipt"),
            format!("{IN} > {RECEIPTS} (producer)"),
            format!("{IN} > {RECEIPTS} (producer)"),
        ];
        expected.sort();
        assert_eq!(tree(&event, &spans), expected);

        let municipality = scene.arrival("gemeente:0599", &event.id).await;
        let probation = scene.arrival("reclassering", &event.id).await;
        has(
            &spans,
            IN,
            json!({
                "messaging.system": "rabbitmq", "messaging.operation.type": "process",
                "messaging.destination.name": "ketenpoort.in.dji",
                "messaging.message.body.size": event.data.reveal_personal_data().len(),
                "cloudevents.event_type": event.kind, "ketenpoort.sender": "dji", "ketenpoort.outcome": "delivered"
            }),
        );
        has(
            &spans,
            "POST gemeente:0599",
            json!({ "http.request.method": "POST", "messaging.message.id": municipality.key }),
        );
        has(
            &spans,
            "send ketenpoort.out.reclassering",
            json!({
                "messaging.system": "rabbitmq", "messaging.operation.type": "send",
                "messaging.destination.name": "ketenpoort.out.reclassering", "messaging.message.id": probation.key
            }),
        );
        assert_eq!(municipality.traceparent, out_of(named(&spans, "POST gemeente:0599")[0]));
        assert_eq!(probation.traceparent, out_of(named(&spans, "send ketenpoort.out.reclassering")[0]));
        let receipts = scene.receipts("dji", &event.id, 2).await;
        for proof in receipts {
            assert_eq!(proof.receipt.trace_id.as_deref(), Some(trace_id(&event)));
            let traceparent = proof.headers.get("traceparent").cloned();
            assert!(named(&spans, RECEIPTS).iter().any(|span| out_of(span) == traceparent), "{traceparent:?}");
        }
        assert!(spans.iter().all(|span| !span.failed && span.service == "ketenpoort"));
    });
}

#[test]
fn a_request_is_one_trace_through_iris_to_the_answer() {
    run(async {
        let scene = shared().await;
        let client = Person::new();
        scene.world.iris.know(client.on_file(supervised(), case_file()));
        let event = request(&client.request("0606", "18b", "toezicht"));
        scene.send("gemeente:0606", &event).await;
        let whole = |spans: &[Span]| !named(spans, "process ketenpoort.in.gemeente.0606").is_empty();
        let spans = scene.trace(trace_id(&event), whole).await;
        assert_eq!(named(&spans, "facts").len(), 2, "about the person, and for the answer");
        let lines = tree(&event, &spans);
        assert!(lines.contains(&"facts > POST /v1/gegevens (client)".to_owned()), "{lines:#?}");
        assert_eq!(scene.world.iris.asked_in(trace_id(&event)).len(), 1, "IRIS was told of the trace");
        let answer = scene.arrival("gemeente:0606", &event.id).await;
        assert_eq!(answer.traceparent, out_of(named(&spans, "send ketenpoort.out.gemeente.0606")[0]));
    });
}

#[test]
fn a_later_attempt_is_in_the_same_trace_and_the_log_names_it() {
    run(async {
        let scene = shared().await;
        let down = Behaviour::Answer { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: None };
        scene.world.webhooks.behave_at("/gemeente-0613", down, Some(1));
        let event = release(&Person::new().notice("0613"));
        scene.send("dji", &event).await;
        let spans = scene.trace(trace_id(&event), |spans| !named(spans, "resume").is_empty()).await;
        let lines = tree(&event, &spans);
        assert!(lines.contains(&format!("{IN} > resume (internal)")), "{lines:#?}");
        let attempts = named(&spans, "POST gemeente:0613");
        let failed: Vec<_> = attempts.iter().filter(|span| span.failed).collect();
        assert_eq!((attempts.len(), failed.len()), (2, 1));
        assert_eq!(failed[0].attributes["error.type"], "503");
        assert_eq!(failed[0].attributes["messaging.message.id"], attempts[1].attributes["messaging.message.id"]);
        let arrival = scene.arrival("gemeente:0613", &event.id).await;
        let succeeded = attempts.iter().find(|span| !span.failed).unwrap();
        assert_eq!(arrival.traceparent, out_of(succeeded));

        let told = log_of(scene, trace_id(&event));
        assert!(told.iter().any(|line| line["code"] == "KP-5002" && line["recipient"] == "gemeente:0613"), "{told:#?}");
    });
}

fn log_of(scene: &Scene, trace_id: &str) -> Vec<Value> {
    let lines = scene.log();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["trace_id"] == trace_id).collect()
}

#[test]
fn a_traceparent_that_is_none_starts_a_new_trace() {
    run(async {
        let scene = shared().await;
        let zero = format!("00-{}-{}-01", "0".repeat(32), "0".repeat(16));
        let long = format!("00-{}-{}-01-extra", "a".repeat(32), "b".repeat(16));
        for garbage in ["vrijlating van Dijkhuizen", "", &zero, &long, "00-zz-1-01"] {
            let good = release(&Person::new().notice("0606"));
            let event = Event { traceparent: Some(garbage.to_owned()), ..good };
            scene.send("dji", &event).await;
            let receipt = scene.receipt("dji", &event.id, "gemeente:0606").await;
            let trace_id = receipt.trace_id.unwrap();
            assert!(trace_id.len() == 32 && !garbage.contains(&trace_id), "{garbage}: {trace_id}");
            let spans = scene.trace(&trace_id, |spans| !named(spans, IN).is_empty()).await;
            assert_eq!(named(&spans, IN)[0].parent_span_id, None, "{garbage}");
            let arrival = scene.arrival("gemeente:0606", &event.id).await;
            assert_eq!(arrival.traceparent, out_of(named(&spans, "send ketenpoort.out.gemeente.0606")[0]));
        }
        // One that it did not understand, it does not repeat.
        assert!(!scene.log().contains("vrijlating van Dijkhuizen"));
    });
}

/// Who sends none gets a trace too, and one whose flag says that it is not sampled stays so.
#[test]
fn a_trace_that_the_sender_does_not_record_is_not_recorded() {
    run(async {
        let scene = shared().await;
        let event = release(&Person::new().notice("0606"));
        let unsampled = event.traceparent.as_ref().unwrap().replace("-01", "-00");
        let event = Event { traceparent: Some(unsampled), ..event };
        scene.send("dji", &event).await;
        let receipt = scene.receipt("dji", &event.id, "gemeente:0606").await;
        assert_eq!(receipt.trace_id.as_deref(), Some(trace_id(&event)));
        let later = release(&Person::new().notice("0606"));
        scene.send("dji", &later).await;
        scene.trace(trace_id(&later), |spans| !named(spans, IN).is_empty()).await;
        assert!(scene.world.traces.spans().iter().all(|span| span.trace_id != trace_id(&event)));
        let arrival = scene.arrival("gemeente:0606", &event.id).await;
        assert!(arrival.traceparent.as_ref().unwrap().contains(trace_id(&event)));
    });
}
