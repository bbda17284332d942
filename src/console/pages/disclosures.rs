//! Inzage: what went to whom of one person's data. Asked by form, never by an address, and on record before there is
//! anything to see.

use crate::console::Console;
use crate::console::guard::{Visit, page};
use crate::console::text::Text;
use crate::console::view::{Frame, When, is_reason};
use crate::disclosure::{Disclosure, Report, in_words};
use crate::facts::{Person, TIME_ZONE};
use crate::ledger::Error;
use crate::personal::Personal;
use crate::validation::formats::is_bsn;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use jiff::{Timestamp, ToSpan};
use std::sync::Arc;

const MOST_YEARS: i64 = 50;

#[derive(Template)]
#[template(path = "disclosures.html")]
struct Form {
    frame: Frame,
    t: Text,
    wrong: Option<&'static str>,
    kind: String,
    years: i64,
    why: String,
}

#[derive(Template)]
#[template(path = "disclosed.html")]
struct Found {
    frame: Frame,
    t: Text,
    since: String,
    until: String,
    disclosures: Vec<Shown>,
}

struct Shown {
    at: When,
    certain: bool,
    linked: bool,
    title: String,
    from: String,
    asked_by: Option<String>,
    to: String,
    shared: Vec<(&'static str, String)>,
    delivery: i64,
}

pub async fn ask(visit: Visit) -> Response {
    page(&Form::new(&visit, None))
}

pub async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let wrong = |wrong| (StatusCode::BAD_REQUEST, page(&Form::new(&visit, Some(wrong)))).into_response();
    let Some(person) = person(visit.form("soort"), visit.form("nummer").trim()) else {
        return wrong(visit.t.number_wrong());
    };
    if !is_reason(visit.form("waarom")) {
        return wrong(visit.t.why_needed());
    }
    let report = match console.report(&visit, &person).await {
        Ok(report) => report,
        Err(error) => return visit.unavailable(&error),
    };
    if visit.form("doe") == "afdrukken" {
        // The page has its own style; this one alone may.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
        return ([("content-security-policy", policy)], Html(report.page())).into_response();
    }
    let t = visit.t;
    page(&Found {
        frame: visit.frame(t.disclosures_title()),
        t,
        since: report.since.to_string(),
        until: report.until.to_string(),
        disclosures: report.disclosures.iter().map(Shown::new).collect(),
    })
}

/// None where it is no such number; what was given instead is told nobody.
fn person(kind: &str, number: &str) -> Option<Person> {
    let is_skn = (1..=12).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let personal = Some(Personal::new(number.to_owned()));
    match kind {
        "bsn" if is_bsn(number) => Some(Person { bsn: personal, skn: None }),
        "skn" if is_skn => Some(Person { bsn: None, skn: personal }),
        _ => None,
    }
}

impl Form {
    fn new(visit: &Visit, wrong: Option<&'static str>) -> Form {
        let kind = if visit.form("soort") == "skn" { "skn" } else { "bsn" };
        Form {
            frame: visit.frame(visit.t.disclosures_title()),
            t: visit.t,
            wrong,
            kind: kind.to_owned(),
            years: years(visit),
            why: visit.form("waarom").to_owned(),
        }
    }
}

fn years(visit: &Visit) -> i64 {
    visit.form("jaren").parse().unwrap_or(5).clamp(1, MOST_YEARS)
}

impl Console {
    async fn report(&self, visit: &Visit, person: &Person) -> Result<Report, Error> {
        let pipeline = self.house.pipeline();
        let subject = pipeline.subject(person);
        let today = Timestamp::now().in_tz(TIME_ZONE).map_err(|_| Error::Unavailable)?;
        let since = today.checked_sub(years(visit).years()).map_err(|_| Error::Unavailable)?;
        self.ledger.note(subject, visit.who(), "subject", visit.form("waarom").trim()).await?;
        let disclosed = self.ledger.disclosed(subject, since.timestamp()).await?;
        Ok(Report::new(disclosed, since.date(), today.date(), &pipeline))
    }
}

impl Shown {
    fn new(one: &Disclosure) -> Shown {
        let mut shared: Vec<(&'static str, String)> = Vec::new();
        for of in &one.shared {
            let words = in_words(of.category);
            match shared.iter_mut().find(|(known, _)| *known == words) {
                Some((_, bases)) => bases.push_str(&format!("; {}", of.legal_basis)),
                None => shared.push((words, of.legal_basis.clone())),
            }
        }
        Shown {
            at: When(one.at),
            certain: one.certain,
            linked: one.linked,
            title: one.title.clone(),
            from: one.from.name.clone(),
            asked_by: one.asked_by.as_ref().map(|by| by.name.clone()),
            to: one.to.name.clone(),
            shared,
            delivery: one.delivery,
        }
    }
}
