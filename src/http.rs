//! The gateway's HTTP face: health, metrics, keys, receipts and proofs, and for who has a token the logs of processings
//! and what would be decided. No personal data out, no request bodies but with those, and an error is problem+json, as
//! the Dutch API Design Rules have it.

mod access;
mod bearer;
mod evaluation;
mod log;
mod processing;
mod ready;
mod server;

use crate::disclosurelog;
use crate::ledger;
use crate::processinglog::question::Log;
use crate::receipt::SignedReceipt;
use crate::receipt::keys::KeySet;
use crate::telemetry::metrics::Metrics;
use crate::tls::{Incoming, Peer};
use axum::body::HttpBody;
use axum::extract::{Path, Request, State as Extract};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use access::Access;
pub use evaluation::{Answered, Evaluator};
pub use log::{Answer, Question};
pub use processing::Processing;
pub use ready::{Probe, Ready};
pub use server::Remote;

/// Of the paths under `/v1`; `info.version` of the description below.
const API_VERSION: &str = "1.1.0";
/// Each bounds its own.
const TAKE_BODIES: [&str; 3] = [processing::PROCESSINGS, processing::DECISIONS, evaluation::EVALUATION];
const OPENAPI: &str = include_str!("http/openapi.json");

/// In every answer.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (HeaderName::from_static("api-version"), HeaderValue::from_static(API_VERSION)),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

type Found<T, E> = Result<Option<T>, E>;
type Ask<Q, T, E> = dyn Fn(Q) -> Pin<Box<dyn Future<Output = Found<T, E>> + Send>> + Send + Sync;

/// What the answers are made of.
pub struct State {
    ready: Arc<Ready>,
    metrics: Metrics,
    keys: KeySet,
    find: Box<Ask<Uuid, SignedReceipt, ledger::Error>>,
    log: Box<Ask<Question, Answer, disclosurelog::Error>>,
    access: Option<Access>,
    processing: Option<Processing>,
    evaluator: Option<Evaluator>,
    console: Option<Router>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("ready", &self.ready).field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl State {
    /// `keys` are the signing key and those that sign no longer; `find` looks a receipt up by its id, `log` asks the
    /// disclosure log.
    pub fn new<F, Fut, L, Lut>(ready: Arc<Ready>, metrics: Metrics, keys: KeySet, find: F, log: L) -> State
    where
        F: Fn(Uuid) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Found<SignedReceipt, ledger::Error>> + Send + 'static,
        L: Fn(Question) -> Lut + Send + Sync + 'static,
        Lut: Future<Output = log::Said> + Send + 'static,
    {
        let find = Box::new(move |id| Box::pin(find(id)) as _);
        let log = Box::new(move |question| Box::pin(log(question)) as _);
        State { ready, metrics, keys, find, log, access: None, processing: None, evaluator: None, console: None }
    }

    /// What has bodies, cookies and pages of its own stands beside, not behind, what is said here.
    pub fn with_console(self, console: Router) -> State {
        State { console: Some(console), ..self }
    }

    /// For partners who come with a certificate: what is one's own is for it alone.
    pub fn with_access(self, access: Access) -> State {
        State { access: Some(access), ..self }
    }

    /// For who may read what was done with whose data.
    pub fn with_processing(self, processing: Option<Processing>) -> State {
        State { processing, ..self }
    }

    /// For who may ask what would be decided.
    pub fn with_evaluator(self, evaluator: Option<Evaluator>) -> State {
        State { evaluator, ..self }
    }

    fn may_see(&self, peer: Option<&Peer>, receipt: &SignedReceipt) -> bool {
        self.access.as_ref().is_none_or(|access| access.is_concerned(peer, receipt))
    }
}

/// Answers until `shutdown`, then lets the requests at hand end. Stop it last: while the gateway drains, this is
/// what says so.
pub async fn serve(listener: TcpListener, tls: Option<Arc<Incoming>>, state: State, shutdown: CancellationToken) {
    server::run(listener, tls, router(state), server::Limits::default(), shutdown).await;
}

fn router(mut state: State) -> Router {
    let console = state.console.take().unwrap_or_default();
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/.well-known/jwks.json", get(keys))
        .route("/v1/receipts/{receipt_id}", get(receipt))
        .route("/v1/receipts/{receipt_id}/proof", get(log::inclusion))
        .route("/v1/log/head", get(log::head))
        .route("/v1/log/consistency", get(log::consistency))
        .route("/v1/openapi.json", get(openapi))
        .route(processing::PROCESSINGS, processing::route(Log::Processings))
        .route(processing::DECISIONS, processing::route(Log::Decisions))
        .route(evaluation::EVALUATION, evaluation::route())
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async { problem(StatusCode::METHOD_NOT_ALLOWED, "this can only be read") })
        .layer(middleware::from_fn(without_body))
        .layer(middleware::map_response(with_headers))
        .with_state(Arc::new(state))
        .merge(console)
}

async fn live() -> Response {
    Json(json!({ "status": "live" })).into_response()
}

async fn ready(Extract(state): Extract<Arc<State>>) -> Response {
    let (parts, missing) = (state.ready.parts(), state.ready.missing());
    if missing.is_empty() {
        return Json(json!({ "status": "ready", "parts": parts })).into_response();
    }
    let detail = format!("not ready: {}", missing.join(", "));
    problem_with(StatusCode::SERVICE_UNAVAILABLE, &detail, json!({ "parts": parts }))
}

async fn metrics(Extract(state): Extract<Arc<State>>, peer: Option<Extension<Peer>>) -> Response {
    if state.access.as_ref().is_some_and(|access| !access.is_own(peer.as_deref())) {
        return problem(StatusCode::FORBIDDEN, "metrics are for who comes with a certificate of the gateway's own OIN");
    }
    state.ready.measure(&state.metrics);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render()).into_response()
}

async fn keys(Extract(state): Extract<Arc<State>>) -> Response {
    let keys = serde_json::to_string(&state.keys).unwrap_or_default();
    open_to_all("application/jwk-set+json", keys)
}

async fn openapi() -> Response {
    open_to_all("application/json", OPENAPI)
}

/// A receipt holds no personal value, and its id can be made only by who has the message.
async fn receipt(
    Extract(state): Extract<Arc<State>>,
    peer: Option<Extension<Peer>>,
    Path(id): Path<String>,
) -> Response {
    let found = match receipt_id(&id) {
        Some(id) => (state.find)(id).await,
        None => Ok(None),
    };
    match found {
        // That there is one is told to nobody whom it does not concern.
        Ok(Some(receipt)) if state.may_see(peer.as_deref(), &receipt) => {
            ([(header::CONTENT_TYPE, "application/jose")], receipt.as_str().to_owned()).into_response()
        }
        Ok(_) => problem(StatusCode::NOT_FOUND, "there is no receipt with this id"),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the ledger cannot be read"),
    }
}

fn receipt_id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|uuid| uuid.to_string() == text)
}

/// What any page in a browser may read.
fn open_to_all(content_type: &'static str, body: impl Into<axum::body::Body>) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, body.into()).into_response()
}

async fn without_body(request: Request, next: Next) -> Response {
    if !request.body().is_end_stream() && !TAKE_BODIES.contains(&request.uri().path()) {
        let refused = problem(StatusCode::PAYLOAD_TOO_LARGE, "a request here has no body");
        return ([(header::CONNECTION, "close")], refused).into_response();
    }
    next.run(request).await
}

async fn with_headers(mut response: Response) -> Response {
    response.headers_mut().extend(HEADERS);
    response
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response {
    problem_with(status, detail, json!({}))
}

fn problem_with(status: StatusCode, detail: &str, extensions: serde_json::Value) -> Response {
    let mut problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    if let (Some(problem), serde_json::Value::Object(extensions)) = (problem.as_object_mut(), extensions) {
        problem.extend(extensions);
    }
    (status, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response()
}

#[cfg(test)]
mod tests;
