//! Beoordelingen: what a person must judge before it may be shared. Shows who asks for what and which judgement is
//! needed; of the person only the number under which the probation service knows the request.

use crate::category::Category;
use crate::code::Code;
use crate::console::guard::{Visit, page};
use crate::console::text::Text;
use crate::console::view::{Frame, When, age, is_reason, party_name};
use crate::console::{Console, Judgement};
use crate::disclosure::in_words;
use crate::facts::{SoortBeoordeling, dutch_day};
use crate::ledger::{DeliveryKey, Error, Row, Seen};
use crate::matrix::awaiting;
use crate::outcome::Outcome;
use crate::record::Subject;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;

const MOST: usize = 200;

#[derive(Template)]
#[template(path = "assessments.html")]
struct Assessments {
    frame: Frame,
    t: Text,
    rows: Vec<Waits>,
    recorded: bool,
}

struct Waits {
    key: i64,
    title: String,
    from: String,
    to: String,
    kinds: String,
    age: String,
}

#[derive(Template)]
#[template(path = "assessment.html")]
struct Assessment {
    frame: Frame,
    t: Text,
    key: i64,
    title: String,
    from: String,
    to: String,
    id: String,
    source: String,
    received: When,
    kinds: Vec<Kind>,
    wrong: Option<&'static str>,
    why: String,
    today: Date,
}

/// One judgement that would let it go on, and the categories that it could let go.
struct Kind {
    name: &'static str,
    title: &'static str,
    categories: Vec<One>,
    /// Not by category: it is given in the case system.
    elsewhere: bool,
}

struct One {
    name: &'static str,
    words: &'static str,
    chosen: String,
}

pub async fn list(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let (t, now) = (visit.t, Timestamp::now());
    let rows = match console.ledger.queue(&[Outcome::AwaitingAssessment], "", 0, MOST).await {
        Ok(rows) => rows,
        Err(error) => return visit.unavailable(&error),
    };
    let directory = &console.house.pipeline().directory;
    let rows = rows.iter().map(|row| Waits {
        key: row.delivery,
        title: console.title(row),
        from: party_name(directory, &row.sender),
        to: row.recipient.as_ref().map_or(t.no_recipient().to_owned(), |id| party_name(directory, id)),
        kinds: kinds(row).into_iter().map(|kind| t.judgement(kind)).collect::<Vec<_>>().join(", "),
        age: age(t, row.received_at, now),
    });
    let (rows, recorded) = (rows.collect(), visit.query("vastgelegd").is_some());
    page(&Assessments { frame: visit.frame(t.assessments()), t, rows, recorded })
}

pub async fn show(State(console): State<Arc<Console>>, Path(key): Path<String>, visit: Visit) -> Response {
    match console.awaiting(&key).await {
        Ok(row) => page(&console.assessment(&visit, &row, None)),
        Err(error) => visit.unavailable(&error),
    }
}

pub async fn record(State(console): State<Arc<Console>>, Path(key): Path<String>, visit: Visit) -> Response {
    let row = match console.awaiting(&key).await {
        Ok(row) => row,
        Err(Error::NoSuchRow) => return visit.problem(StatusCode::CONFLICT, Code::ChangedMeanwhile),
        Err(error) => return visit.unavailable(&error),
    };
    let wrong = |wrong| (StatusCode::BAD_REQUEST, page(&console.assessment(&visit, &row, Some(wrong)))).into_response();
    let why = visit.form("waarom").trim();
    if !is_reason(why) {
        return wrong(visit.t.why_needed());
    }
    let kind = SoortBeoordeling::parse(visit.form("soort")).filter(|kind| kinds(&row).contains(kind));
    let Some(kind) = kind else { return wrong(visit.t.choose_one()) };
    let candidates = console.candidates(&row, kind);
    let said = |category: &Category| match visit.form(&format!("{}:{category}", kind.as_str())) {
        "ja" => Some((*category, true)),
        "nee" => Some((*category, false)),
        _ => None,
    };
    let Some(said) = candidates.iter().map(said).collect::<Option<Vec<_>>>().filter(|said| !said.is_empty()) else {
        return wrong(visit.t.choose_one());
    };
    let until = match visit.form("tot") {
        "" => None,
        text => match text.parse::<Date>() {
            Ok(date) if date >= dutch_day(Timestamp::now()) => Some(date),
            _ => return wrong(visit.t.valid_until()),
        },
    };
    match console.judge(&visit, &row, kind, &said, until, why).await {
        Ok(()) => Redirect::to("/console/beoordelingen?vastgelegd=1").into_response(),
        Err(Error::NoSuchRow) => visit.problem(StatusCode::CONFLICT, Code::ChangedMeanwhile),
        Err(error) => visit.unavailable(&error),
    }
}

impl Console {
    async fn awaiting(&self, key: &str) -> Result<Row, Error> {
        let key = key.parse().map(DeliveryKey).map_err(|_| Error::NoSuchRow)?;
        let row = self.ledger.delivery(key).await?;
        if row.outcome == Outcome::AwaitingAssessment { Ok(row) } else { Err(Error::NoSuchRow) }
    }

    fn assessment(&self, visit: &Visit, row: &Row, wrong: Option<&'static str>) -> Assessment {
        let t = visit.t;
        let directory = &self.house.pipeline().directory;
        let kind = |kind: SoortBeoordeling| {
            let one = |category: Category| One {
                name: category.as_str(),
                words: in_words(category),
                chosen: visit.form(&format!("{}:{category}", kind.as_str())).to_owned(),
            };
            let categories: Vec<One> = self.candidates(row, kind).into_iter().map(one).collect();
            Kind { name: kind.as_str(), title: t.judgement(kind), elsewhere: categories.is_empty(), categories }
        };
        Assessment {
            frame: visit.frame(t.assess()),
            t,
            key: row.delivery,
            title: self.title(row),
            from: party_name(directory, &row.sender),
            to: row.recipient.as_ref().map_or(t.no_recipient().to_owned(), |id| party_name(directory, id)),
            id: row.id.clone(),
            source: row.source.clone(),
            received: When(row.received_at),
            kinds: kinds(row).into_iter().map(kind).collect(),
            wrong,
            why: visit.form("waarom").to_owned(),
            today: dutch_day(Timestamp::now()),
        }
    }

    /// What this judgement could let go to this recipient, by the rules that wait for it.
    fn candidates(&self, row: &Row, kind: SoortBeoordeling) -> Vec<Category> {
        let (pipeline, Some(role)) = (self.house.pipeline(), &row.role) else { return Vec::new() };
        awaiting(&pipeline.engine, role.as_str(), kind.as_str()).unwrap_or_default()
    }

    /// On record before it counts. What is refused whole ends, as there is nothing left to wait for.
    async fn judge(
        &self,
        visit: &Visit,
        row: &Row,
        kind: SoortBeoordeling,
        said: &[(Category, bool)],
        until: Option<Date>,
        why: &str,
    ) -> Result<(), Error> {
        let names = |yes: bool| {
            let of = said.iter().filter(|(_, is)| *is == yes).map(|(category, _)| category.as_str());
            of.collect::<Vec<_>>().join(", ")
        };
        let told = format!("{}: ja [{}], nee [{}]. {why}", kind.as_str(), names(true), names(false));
        let delivery = DeliveryKey(row.delivery);
        let permitted: Vec<Category> = said.iter().filter(|(_, yes)| *yes).map(|(category, _)| *category).collect();
        if permitted.is_empty() {
            let seen = Seen { outcome: row.outcome, changed_at: row.changed_at };
            return self.ledger.discard_as_seen(delivery, seen, visit.who(), &told, Timestamp::now()).await;
        }
        let subject: Subject = self.ledger.subject_of(delivery).await?;
        self.ledger.note(subject, visit.who(), "assessment", &told).await?;
        let judgement = Judgement {
            subject,
            kind,
            message: row.id.clone(),
            source: row.source.clone(),
            categories: permitted,
            until,
        };
        self.house.clone().record(judgement).await
    }
}

/// The judgements of which the reason says that one is needed.
fn kinds(row: &Row) -> Vec<SoortBeoordeling> {
    let detail = row.reason.as_ref().map_or("", |reason| reason.detail.as_str());
    let named = detail.strip_prefix("assessment needed: ").unwrap_or_default();
    named.split(['(', ',']).filter_map(|name| SoortBeoordeling::parse(name.trim())).collect()
}
