//! A small OTLP/HTTP collector, for the demo and the tests only: it keeps the last spans in memory and shows a
//! trace as a page. No authentication, no storage; an installation has a real collector.

mod page;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span as Exported, span, status};
use prost::Message;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

const KEPT_SPANS: usize = 20_000;
const MAX_BODY: usize = 8 * 1024 * 1024;
const PROTOBUF: &str = "application/x-protobuf";
/// The page loads nothing, from here or elsewhere.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// A running collector; it ends when this is dropped.
#[derive(Debug)]
pub struct Collector {
    pub addr: SocketAddr,
    store: Arc<Store>,
    _stop: DropGuard,
}

/// One span as it was exported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    pub service: String,
    pub name: String,
    pub kind: &'static str,
    pub start_unix_nano: u64,
    pub end_unix_nano: u64,
    pub failed: bool,
    /// Trace ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    pub attributes: BTreeMap<String, Value>,
}

#[derive(Debug)]
struct Store {
    spans: Mutex<VecDeque<Span>>,
    /// Changes with every export.
    exports: watch::Sender<u64>,
}

impl Collector {
    /// Listens at once; port 0 takes a free one.
    pub async fn start(addr: SocketAddr) -> std::io::Result<Collector> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let store = Arc::new(Store { spans: Mutex::default(), exports: watch::Sender::new(0) });
        let router = Router::new()
            .route("/v1/traces", post(take))
            .route("/v1/metrics", post(take_no_metrics))
            .route("/traces/{trace_id}", get(trace))
            .route("/", get(recent))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(store.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await });
        Ok(Collector { addr, store, _stop: stop.drop_guard() })
    }

    /// What to configure as `otlp_endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// In the order in which they were exported.
    pub fn spans(&self) -> Vec<Span> {
        self.store.spans()
    }

    /// The spans as soon as they are as wanted; waits for as long as that takes.
    pub async fn wait_for(&self, wanted: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut exports = self.store.exports.subscribe();
        loop {
            exports.borrow_and_update();
            let spans = self.spans();
            // The store outlives this borrow of it, so there always is a sender.
            if wanted(&spans) || exports.changed().await.is_err() {
                return spans;
            }
        }
    }
}

impl Store {
    fn spans(&self) -> Vec<Span> {
        self.lock().iter().cloned().collect()
    }

    /// By start.
    fn trace(&self, trace_id: &str) -> Vec<Span> {
        let mut spans: Vec<_> = self.lock().iter().filter(|span| span.trace_id == trace_id).cloned().collect();
        spans.sort_by_key(|span| span.start_unix_nano);
        spans
    }

    fn keep(&self, new: impl Iterator<Item = Span>) {
        let mut spans = self.lock();
        spans.extend(new);
        let surplus = spans.len().saturating_sub(KEPT_SPANS);
        spans.drain(..surplus);
        drop(spans);
        self.exports.send_modify(|exports| *exports += 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(State(store): State<Arc<Store>>, headers: HeaderMap, body: Bytes) -> Response {
    let is_protobuf = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROTOBUF);
    if !is_protobuf || headers.contains_key(header::CONTENT_ENCODING) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let spans = request.resource_spans.into_iter().flat_map(|of_resource| {
        let resource = attributes(of_resource.resource.map(|r| r.attributes).unwrap_or_default());
        let service = resource.get("service.name").and_then(Value::as_str).unwrap_or("unknown").to_owned();
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        spans.filter_map(move |span| read(span, &service))
    });
    store.keep(spans);
    ([(header::CONTENT_TYPE, PROTOBUF)], ExportTraceServiceResponse::default().encode_to_vec()).into_response()
}

/// Whoever looks at the demo reads them at the gateway.
async fn take_no_metrics() -> Response {
    ([(header::CONTENT_TYPE, PROTOBUF)], Vec::new()).into_response()
}

/// A page for a browser, JSON for everything else.
async fn trace(State(store): State<Arc<Store>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let spans = store.trace(&id);
    if spans.is_empty() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepted.contains("text/html") {
        return shown(page::trace(&spans));
    }
    axum::Json(spans).into_response()
}

async fn recent(State(store): State<Arc<Store>>) -> Response {
    shown(page::recent(&store.spans()))
}

fn shown(page: String) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(page)).into_response()
}

/// A span without proper ids is nobody's and is left out.
fn read(span: Exported, service: &str) -> Option<Span> {
    if span.trace_id.len() != 16 || span.span_id.len() != 8 {
        return None;
    }
    let kind = match span.kind() {
        span::SpanKind::Server => "server",
        span::SpanKind::Client => "client",
        span::SpanKind::Producer => "producer",
        span::SpanKind::Consumer => "consumer",
        span::SpanKind::Internal | span::SpanKind::Unspecified => "internal",
    };
    Some(Span {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        service: service.to_owned(),
        kind,
        start_unix_nano: span.start_time_unix_nano,
        end_unix_nano: span.end_time_unix_nano,
        links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
        failed: span.status.is_some_and(|status| status.code() == status::StatusCode::Error),
        name: span.name,
        attributes: attributes(span.attributes),
    })
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, Value> {
    all.into_iter().map(|attribute| (attribute.key, value(attribute.value.and_then(|v| v.value)))).collect()
}

fn value(value: Option<any_value::Value>) -> Value {
    match value {
        Some(any_value::Value::StringValue(text)) => text.into(),
        Some(any_value::Value::BoolValue(yes)) => yes.into(),
        Some(any_value::Value::IntValue(number)) => number.into(),
        Some(any_value::Value::DoubleValue(number)) => number.into(),
        // Nothing that we export has another form.
        _ => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
