//! What would be decided (AuthZEN), for the system that has the token. That something may not go is an answer like any
//! other; nothing of a question is repeated but its request id.

use super::bearer::{self, Bearer};
use super::{State, problem};
use crate::authzen::Evaluation;
use crate::config::Secret;
use crate::ledger;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State as Extract};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use jiff::Timestamp;
use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(super) const EVALUATION: &str = "/access/v1/evaluation";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// With facts about a person.
const MAX_BODY: usize = 16 * 1024;

/// An answer, once it is on record; why there is none, where the question has none.
pub type Answered = Result<Result<Value, &'static str>, ledger::Error>;
type Ask = dyn Fn(Evaluation) -> Pin<Box<dyn Future<Output = Answered> + Send>> + Send + Sync;

pub struct Evaluator {
    token: Bearer,
    ask: Box<Ask>,
}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator").finish_non_exhaustive()
    }
}

impl Evaluator {
    pub fn new<F, Fut>(token: &Secret, ask: F) -> Evaluator
    where
        F: Fn(Evaluation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answered> + Send + 'static,
    {
        Evaluator { token: Bearer::new(token), ask: Box::new(move |evaluation| Box::pin(ask(evaluation)) as _) }
    }
}

pub(super) fn route() -> MethodRouter<Arc<State>> {
    post(echoing).layer(DefaultBodyLimit::max(MAX_BODY))
}

async fn echoing(state: Extract<Arc<State>>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let mut response = answer(state, &headers, body).await;
    if let Some(id) = headers.get(REQUEST_ID).filter(|id| id.len() <= 128) {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    response
}

async fn answer(
    Extract(state): Extract<Arc<State>>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(evaluator) = &state.evaluator else {
        return problem(StatusCode::NOT_FOUND, "there is nothing at this path");
    };
    if !evaluator.token.admits(headers) {
        return bearer::refusal();
    }
    let Ok(body) = body else { return problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large") };
    let evaluation = match Evaluation::read(&body, Timestamp::now()) {
        Ok(evaluation) => evaluation,
        Err(detail) => return problem(StatusCode::BAD_REQUEST, detail),
    };
    match (evaluator.ask)(evaluation).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(detail)) => problem(StatusCode::BAD_REQUEST, detail),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the ledger cannot record what is asked"),
    }
}
