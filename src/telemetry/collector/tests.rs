use super::*;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status};
use std::time::Duration;

const TRACE: [u8; 16] = [0xab; 16];

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn exported(id: u8, parent: Option<u8>, name: &str) -> Exported {
    Exported {
        trace_id: TRACE.to_vec(),
        span_id: vec![id; 8],
        parent_span_id: parent.map(|p| vec![p; 8]).unwrap_or_default(),
        name: name.to_owned(),
        start_time_unix_nano: u64::from(id) * 1_000_000,
        end_time_unix_nano: 9_000_000,
        ..Exported::default()
    }
}

fn request(spans: Vec<Exported>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

async fn started() -> Collector {
    Collector::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

async fn export(collector: &Collector, kind: &str, body: Vec<u8>) -> u16 {
    let post = reqwest::Client::new().post(format!("{}/v1/traces", collector.endpoint()));
    post.header("content-type", kind).body(body).send().await.unwrap().status().as_u16()
}

async fn page(collector: &Collector, path: &str, accept: &str) -> (u16, String) {
    let get = reqwest::Client::new().get(format!("{}{path}", collector.endpoint()));
    let answer = get.header("accept", accept).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn it_takes_spans_and_gives_a_trace_as_json() {
    let collector = started().await;
    let waiting = collector.wait_for(|spans| spans.len() == 2);
    let mut child = exported(2, Some(1), "send");
    child.attributes = vec![text("error.type", "timeout")];
    child.status = Some(Status { code: status::StatusCode::Error.into(), ..Status::default() });
    let body = request(vec![exported(1, None, "process"), child]);
    let (spans, status) = tokio::join!(waiting, export(&collector, PROTOBUF, body));
    assert_eq!((spans.len(), status), (2, 200));
    let (status, json) = page(&collector, &format!("/traces/{}", hex(&TRACE)), "application/json").await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status, 200);
    assert_eq!(json[1]["parent_span_id"], "0101010101010101");
    assert_eq!(json[1]["attributes"]["error.type"], "timeout");
    assert_eq!((&json[0]["failed"], &json[1]["failed"]), (&false.into(), &true.into()));
}

#[tokio::test]
async fn what_is_no_export_is_refused_and_nothing_waits_for_it() {
    let collector = started().await;
    let mut nameless = exported(1, None, "x");
    nameless.span_id.clear();
    let table = [
        ("application/json", b"{}".to_vec(), 415),
        (PROTOBUF, b"\xff\xff\xff".to_vec(), 400),
        (PROTOBUF, vec![0; MAX_BODY + 1], 413),
        (PROTOBUF, request(vec![nameless]), 200),
    ];
    for (kind, body, expected) in table {
        assert_eq!(export(&collector, kind, body).await, expected);
    }
    assert_eq!(collector.spans(), []);
    assert_eq!(page(&collector, &format!("/traces/{}", hex(&TRACE)), "*/*").await.0, 404);
    let never = tokio::time::timeout(Duration::from_millis(20), collector.wait_for(|spans| !spans.is_empty()));
    assert!(never.await.is_err());
}

#[tokio::test]
async fn pages_escape_what_was_exported_and_load_nothing() {
    let collector = started().await;
    let mut span = exported(1, Some(7), "<script>alert('x')</script>");
    span.attributes = vec![text("a\"b", "<img src=x>"), text("ketenpoort.outcome", "</td>")];
    export(&collector, PROTOBUF, request(vec![span])).await;
    for path in ["/".to_owned(), format!("/traces/{}", hex(&TRACE))] {
        let (status, html) = page(&collector, &path, "text/html,*/*").await;
        assert_eq!(status, 200);
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), "{html}");
        for raw in ["<script", "<img", "</td></td>", "src=\"", "http:"] {
            assert!(!html.contains(raw), "{path}: {raw}");
        }
    }
}

#[test]
fn a_trace_is_indented_also_where_parents_are_missing_or_run_in_a_ring() {
    let spans = [
        exported(1, None, "root"),
        exported(2, Some(1), "child"),
        exported(3, Some(2), "grandchild"),
        exported(4, Some(1), "child 2"),
        exported(5, Some(99), "orphan"),
        exported(6, Some(7), "ring"),
        exported(7, Some(6), "ring 2"),
    ];
    let spans: Vec<_> = spans.into_iter().filter_map(|span| read(span, "x")).collect();
    let listed: Vec<_> =
        page::by_descent(&spans).into_iter().map(|(depth, span)| (depth, span.name.as_str())).collect();
    let expected =
        [(0, "root"), (1, "child"), (2, "grandchild"), (1, "child 2"), (0, "orphan"), (0, "ring"), (1, "ring 2")];
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn only_the_last_spans_are_kept() {
    let collector = started().await;
    let spans: Vec<_> = (0..KEPT_SPANS as u64 + 5)
        .map(|n| Exported { start_time_unix_nano: n, ..exported(1, None, "") })
        .filter_map(|span| read(span, "x"))
        .collect();
    collector.store.keep(spans.into_iter());
    let kept = collector.spans();
    assert_eq!((kept.len(), kept[0].start_unix_nano), (KEPT_SPANS, 5));
}
