//! The disclosure log for outsiders: its newest head, and proofs. Whoever has a receipt's id may have its proof too.

use super::{Found, State, problem};
use crate::disclosurelog;
use crate::tls::Peer;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    Head,
    Inclusion(Uuid),
    /// From one size to another; to the newest one where there is none.
    Consistency(u64, Option<u64>),
}

#[derive(Clone, Debug)]
pub enum Answer {
    Head(String),
    Json(Value),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sizes {
    from: u64,
    to: Option<u64>,
}

pub(super) async fn head(Extract(state): Extract<Arc<State>>) -> Response {
    answer(&state, Question::Head, "nothing is in the log yet").await
}

pub(super) async fn inclusion(
    Extract(state): Extract<Arc<State>>,
    peer: Option<Extension<Peer>>,
    Path(id): Path<String>,
) -> Response {
    let missing = "this receipt is not in the log";
    let Some(id) = super::receipt_id(&id) else { return problem(StatusCode::NOT_FOUND, missing) };
    if state.access.is_some() {
        let receipt = (state.find)(id).await;
        if !receipt.is_ok_and(|receipt| receipt.is_some_and(|receipt| state.may_see(peer.as_deref(), &receipt))) {
            return problem(StatusCode::NOT_FOUND, missing);
        }
    }
    answer(&state, Question::Inclusion(id), missing).await
}

pub(super) async fn consistency(
    Extract(state): Extract<Arc<State>>,
    sizes: Result<Query<Sizes>, QueryRejection>,
) -> Response {
    match sizes {
        Ok(Query(Sizes { from, to })) if from > 0 && to.is_none_or(|to| from <= to) => {
            answer(&state, Question::Consistency(from, to), "the log has no trees of these sizes").await
        }
        _ => problem(StatusCode::BAD_REQUEST, "from, and to where it is given, are sizes of trees: 0 < from <= to"),
    }
}

async fn answer(state: &State, question: Question, missing: &str) -> Response {
    match (state.log)(question).await {
        Ok(Some(Answer::Head(jws))) => ([(header::CONTENT_TYPE, "application/jose")], jws).into_response(),
        Ok(Some(Answer::Json(json))) => Json(json).into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, missing),
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, &format!("the log cannot be read: {error}")),
    }
}

pub(super) type Said = Found<Answer, disclosurelog::Error>;
