//! Bericht: one message, what was decided about it and what became of it, as far as the ledger knows. Found by
//! numbers that name nobody.

use crate::code::Code;
use crate::console::Console;
use crate::console::access::Power;
use crate::console::guard::{Visit, page};
use crate::console::text::Text;
use crate::console::view::{Frame, When, party_name, trace_url};
use crate::ledger::{Acted, DeliveryKey, Error, Row, Sought};
use crate::outcome::{Outcome, Reason};
use crate::receipt::{Receipt, Shared, Withheld};
use crate::validation::formats::{holds_bsn, is_bsn_with_or_without_zero};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;
use uuid::Uuid;

#[derive(Template)]
#[template(path = "search.html")]
struct Search {
    frame: Frame,
    t: Text,
    wrong: Option<&'static str>,
    sought: String,
    several: Vec<Found>,
}

struct Found {
    key: i64,
    received: When,
    from: String,
    title: String,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    frame: Frame,
    t: Text,
    title: String,
    kind: String,
    id: String,
    source: String,
    from: String,
    received: When,
    trace_id: Option<String>,
    trace_url: Option<String>,
    deliveries: Vec<Delivery>,
    may_act: bool,
}

struct Delivery {
    key: i64,
    recipient: String,
    role: String,
    outcome: &'static str,
    class: &'static str,
    reason: Option<Told>,
    state: &'static str,
    seen: i64,
    shared: Vec<Shared>,
    withheld: Vec<Withheld>,
    notes: Vec<String>,
    course: Vec<Step>,
    receipt: Option<Proof>,
    can_replay: bool,
    can_discard: bool,
}

/// A reason in the reader's language, as far as there are words.
struct Told {
    code: Code,
    title: &'static str,
    detail: String,
    problems: Vec<crate::outcome::Problem>,
}

struct Step {
    at: When,
    text: String,
}

struct Proof {
    id: Uuid,
    jws: String,
    verifies: bool,
    receipt: Receipt,
    time: When,
}

pub async fn search(visit: Visit) -> Response {
    page(&Search::new(&visit, None, Vec::new()))
}

/// Asked by form, so that nothing that is looked for stands in an address before it is known to be harmless.
pub async fn find(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let sought = visit.form("zoek").trim().to_owned();
    if holds_bsn(&sought) || is_bsn_with_or_without_zero(&sought) {
        let search = Search { sought: String::new(), ..Search::new(&visit, Some(visit.t.find_personal()), Vec::new()) };
        return (StatusCode::BAD_REQUEST, page(&search)).into_response();
    }
    let found = console.look_for(&sought).await;
    console.found(&visit, found).await
}

pub async fn by_trace(State(console): State<Arc<Console>>, Path(id): Path<String>, visit: Visit) -> Response {
    let found = console.ledger.find(&Sought::TraceId(id.to_ascii_lowercase())).await;
    console.found(&visit, found).await
}

pub async fn by_receipt(State(console): State<Arc<Console>>, Path(id): Path<String>, visit: Visit) -> Response {
    let Ok(id) = Uuid::try_parse(&id) else { return visit.problem(StatusCode::NOT_FOUND, Code::NotFound) };
    let found = console.ledger.find(&Sought::Receipt(id)).await;
    console.found(&visit, found).await
}

pub async fn show(State(console): State<Arc<Console>>, Path(key): Path<String>, visit: Visit) -> Response {
    let Ok(key) = key.parse() else { return visit.problem(StatusCode::NOT_FOUND, Code::NotFound) };
    match console.message(&visit, DeliveryKey(key)).await {
        Ok(message) => page(&message),
        Err(error) => visit.unavailable(&error),
    }
}

impl Search {
    fn new(visit: &Visit, wrong: Option<&'static str>, several: Vec<Found>) -> Search {
        let (t, sought) = (visit.t, visit.form("zoek").trim().to_owned());
        Search { frame: visit.frame(t.find_message()), t, wrong, sought, several }
    }
}

impl Console {
    /// The most exact first; an id may look like anything.
    async fn look_for(&self, sought: &str) -> Result<Vec<DeliveryKey>, Error> {
        let mut ways = Vec::new();
        if let Ok(id) = Uuid::try_parse(sought) {
            ways.push(Sought::Receipt(id));
        }
        if sought.len() == 32 && sought.bytes().all(|b| b.is_ascii_hexdigit()) {
            ways.push(Sought::TraceId(sought.to_ascii_lowercase()));
        }
        if !sought.is_empty() {
            ways.push(Sought::Id(sought.to_owned()));
        }
        for way in ways {
            let found = self.ledger.find(&way).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    async fn found(&self, visit: &Visit, found: Result<Vec<DeliveryKey>, Error>) -> Response {
        let found = match found {
            Ok(found) => found,
            Err(error) => return visit.unavailable(&error),
        };
        match found.as_slice() {
            [] => {
                let search = Search::new(visit, Some(visit.t.find_nothing()), Vec::new());
                (StatusCode::NOT_FOUND, page(&search)).into_response()
            }
            [only] => Redirect::to(&format!("/console/bericht/{only}")).into_response(),
            several => {
                let mut rows = Vec::new();
                for key in several {
                    match self.ledger.delivery(*key).await {
                        Ok(row) => rows.push(self.in_short(&row)),
                        Err(Error::NoSuchRow) => {}
                        Err(error) => return visit.unavailable(&error),
                    }
                }
                page(&Search::new(visit, None, rows))
            }
        }
    }

    fn in_short(&self, row: &Row) -> Found {
        let from = party_name(&self.house.pipeline().directory, &row.sender);
        Found { key: row.delivery, received: When(row.received_at), from, title: self.title(row) }
    }

    pub fn title(&self, row: &Row) -> String {
        let kind = row.kind.clone().unwrap_or_default();
        let pipeline = self.house.pipeline();
        pipeline.catalogue.get(&kind).map_or(kind, |known| known.title.clone())
    }

    async fn message(&self, visit: &Visit, key: DeliveryKey) -> Result<Message, Error> {
        let rows = self.ledger.beside(key).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Err(Error::NoSuchRow) };
        let acted = self.ledger.actions_on(DeliveryKey(first.delivery), DeliveryKey(last.delivery)).await?;
        let (t, title) = (visit.t, self.title(first));
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in &rows {
            let on = |acted: &&Acted| acted.delivery == Some(DeliveryKey(row.delivery));
            let acted: Vec<&Acted> = acted.iter().filter(on).collect();
            deliveries.push(self.delivery(t, row, &acted).await?);
        }
        Ok(Message {
            frame: visit.frame(format!("{}: {}", t.message(), first.id)),
            t,
            title: if title.is_empty() { t.unknown().to_owned() } else { title },
            kind: first.kind.clone().unwrap_or_default(),
            id: first.id.clone(),
            source: first.source.clone(),
            from: party_name(&self.house.pipeline().directory, &first.sender),
            received: When(first.received_at),
            trace_url: trace_url(self.config.console.trace_url.as_deref(), first.trace_id.as_deref()),
            trace_id: first.trace_id.clone(),
            deliveries,
            may_act: visit.may(Power::Act),
        })
    }

    async fn delivery(&self, t: Text, row: &Row, acted: &[&Acted]) -> Result<Delivery, Error> {
        let receipt = match row.receipt_id {
            Some(id) => self.proof(id).await?,
            None => None,
        };
        let directory = &self.house.pipeline().directory;
        Ok(Delivery {
            key: row.delivery,
            recipient: row.recipient.as_ref().map_or(t.no_recipient().to_owned(), |id| party_name(directory, id)),
            role: row.role.as_ref().map(ToString::to_string).unwrap_or_default(),
            outcome: t.outcome(row.outcome),
            class: class(row.outcome),
            reason: row.reason.as_ref().map(|reason| told(t, reason)),
            state: row.outcome.as_str(),
            seen: row.changed_at.as_microsecond(),
            shared: row.decision.shared.clone(),
            withheld: row.decision.withheld.clone(),
            notes: row.decision.notes.clone(),
            course: course(t, row, acted, receipt.as_ref()),
            receipt,
            can_replay: row.outcome == Outcome::Parked,
            can_discard: !row.outcome.is_final(),
        })
    }

    async fn proof(&self, id: Uuid) -> Result<Option<Proof>, Error> {
        let Some(signed) = self.ledger.receipt(id).await? else { return Ok(None) };
        let verifies = crate::receipt::keys::verify(signed.as_str(), &self.keys).is_ok();
        Ok(signed.content().map(|receipt| Proof {
            id,
            jws: signed.as_str().to_owned(),
            verifies,
            time: When(receipt.time),
            receipt,
        }))
    }
}

fn told(t: Text, reason: &Reason) -> Told {
    let (title, _) = t.code(reason.code);
    Told { code: reason.code, title, detail: reason.detail.clone(), problems: reason.problems.clone() }
}

pub fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "good",
        Outcome::Parked => "bad",
        Outcome::Retrying | Outcome::AwaitingAssessment | Outcome::Held => "waits",
        _ => "over",
    }
}

/// In the order of time.
fn course(t: Text, row: &Row, acted: &[&Acted], receipt: Option<&Proof>) -> Vec<Step> {
    let nl = t.lang() == "nl";
    let mut steps = vec![Step { at: When(row.received_at), text: t.received().to_owned() }];
    for acted in acted {
        let why = if acted.why.is_empty() { String::new() } else { format!(" ({})", acted.why) };
        let by = if nl { "door" } else { "by" };
        steps.push(Step { at: When(acted.at), text: format!("{} {by} {}{why}", t.action(&acted.what), acted.who) });
    }
    let code = row.reason.as_ref().map_or_else(String::new, |reason| format!(" ({})", reason.code));
    let tries = match (row.attempts, nl) {
        (0, _) => String::new(),
        (1, true) => ", na 1 poging".to_owned(),
        (count, true) => format!(", na {count} pogingen"),
        (1, false) => ", after 1 attempt".to_owned(),
        (count, false) => format!(", after {count} attempts"),
    };
    steps.push(Step { at: When(row.changed_at), text: format!("{}{code}{tries}", t.outcome(row.outcome)) });
    if let Some(proof) = receipt {
        steps.push(Step { at: proof.time, text: format!("{}: {}", t.receipt(), t.receipt_signed().to_lowercase()) });
    }
    if let Some(again) = row.again_at {
        steps.push(Step { at: When(again), text: t.again_at().to_owned() });
    }
    steps.sort_by_key(|step| step.at.0);
    steps
}
