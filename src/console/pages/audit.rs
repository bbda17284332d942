//! Logboek: what people did, and why they said they did.

use crate::console::Console;
use crate::console::guard::{Visit, page};
use crate::console::text::Text;
use crate::console::view::{Frame, When};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

const A_PAGE: usize = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    t: Text,
    acts: Vec<Act>,
    older: Option<i64>,
}

struct Act {
    at: When,
    who: String,
    what: String,
    why: String,
    delivery: Option<i64>,
    about_a_person: bool,
}

pub async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let before = visit.query("voor").and_then(|before| before.parse().ok()).unwrap_or(i64::MAX);
    let acted = match console.ledger.actions(before, A_PAGE + 1).await {
        Ok(acted) => acted,
        Err(error) => return visit.unavailable(&error),
    };
    let t = visit.t;
    let older = acted.get(A_PAGE).and(acted.get(A_PAGE - 1)).map(|acted| acted.key);
    let acts = acted.into_iter().take(A_PAGE).map(|acted| Act {
        at: When(acted.at),
        what: t.action(&acted.what).to_owned(),
        who: acted.who,
        why: acted.why,
        delivery: acted.delivery.map(|key| key.0),
        about_a_person: acted.about_a_person,
    });
    page(&Audit { frame: visit.frame(t.audit()), t, acts: acts.collect(), older })
}
