use super::*;
use crate::category::Category;
use crate::config::Secret;
use crate::personal::Personal;
use crate::simulators::Server;
use crate::simulators::iris::{Behaviour, People, Simulator};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const KNOWN: &str = "999993653";

pub(super) fn schema_files() -> BTreeMap<String, String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources =
        crate::catalogue::Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings"));
    sources.unwrap().schemas
}

struct Iris {
    simulator: Simulator,
    client: Client,
    server: Server,
}

/// A simulated IRIS with one person and a client with these settings.
async fn iris(settings: &str) -> Iris {
    let person = json!({
        "bsn": KNOWN,
        "feiten": { "bekend": true, "organisatie": "SVG" },
        "gegevens": {
            "risico_veiligheid": { "niveau": "hoog" },
            "zorg": { "indicatie": "ambulant" },
            "slachtoffer": { "naam": "X" }
        }
    });
    iris_with(&[person], settings).await
}

async fn iris_with(people: &[Value], settings: &str) -> Iris {
    let people = People::read("test", &json!({ "personen": people }).to_string(), jiff::civil::date(2026, 11, 24));
    let simulator = Simulator::new(people.unwrap(), Some(Secret::new("geheim")));
    let server = Server::start(ANYWHERE, simulator.router()).await.unwrap();
    let client = client(server.address(), "geheim", settings);
    Iris { simulator, client, server }
}

fn client(address: SocketAddr, token: &str, settings: &str) -> Client {
    let mut config: config::Iris = toml::from_str(&format!("base_url = \"http://{address}\"\n{settings}")).unwrap();
    config.token = Some(Secret::new(token));
    Client::new(&config, Schemas::compile(&schema_files()).unwrap()).unwrap()
}

fn person(bsn: &str) -> Person {
    Person { bsn: Some(Personal::new(bsn.to_owned())), skn: None }
}

fn categories() -> CategorySet {
    [Category::RisicoVeiligheid, Category::Zorg].into_iter().collect()
}

#[tokio::test]
async fn asks_with_token_and_trace_and_gets_facts() {
    let iris = iris("").await;
    let facts = iris.client.facts(person(KNOWN), Some(TRACEPARENT)).await.unwrap();
    assert_eq!((facts.bekend, facts.organisatie.as_deref()), (true, Some("SVG")));
    assert_eq!(iris.simulator.seen().traceparent.as_deref(), Some(TRACEPARENT));
    let unknown = iris.client.facts(person("999990019"), None).await.unwrap();
    assert!(!unknown.bekend);
    assert_eq!(iris.simulator.seen().traceparent, None);
}

#[tokio::test]
async fn every_fact_is_asked_anew() {
    let iris = iris("").await;
    for _ in 0..2 {
        iris.client.facts(person(KNOWN), None).await.unwrap();
    }
    assert_eq!(iris.simulator.seen().persons, 2);
}

#[tokio::test]
async fn iris_is_asked_for_the_named_categories_and_whatever_else_it_gives_is_dropped() {
    let iris = iris("").await;
    for behaviour in [Behaviour::Normal, Behaviour::Unasked] {
        iris.simulator.behave(behaviour);
        let data = iris.client.case_data(person(KNOWN), categories(), Some(TRACEPARENT)).await.unwrap();
        let expected = json!({ "risico_veiligheid": { "niveau": "hoog" }, "zorg": { "indicatie": "ambulant" } });
        assert_eq!(Value::Object(data.0.into_personal_data()), expected, "{behaviour:?}");
        let seen = iris.simulator.seen();
        assert_eq!(seen.categories, [Category::RisicoVeiligheid, Category::Zorg]);
        assert_eq!(seen.traceparent.as_deref(), Some(TRACEPARENT));
    }
    let facts = iris.client.facts(person(KNOWN), None).await.unwrap();
    assert!(facts.gegevens.is_none(), "case data that came along with facts");
}

#[tokio::test]
async fn no_categories_and_no_numbers_are_no_question() {
    let iris = iris("").await;
    let nothing = iris.client.case_data(person(KNOWN), CategorySet::EMPTY, None).await.unwrap();
    assert!(nothing.0.reveal_personal_data().is_empty());
    assert_eq!(iris.client.facts(Person::default(), None).await.unwrap_err(), Unavailable::Invalid);
    let data = iris.client.case_data(person("123456789"), categories(), None).await;
    assert_eq!(data.unwrap_err(), Unavailable::Invalid);
    let seen = iris.simulator.seen();
    assert_eq!((seen.facts_requests, seen.data_requests), (0, 0));
}

#[tokio::test]
async fn questions_that_wait_together_go_together_and_each_gets_its_own_answer() {
    let bsns = || (999_990_000..).map(|n: u32| n.to_string()).filter(|n| crate::validation::formats::is_bsn(n));
    let people: Vec<Value> = bsns()
        .take(500)
        .map(|bsn| json!({ "bsn": bsn, "feiten": { "bekend": true, "organisatie": format!("van {bsn}") } }))
        .collect();
    let iris = iris_with(&people, "").await;
    let questions = bsns().take(500).map(|bsn| {
        let client = iris.client.clone();
        async move {
            let facts = client.facts(person(&bsn), None).await.unwrap();
            assert_eq!(facts.organisatie, Some(format!("van {bsn}")));
        }
    });
    join_all(questions).await;
    let seen = iris.simulator.seen();
    assert_eq!(seen.persons, 500);
    assert!((5..=10).contains(&seen.facts_requests), "{} requests", seen.facts_requests);
}

#[tokio::test]
async fn what_does_not_fit_is_no_answer_and_is_not_asked_again() {
    let iris = iris("breaker_failures = 100").await;
    for behaviour in [Behaviour::NotJson, Behaviour::WrongShape, Behaviour::TooFew, Behaviour::TooLarge] {
        let before = iris.simulator.seen();
        iris.simulator.behave(behaviour);
        let facts = iris.client.facts(person(KNOWN), None).await;
        assert_eq!(facts.unwrap_err(), Unavailable::Invalid, "{behaviour:?}");
        assert_eq!(iris.simulator.seen().facts_requests, before.facts_requests + 1, "{behaviour:?}");
        if behaviour != Behaviour::TooFew {
            let data = iris.client.case_data(person(KNOWN), categories(), None).await;
            assert_eq!(data.unwrap_err(), Unavailable::Invalid, "{behaviour:?}");
            assert_eq!(iris.simulator.seen().data_requests, before.data_requests + 1, "{behaviour:?}");
        }
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_not_noticed() {
    let iris = iris("attempts = 3").await;
    iris.simulator.behave(Behaviour::Down.times(2));
    assert!(iris.client.facts(person(KNOWN), None).await.unwrap().bekend);
    assert_eq!(iris.simulator.seen().facts_requests, 3);
    iris.simulator.behave(Behaviour::Down);
    let data = iris.client.case_data(person(KNOWN), categories(), None).await;
    assert_eq!(data.unwrap_err(), Unavailable::Status(503));
    assert_eq!(iris.simulator.seen().data_requests, 3);
}

#[tokio::test]
async fn a_batch_that_fails_fails_all_its_questions() {
    let iris = iris("attempts = 1\nbreaker_failures = 100").await;
    iris.simulator.behave(Behaviour::Down);
    let answers = join_all((0..50).map(|_| iris.client.facts(person(KNOWN), None))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap_err() == Unavailable::Status(503)));
}

#[tokio::test]
async fn silence_and_absence_are_told_apart() {
    let iris = iris("attempts = 1\ntimeout = \"50ms\"").await;
    iris.simulator.behave(Behaviour::Slow { millis: 3_600_000 });
    assert_eq!(iris.client.facts(person(KNOWN), None).await.unwrap_err(), Unavailable::Timeout);

    let nobody = tokio::net::TcpListener::bind(ANYWHERE).await.unwrap().local_addr().unwrap();
    let client = client(nobody, "geheim", "attempts = 1");
    assert_eq!(client.facts(person(KNOWN), None).await.unwrap_err(), Unavailable::Unreachable);
}

#[tokio::test]
async fn a_wrong_token_is_a_status() {
    let iris = iris("").await;
    let stranger = client(iris.server.address(), "geraden", "");
    assert_eq!(stranger.facts(person(KNOWN), None).await.unwrap_err(), Unavailable::Status(401));
}

#[tokio::test]
async fn after_failures_in_a_row_iris_is_left_alone() {
    let iris = iris("attempts = 1\nbreaker_failures = 2\nbreaker_open = \"1h\"").await;
    iris.simulator.behave(Behaviour::Down);
    assert_eq!(iris.client.facts(person(KNOWN), None).await.unwrap_err(), Unavailable::Status(503));
    assert!(!iris.client.breaker_open());
    // An answer that makes no sense counts as well, and so does one about case data.
    iris.simulator.behave(Behaviour::NotJson);
    let data = iris.client.case_data(person(KNOWN), categories(), None).await;
    assert_eq!(data.unwrap_err(), Unavailable::Invalid);
    assert!(iris.client.breaker_open());
    iris.simulator.behave(Behaviour::Normal);
    let before = iris.simulator.seen();
    assert_eq!(iris.client.facts(person(KNOWN), None).await.unwrap_err(), Unavailable::BreakerOpen);
    let data = iris.client.case_data(person(KNOWN), categories(), None).await;
    assert_eq!(data.unwrap_err(), Unavailable::BreakerOpen);
    assert_eq!(iris.simulator.seen(), before, "nothing was sent");
}

#[tokio::test]
async fn after_its_rest_iris_is_asked_again() {
    let iris = iris("attempts = 1\nbreaker_failures = 1\nbreaker_open = \"5ms\"").await;
    iris.simulator.behave(Behaviour::Down.times(1));
    assert_eq!(iris.client.facts(person(KNOWN), None).await.unwrap_err(), Unavailable::Status(503));
    let answer = loop {
        match iris.client.facts(person(KNOWN), None).await {
            Err(Unavailable::BreakerOpen) => tokio::task::yield_now().await,
            answer => break answer,
        }
    };
    assert!(answer.unwrap().bekend && !iris.client.breaker_open());
}

/// Spans as they would be exported.
#[derive(Clone, Debug, Default)]
struct Spans(Arc<std::sync::Mutex<Vec<opentelemetry_sdk::trace::SpanData>>>);

impl opentelemetry_sdk::trace::SpanExporter for Spans {
    async fn export(&self, batch: Vec<opentelemetry_sdk::trace::SpanData>) -> opentelemetry_sdk::error::OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[tokio::test]
async fn a_request_stands_in_the_trace_of_its_first_question_and_is_linked_to_the_others() {
    use opentelemetry::trace::TracerProvider;
    use tracing_subscriber::layer::SubscriberExt;
    let spans = Spans::default();
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // With a single subscriber, whichever thread comes by first decides for all whether a span is of interest.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let iris = iris("").await;
    iris.simulator.behave(Behaviour::Down.times(1));
    let other = "00-11111111111111111111111111111111-2222222222222222-01";
    let traces = [TRACEPARENT, other];
    join_all(traces.map(|trace| iris.client.facts(person(KNOWN), Some(trace)))).await;

    let spans = spans.0.lock().unwrap().clone();
    let of = |name: &str| -> Vec<String> {
        let values = spans.iter().flat_map(|span| span.attributes.iter().filter(|kv| kv.key.as_str() == name));
        values.map(|kv| kv.value.to_string()).collect()
    };
    assert_eq!(spans.iter().map(|span| span.name.as_ref()).collect::<Vec<_>>(), ["POST /v1/feiten"; 2]);
    assert_eq!(of("http.response.status_code"), ["503", "200"]);
    assert_eq!(of("error.type"), ["503"]);
    assert_eq!(of("http.request.resend_count"), ["1"]);
    for span in &spans {
        let (trace_id, span_id) = (span.span_context.trace_id(), span.span_context.span_id());
        assert_eq!(format!("00-{trace_id}-{}-01", span.parent_span_id), TRACEPARENT);
        let linked: Vec<_> = span.links.iter().map(|link| link.span_context.trace_id().to_string()).collect();
        assert_eq!(linked, ["11111111111111111111111111111111"]);
        assert_ne!(format!("{span_id}"), "b7ad6b7169203331");
    }
    let last = &spans[1].span_context;
    let passed_on = format!("00-{}-{}-01", last.trace_id(), last.span_id());
    assert_eq!(iris.simulator.seen().traceparent, Some(passed_on));
    assert!(!format!("{spans:?}").contains(KNOWN));
}

#[test]
fn nothing_personal_is_printed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let printed = runtime.block_on(async {
        let iris = iris("").await;
        iris.client.facts(person(KNOWN), None).await.unwrap();
        format!("{:?} {:?}", iris.client, iris.simulator)
    });
    assert!(!printed.contains(KNOWN) && !printed.contains("geheim"), "{printed}");
}
