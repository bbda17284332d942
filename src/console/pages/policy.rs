//! Beleid: who may receive what, from the policy in force itself; what a proposed policy changes; and what would become
//! of a message. Nothing of what is tried is sent, kept or written down.

use crate::catalogue::{Finding, Sources, TYPE_PREFIX};
use crate::code::Code;
use crate::console::Console;
use crate::console::guard::{Visit, page};
use crate::console::text::Text;
use crate::console::view::Frame;
use crate::core::Pipeline;
use crate::explain::{Delivery, Explanation, explain};
use crate::facts::{Facts, dutch_day};
use crate::matrix::difference::Difference;
use crate::matrix::glossary::Glossary;
use crate::matrix::{Matrix, page as matrix_page};
use crate::outcome::{Outcome, Reason};
use crate::policy::Engine;
use crate::record::Subject;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "policy.html")]
struct Policy {
    frame: Frame,
    t: Text,
    /// HTML, made from our own files and escaped where it was made.
    matrix: String,
    has_proposal: bool,
}

#[derive(Template)]
#[template(path = "proposal.html")]
struct Proposal {
    frame: Frame,
    t: Text,
    difference: String,
}

#[derive(Template)]
#[template(path = "simulator.html")]
struct Simulator {
    frame: Frame,
    t: Text,
    kinds: Vec<(String, String)>,
    parties: Vec<(String, String)>,
    examples: Vec<Example>,
    tried: Tried,
    wrong: Option<String>,
    result: Option<Told>,
}

/// What is tried, as the form has it.
#[derive(Clone, Default)]
struct Tried {
    kind: String,
    from: String,
    message: String,
    facts: String,
}

struct Example {
    name: String,
    kind: String,
}

struct Told {
    outcome: &'static str,
    class: &'static str,
    reason: Option<Why>,
    deliveries: Vec<One>,
}

struct Why {
    code: Code,
    title: &'static str,
    detail: String,
    problems: Vec<crate::outcome::Problem>,
}

struct One {
    recipient: String,
    role: String,
    outcome: &'static str,
    class: &'static str,
    reason: Option<Why>,
    shared: Vec<crate::receipt::Shared>,
    withheld: Vec<crate::receipt::Withheld>,
    payload: Option<String>,
}

pub async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let (t, has_proposal) = (visit.t, console.config.console.proposed_policies.is_some());
    match console.off_the_road(|console| console.matrix()).await {
        Some(Ok(matrix)) => page(&Policy { frame: visit.frame(t.matrix()), t, matrix, has_proposal }),
        other => unreadable(&visit, other.and_then(Result::err)),
    }
}

pub async fn proposal(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let t = visit.t;
    let Some(folder) = console.config.console.proposed_policies.clone() else {
        return visit.problem_with(StatusCode::NOT_FOUND, Code::NotFound, t.difference_none().to_owned());
    };
    match console.off_the_road(move |console| console.difference(&folder)).await {
        Some(Ok(difference)) => page(&Proposal { frame: visit.frame(t.difference()), t, difference }),
        other => unreadable(&visit, other.and_then(Result::err)),
    }
}

pub async fn simulator(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let mut tried = Tried::default();
    if let Some(name) = visit.query("voorbeeld").map(str::to_owned) {
        let found = console.off_the_road(move |console| console.example(&name)).await;
        tried = found.flatten().unwrap_or_default();
    }
    page(&console.simulator(&visit, tried, None, None).await)
}

/// That somebody tried is on record; what, is not.
pub async fn simulate(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let field = |name| visit.form(name).to_owned();
    let tried = Tried { kind: field("type"), from: field("van"), message: field("bericht"), facts: field("feiten") };
    if let Err(error) = console.ledger.note(Subject::default(), visit.who(), "simulate", &kind_only(&tried.kind)).await
    {
        return visit.unavailable(&error);
    }
    let (t, given) = (visit.t, tried.clone());
    let told = console.off_the_road(move |console| console.try_it(t, &given)).await;
    let (status, wrong, result) = match told {
        Some(Ok(told)) => (StatusCode::OK, None, Some(told)),
        Some(Err(wrong)) => (StatusCode::BAD_REQUEST, Some(wrong), None),
        None => (StatusCode::INTERNAL_SERVER_ERROR, Some(t.message_wrong().to_owned()), None),
    };
    (status, page(&console.simulator(&visit, tried, wrong, result).await)).into_response()
}

/// A type is a name out of our own files; anything else may be anything.
fn kind_only(kind: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    kind.chars().filter(|c| plain(*c)).take(100).collect()
}

fn unreadable(visit: &Visit, findings: Option<Vec<Finding>>) -> Response {
    for finding in findings.unwrap_or_default() {
        tracing::warn!(finding = finding.to_string(), code = %finding.problem.code, "the policy cannot be shown");
    }
    let detail = visit.t.policy_unreadable().to_owned();
    visit.problem_with(StatusCode::INTERNAL_SERVER_ERROR, Code::PolicyInvalid, detail)
}

impl Console {
    /// What computes for long holds up nobody else.
    async fn off_the_road<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Console) -> T + Send + 'static,
    ) -> Option<T> {
        let console = self.clone();
        tokio::task::spawn_blocking(move || work(&console)).await.ok()
    }

    fn matrix(&self) -> Result<String, Vec<Finding>> {
        let pipeline = self.house.pipeline();
        let sources = Sources::read_policies(&self.config.files.policies)?;
        let glossary = Glossary::read(&sources).map_err(|finding| vec![finding])?;
        let today = dutch_day(Timestamp::now());
        let matrix = Matrix::of(&pipeline.engine, &glossary, &[], today).map_err(|finding| vec![finding])?;
        Ok(matrix_page::matrix_body(&matrix))
    }

    fn difference(&self, folder: &Path) -> Result<String, Vec<Finding>> {
        let pipeline = self.house.pipeline();
        let one = |finding| vec![finding];
        let mut glossary = Glossary::read(&Sources::read_policies(&self.config.files.policies)?).map_err(one)?;
        let proposed = Sources::read_policies(folder)?;
        let engine = Engine::load(&proposed)?;
        glossary.supplement(Glossary::read(&proposed).map_err(one)?);
        let today = dutch_day(Timestamp::now());
        let matrix = |engine: &Engine, roles: &[String]| Matrix::of(engine, &glossary, roles, today).map_err(one);
        let roles = [matrix(&pipeline.engine, &[])?, matrix(&engine, &[])?].map(|matrix| matrix.roles).concat();
        let roles: Vec<String> = roles.into_iter().map(|role| role.name).collect();
        let (before, after) = (matrix(&pipeline.engine, &roles)?, matrix(&engine, &roles)?);
        Ok(matrix_page::difference_body(&Difference::between(&before, &after), &before, &after))
    }

    async fn simulator(
        self: &Arc<Self>,
        visit: &Visit,
        tried: Tried,
        wrong: Option<String>,
        result: Option<Told>,
    ) -> Simulator {
        let pipeline = self.house.pipeline();
        let kinds = pipeline.catalogue.types().filter(|kind| !kind.internal);
        let senders = pipeline.directory.parties().filter(|party| !party.users.is_empty());
        let examples = self.off_the_road(|console| console.examples()).await.unwrap_or_default();
        Simulator {
            frame: visit.frame(visit.t.simulator()),
            t: visit.t,
            kinds: kinds.map(|kind| (kind.kind.clone(), kind.title.clone())).collect(),
            parties: senders.map(|party| (party.id.to_string(), party.name.clone())).collect(),
            examples,
            tried,
            wrong,
            result,
        }
    }

    fn try_it(&self, t: Text, tried: &Tried) -> Result<Told, String> {
        let pipeline = self.house.pipeline();
        let facts: Option<Facts> = match tried.facts.trim() {
            "" => None,
            // Not what is wrong with it: that would repeat some of it.
            text => Some(serde_json::from_str(text).map_err(|_| t.facts_wrong().to_owned())?),
        };
        let body = tried.message.trim().as_bytes().to_vec();
        if body.is_empty() {
            return Err(t.message_wrong().to_owned());
        }
        let raw = crate::check::raw_message(&pipeline, &tried.from, &tried.kind, body, &BTreeMap::new());
        let raw = raw.map_err(|_| t.message_wrong().to_owned())?;
        Ok(told(t, explain(&pipeline, &raw, facts.as_ref(), Timestamp::now()), &pipeline))
    }

    /// Of every message type, what its own cases begin with.
    fn examples(&self) -> Vec<Example> {
        let Some(sources) = self.sources() else { return Vec::new() };
        let cases = sources.mappings.keys().filter_map(|file| {
            let (folder, name) = file.split_once("/cases/")?;
            let tried = example(&sources, file)?;
            let name = format!("{folder}/{}", name.trim_end_matches(".yaml"));
            Some(Example { name, kind: tried.kind })
        });
        cases.collect()
    }

    fn example(&self, name: &str) -> Option<Tried> {
        let (folder, case) = name.split_once('/')?;
        example(&self.sources()?, &format!("{folder}/cases/{case}.yaml"))
    }

    fn sources(&self) -> Option<Sources> {
        let files = &self.config.files;
        Sources::read(&files.schemas, &files.policies, &files.mappings).ok()
    }
}

/// What the head of a file of cases says: who sends which message, and what is known of the person.
fn example(sources: &Sources, file: &str) -> Option<Tried> {
    let (folder, _) = file.split_once("/cases/").filter(|_| file.ends_with(".yaml"))?;
    let head: Value = serde_saphyr::from_str(sources.mappings.get(file)?).ok()?;
    let message = sources.mappings.get(&format!("{folder}/cases/{}", head["message"].as_str()?))?;
    let facts = head.get("facts").filter(|facts| facts.is_object());
    Some(Tried {
        kind: format!("{TYPE_PREFIX}{folder}"),
        from: head["from"].as_str()?.to_owned(),
        message: message.clone(),
        facts: facts.and_then(|facts| serde_json::to_string_pretty(facts).ok()).unwrap_or_default(),
    })
}

fn told(t: Text, explanation: Explanation, pipeline: &Pipeline) -> Told {
    let items = explanation.items.map(|items| items.shown).unwrap_or_default();
    let of_items = items.into_iter().flat_map(|item| item.deliveries);
    let deliveries = explanation.deliveries.into_iter().chain(of_items);
    Told {
        outcome: t.outcome(explanation.outcome),
        class: super::message::class(explanation.outcome),
        reason: explanation.reason.map(|reason| why(t, reason)),
        deliveries: deliveries.map(|delivery| one(t, delivery, pipeline)).collect(),
    }
}

fn one(t: Text, delivery: Delivery, pipeline: &Pipeline) -> One {
    let outcome: Outcome = delivery.outcome;
    One {
        recipient: crate::console::view::party_name(&pipeline.directory, &delivery.recipient),
        role: delivery.role.to_string(),
        outcome: t.outcome(outcome),
        class: super::message::class(outcome),
        reason: delivery.reason.map(|reason| why(t, reason)),
        shared: delivery.decision.shared,
        withheld: delivery.decision.withheld,
        payload: delivery.payload.map(|payload| match payload {
            Value::String(text) => text,
            other => serde_json::to_string_pretty(&other).unwrap_or_default(),
        }),
    }
}

fn why(t: Text, reason: Reason) -> Why {
    Why { code: reason.code, title: t.code(reason.code).0, detail: reason.detail, problems: reason.problems }
}
