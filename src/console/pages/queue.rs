//! Wachtrij: what waits, and what a person does about it. Nothing is edited, and whoever comes second is told so.

use super::message::class;
use crate::code::Code;
use crate::console::Console;
use crate::console::access::Power;
use crate::console::guard::{Visit, page};
use crate::console::text::Text;
use crate::console::view::{Frame, When, age, in_query, is_reason, party_name};
use crate::ledger::{DeliveryKey, Error, Row, Seen};
use crate::outcome::Outcome;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use std::sync::Arc;

const A_PAGE: usize = 50;

#[derive(Template)]
#[template(path = "queue.html")]
struct Queue {
    frame: Frame,
    t: Text,
    states: Vec<Choice>,
    recipients: Vec<Choice>,
    rows: Vec<Waits>,
    next: Option<String>,
    may_act: bool,
    /// Which of them a job would be about.
    filter: Filter,
}

struct Choice {
    value: String,
    text: String,
    chosen: bool,
}

struct Waits {
    key: i64,
    outcome: &'static str,
    class: &'static str,
    recipient: String,
    title: String,
    from: String,
    code: String,
    reason: &'static str,
    age: String,
    again_at: Option<When>,
    attempts: u32,
}

/// What of the queue is looked at.
pub struct Filter {
    pub outcomes: Vec<Outcome>,
    /// Empty: all.
    pub recipient: String,
}

impl Filter {
    /// Everything, where nothing is said.
    pub fn of<'a>(outcomes: impl Iterator<Item = &'a str>, recipient: &str) -> Filter {
        let waits = |outcome: &Outcome| !outcome.is_final();
        let mut outcomes: Vec<Outcome> = outcomes.filter_map(Outcome::parse).filter(waits).collect();
        if outcomes.is_empty() {
            outcomes = Outcome::ALL.iter().copied().filter(waits).collect();
        }
        Filter { outcomes, recipient: recipient.to_owned() }
    }

    fn query(&self) -> String {
        let outcomes = self.outcomes.iter().map(|outcome| format!("toestand={}&", outcome.as_str()));
        outcomes.collect::<String>() + &format!("ontvanger={}", in_query(&self.recipient))
    }
}

pub async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    match console.queue(&visit).await {
        Ok(queue) => page(&queue),
        Err(error) => visit.unavailable(&error),
    }
}

/// One delivery, unless anything happened to it since it was looked at.
pub async fn act(State(console): State<Arc<Console>>, Path(key): Path<String>, visit: Visit) -> Response {
    let (Ok(key), Some(seen)) = (key.parse().map(DeliveryKey), seen(&visit)) else {
        return visit.problem(StatusCode::NOT_FOUND, Code::NotFound);
    };
    let (why, who, now) = (visit.form("waarom").trim(), visit.who(), Timestamp::now());
    if !is_reason(why) {
        return visit.problem_with(StatusCode::BAD_REQUEST, Code::FormInvalid, visit.t.why_needed().to_owned());
    }
    let done = match visit.form("doe") {
        "opnieuw" => console.ledger.replay_as_seen(key, seen, who, why, now).await,
        "vervallen" => console.ledger.discard_as_seen(key, seen, who, why, now).await,
        _ => return visit.problem(StatusCode::BAD_REQUEST, Code::FormInvalid),
    };
    match done {
        Ok(()) => Redirect::to(&format!("/console/bericht/{key}")).into_response(),
        Err(Error::NoSuchRow) => visit.problem(StatusCode::CONFLICT, Code::ChangedMeanwhile),
        Err(error) => visit.unavailable(&error),
    }
}

/// As it stood on the page.
fn seen(visit: &Visit) -> Option<Seen> {
    let changed_at = Timestamp::from_microsecond(visit.form("gezien").parse().ok()?).ok()?;
    Some(Seen { outcome: Outcome::parse(visit.form("toestand"))?, changed_at })
}

impl Console {
    async fn queue(&self, visit: &Visit) -> Result<Queue, Error> {
        let (t, now) = (visit.t, Timestamp::now());
        let filter = Filter::of(visit.queries("toestand"), visit.query("ontvanger").unwrap_or_default());
        let after = visit.query("na").and_then(|after| after.parse().ok()).unwrap_or_default();
        let rows = self.ledger.queue(&filter.outcomes, &filter.recipient, after, A_PAGE + 1).await?;
        let last = rows.get(A_PAGE).and(rows.get(A_PAGE - 1));
        let next = last.map(|row| format!("/console/wachtrij?{}&na={}", filter.query(), row.delivery));
        Ok(Queue {
            frame: visit.frame(t.queue()),
            t,
            states: states(t, &filter),
            recipients: self.recipients(t, &filter).await?,
            rows: rows.iter().take(A_PAGE).map(|row| self.waits(t, row, now)).collect(),
            next,
            may_act: visit.may(Power::Act),
            filter,
        })
    }

    /// Those for whom something waits.
    async fn recipients(&self, t: Text, filter: &Filter) -> Result<Vec<Choice>, Error> {
        let pipeline = self.house.pipeline();
        let mut waiting: Vec<_> = self.ledger.waiting_at().await?.into_iter().filter_map(|of| of.recipient).collect();
        waiting.sort();
        waiting.dedup();
        let named = waiting.into_iter().map(|id| Choice {
            text: party_name(&pipeline.directory, &id),
            chosen: id.as_str() == filter.recipient,
            value: id.to_string(),
        });
        let all = Choice { value: String::new(), text: t.all().to_owned(), chosen: filter.recipient.is_empty() };
        Ok(std::iter::once(all).chain(named).collect())
    }

    fn waits(&self, t: Text, row: &Row, now: Timestamp) -> Waits {
        let directory = &self.house.pipeline().directory;
        Waits {
            key: row.delivery,
            outcome: t.outcome(row.outcome),
            class: class(row.outcome),
            recipient: row.recipient.as_ref().map_or(t.no_recipient().to_owned(), |id| party_name(directory, id)),
            title: self.title(row),
            from: party_name(directory, &row.sender),
            code: row.reason.as_ref().map(|reason| reason.code.to_string()).unwrap_or_default(),
            reason: row.reason.as_ref().map_or("", |reason| t.code(reason.code).0),
            age: age(t, row.received_at, now),
            again_at: row.again_at.map(When),
            attempts: row.attempts,
        }
    }
}

fn states(t: Text, filter: &Filter) -> Vec<Choice> {
    let choice = |outcome: &Outcome| Choice {
        value: outcome.as_str().to_owned(),
        text: t.outcome(*outcome).to_owned(),
        chosen: filter.outcomes.contains(outcome),
    };
    Outcome::ALL.iter().filter(|outcome| !outcome.is_final()).map(choice).collect()
}
