//! The logs of processings and of decisions, for who has the token. The one place where a request has a body: a small
//! one, in which a person may be named; nothing of it is repeated.

use super::bearer::{self, Bearer};
use super::{State, problem};
use crate::config::Secret;
use crate::ledger;
use crate::processinglog::answer::Page;
use crate::processinglog::question::{Log, Question};
use crate::tls::Peer;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(super) const PROCESSINGS: &str = "/processing-activities";
pub(super) const DECISIONS: &str = "/authorization-decisions";
const MAX_BODY: usize = 4096;

type Ask =
    dyn Fn(Log, Question, String) -> Pin<Box<dyn Future<Output = Result<Page, ledger::Error>> + Send>> + Send + Sync;

/// Who may ask, and whom to ask.
pub struct Processing {
    token: Bearer,
    ask: Box<Ask>,
}

impl fmt::Debug for Processing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processing").finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    #[serde(default)]
    after: i64,
}

impl Processing {
    /// `ask` is told who asks, and keeps a record of that.
    pub fn new<F, Fut>(token: &Secret, ask: F) -> Processing
    where
        F: Fn(Log, Question, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Page, ledger::Error>> + Send + 'static,
    {
        let ask = Box::new(move |log, question, who| Box::pin(ask(log, question, who)) as _);
        Processing { token: Bearer::new(token), ask }
    }
}

pub(super) fn route(log: Log) -> MethodRouter<Arc<State>> {
    let handler = move |state, peer, headers, uri, body| answer(log, state, peer, headers, uri, body);
    post(handler).layer(DefaultBodyLimit::max(MAX_BODY))
}

async fn answer(
    log: Log,
    Extract(state): Extract<Arc<State>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    uri: axum::http::Uri,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let Some(processing) = &state.processing else {
        return problem(StatusCode::NOT_FOUND, "there is nothing at this path");
    };
    if !processing.token.admits(&headers) {
        return bearer::refusal();
    }
    let Ok(body) = body else { return problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large") };
    let question = Question::read(&body).and_then(|mut question| {
        let place =
            Query::<Place>::try_from_uri(&uri).map_err(|_| "in the query stands `after`, a number, if anything");
        question.after = place?.after;
        Ok(question)
    });
    let question = match question {
        Ok(question) => question,
        Err(detail) => return problem(StatusCode::BAD_REQUEST, detail),
    };
    let mut who = "token of the processing log".to_owned();
    if let Some(oin) = peer.as_ref().and_then(|Extension(peer)| peer.oin.as_ref()) {
        who = format!("{who}, OIN {}", oin.as_str());
    }
    match (processing.ask)(log, question, who).await {
        Ok((found, next)) => {
            let key = match log {
                Log::Processings => "processingActivities",
                Log::Decisions => "authorizationDecisions",
            };
            let next = next.map(|next| [(header::LINK, format!("<{}?after={next}>; rel=\"next\"", uri.path()))]);
            let found = Json(json!({ key: found }));
            match next {
                Some(next) => (next, found).into_response(),
                None => found.into_response(),
            }
        }
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the ledger cannot be read, or cannot record who asks"),
    }
}
