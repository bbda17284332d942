//! Opdrachten: one decision over many deliveries. First the list is frozen and tried dry, then somebody begins it, and
//! it goes on at its rate until it is done or stopped.

use super::queue::Filter;
use crate::code::Code;
use crate::console::Console;
use crate::console::guard::{Visit, page};
use crate::console::text::Text;
use crate::console::view::{Frame, When, is_reason, party_name};
use crate::ledger::{Error, Job, JobState, NewJob, What};
use crate::record::Subject;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;

const MOST: usize = 10_000;
const FASTEST: u32 = 500;

#[derive(Template)]
#[template(path = "jobs.html")]
struct Jobs {
    frame: Frame,
    t: Text,
    jobs: Vec<Shown>,
}

#[derive(Template)]
#[template(path = "job.html")]
struct One {
    frame: Frame,
    t: Text,
    job: Shown,
    dry: Vec<Dry>,
    can_start: bool,
    can_stop: bool,
}

struct Shown {
    key: i64,
    what: &'static str,
    who: String,
    why: String,
    rate: u32,
    made_at: When,
    state: &'static str,
    count: i64,
    done: i64,
    changed: i64,
    left: i64,
}

struct Dry {
    recipient: String,
    outcome: &'static str,
    would: i64,
    would_not: i64,
}

pub async fn list(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let t = visit.t;
    match console.ledger.jobs().await {
        Ok(jobs) => {
            let jobs = jobs.into_iter().map(|job| Shown::new(t, job)).collect();
            page(&Jobs { frame: visit.frame(t.jobs()), t, jobs })
        }
        Err(error) => visit.unavailable(&error),
    }
}

pub async fn make(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let why = visit.form("waarom").trim();
    if !is_reason(why) {
        return visit.problem_with(StatusCode::BAD_REQUEST, Code::FormInvalid, visit.t.why_needed().to_owned());
    }
    let what = match visit.form("doe") {
        "opnieuw" => What::Replay,
        "vervallen" => What::Discard,
        _ => return visit.problem(StatusCode::BAD_REQUEST, Code::FormInvalid),
    };
    let rate = visit.form("snelheid").parse().unwrap_or(10).clamp(1, FASTEST);
    let Filter { mut outcomes, recipient } = Filter::of(visit.forms("toestand"), visit.form("ontvanger"));
    if what == What::Replay {
        outcomes.retain(|outcome| *outcome == crate::outcome::Outcome::Parked);
    }
    let (who, why) = (visit.who().to_owned(), why.to_owned());
    let job = NewJob { what, who: who.clone(), why: why.clone(), rate, outcomes, recipient, most: MOST };
    let made = async {
        let key = console.ledger.make_job(job).await?;
        console.ledger.note(Subject::default(), &who, "job_make", &numbered(visit.t, key, &why)).await?;
        Ok(key)
    };
    match made.await {
        Ok(key) => Redirect::to(&format!("/console/opdrachten/{key}")).into_response(),
        Err(error) => visit.unavailable(&error),
    }
}

pub async fn show(State(console): State<Arc<Console>>, Path(key): Path<String>, visit: Visit) -> Response {
    let Ok(key) = key.parse() else { return visit.problem(StatusCode::NOT_FOUND, Code::NotFound) };
    match console.one(&visit, key).await {
        Ok(one) => page(&one),
        Err(error) => visit.unavailable(&error),
    }
}

/// Recorded before it is done: what cannot be recorded does not begin.
pub async fn act(State(console): State<Arc<Console>>, Path(key): Path<String>, visit: Visit) -> Response {
    let Ok(key) = key.parse::<i64>() else { return visit.problem(StatusCode::NOT_FOUND, Code::NotFound) };
    let done = async {
        let job = console.ledger.job(key).await?;
        let note = async |what| {
            let why = numbered(visit.t, key, &job.why);
            console.ledger.note(Subject::default(), visit.who(), what, &why).await
        };
        match visit.form("doe") {
            "begin" => {
                note("job_start").await?;
                console.ledger.start_job(key).await
            }
            "stop" => {
                note("job_stop").await?;
                console.ledger.stop_job(key).await
            }
            _ => Err(Error::NoSuchRow),
        }
    };
    match done.await {
        Ok(()) => Redirect::to(&format!("/console/opdrachten/{key}")).into_response(),
        Err(Error::NoSuchRow) => visit.problem(StatusCode::CONFLICT, Code::ChangedMeanwhile),
        Err(error) => visit.unavailable(&error),
    }
}

fn numbered(t: Text, key: i64, why: &str) -> String {
    format!("{} {key}: {why}", t.job())
}

impl Console {
    async fn one(&self, visit: &Visit, key: i64) -> Result<One, Error> {
        let (t, job) = (visit.t, self.ledger.job(key).await?);
        let dry = match job.state {
            JobState::Frozen | JobState::Stopped => self.ledger.try_job_dry(key).await?,
            JobState::Running | JobState::Finished => Vec::new(),
        };
        let pipeline = self.house.pipeline();
        let dry = dry.into_iter().map(|of| Dry {
            recipient: of.recipient.map_or(t.no_recipient().to_owned(), |id| party_name(&pipeline.directory, &id)),
            outcome: t.outcome(of.outcome),
            would: of.would,
            would_not: of.count - of.would,
        });
        Ok(One {
            frame: visit.frame(format!("{} {key}", t.job())),
            t,
            dry: dry.collect(),
            can_start: matches!(job.state, JobState::Frozen | JobState::Stopped),
            can_stop: matches!(job.state, JobState::Frozen | JobState::Running),
            job: Shown::new(t, job),
        })
    }
}

impl Shown {
    fn new(t: Text, job: Job) -> Shown {
        Shown {
            key: job.key,
            what: match job.what {
                What::Replay => t.replay(),
                What::Discard => t.discard(),
            },
            who: job.who,
            why: job.why,
            rate: job.rate,
            made_at: When(job.made_at),
            state: match job.state {
                JobState::Frozen => t.frozen(),
                JobState::Running => t.running(),
                JobState::Stopped => t.stopped(),
                JobState::Finished => t.finished(),
            },
            count: job.count,
            done: job.done,
            changed: job.changed,
            left: job.count - job.done - job.changed,
        }
    }
}
