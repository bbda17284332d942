//! A stand-in for IRIS, the case system of the probation service: answers about the fictitious people of a
//! file, in the shapes of `schemas/iris/`. It can be told to misbehave, and tells what it was asked.

mod people;

pub use people::People;
pub(crate) use people::relative;

use crate::category::Category;
use crate::config::Secret;
use crate::validation::json;
use crate::validation::schema::Schema;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const KEPT_REQUESTS: usize = 1000;

/// Cheap to clone; every clone is the same IRIS.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    token: Option<Secret>,
    facts_question: Schema,
    data_question: Schema,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    people: People,
    instruction: Instruction,
    seen: Seen,
    /// The last requests for case data: in which trace, and for what.
    asked: VecDeque<(String, Vec<Category>)>,
}

/// What was asked. No person in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Requests for facts, and about how many persons they were in all.
    pub facts_requests: u64,
    pub persons: u64,
    pub data_requests: u64,
    /// Of the last request for case data.
    pub categories: Vec<Category>,
    /// Of the last request.
    pub traceparent: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "behaviour", rename_all = "snake_case")]
pub enum Behaviour {
    #[default]
    Normal,
    /// Answers 503.
    Down,
    /// Answers after a while.
    Slow { millis: u64 },
    /// The same, but only of case data.
    SlowData { millis: u64 },
    /// Answers with a page of HTML.
    NotJson,
    /// The first answer has a field that is not in the schema.
    WrongShape,
    /// The last answer is missing.
    TooFew,
    /// A good answer, with more white space around it than anybody should read.
    TooLarge,
    /// Gives all it has, whatever was asked.
    Unasked,
}

/// How to behave, and for how many requests; for good where `times` is left out.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Instruction {
    #[serde(flatten)]
    pub behaviour: Behaviour,
    #[serde(default)]
    pub times: Option<u32>,
}

impl From<Behaviour> for Instruction {
    fn from(behaviour: Behaviour) -> Self {
        Instruction { behaviour, times: None }
    }
}

impl Behaviour {
    pub fn times(self, times: u32) -> Instruction {
        Instruction { behaviour: self, times: Some(times) }
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("seen", &self.seen()).finish_non_exhaustive()
    }
}

impl Simulator {
    pub fn new(people: People, token: Option<Secret>) -> Simulator {
        let facts_question = people::own_schema(include_str!("../../schemas/iris/feiten-vraag.schema.json"));
        let data_question = people::own_schema(include_str!("../../schemas/iris/gegevens-vraag.schema.json"));
        let state = Mutex::new(State { people, ..State::default() });
        Simulator(Arc::new(Inner { token, facts_question, data_question, state }))
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/feiten", post(facts))
            .route("/v1/gegevens", post(case_data))
            .route("/health", get(|| async { "ok" }))
            .route("/admin/seen", get(|Extract(simulator): Extract<Simulator>| async move { Json(simulator.seen()) }))
            .route("/admin/behaviour", put(instruct))
            .with_state(self.clone())
    }

    pub fn behave(&self, how: impl Into<Instruction>) {
        self.state().instruction = how.into();
    }

    /// From now on; what was known of the same persons is forgotten.
    pub fn know(&self, people: People) {
        self.state().people.learn(people);
    }

    pub fn seen(&self) -> Seen {
        self.state().seen.clone()
    }

    /// What case data was asked for in one trace, a request at a time.
    pub fn asked_in(&self, trace_id: &str) -> Vec<Vec<Category>> {
        let state = self.state();
        let ours = state.asked.iter().filter(|(traceparent, _)| traceparent.contains(trace_id));
        ours.map(|(_, categories)| categories.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts(&self, persons: &[Value], with_case_data: bool) -> Vec<Value> {
        let people = &self.state().people;
        let answers = persons.iter().map(|numbers| {
            let mut facts = people.facts(numbers);
            if with_case_data {
                facts["gegevens"] = people.case_data(numbers, |_| true).into();
            }
            facts
        });
        answers.collect()
    }

    /// The behaviour for this request.
    fn take_behaviour(&self) -> Behaviour {
        let mut state = self.state();
        match &mut state.instruction {
            Instruction { times: Some(0), .. } => Behaviour::Normal,
            Instruction { behaviour, times } => {
                *times = times.map(|times| times - 1);
                *behaviour
            }
        }
    }

    /// The question, from somebody who may ask it.
    fn question(&self, headers: &HeaderMap, body: &[u8], schema: &Schema) -> Result<Value, StatusCode> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let allowed = self.0.token.as_ref().is_none_or(|token| given == Some(&format!("Bearer {}", token.reveal())));
        if !allowed {
            return Err(StatusCode::UNAUTHORIZED);
        }
        json::parse(body).ok().filter(|question| schema.is_valid(question)).ok_or(StatusCode::BAD_REQUEST)
    }

    fn note(&self, headers: &HeaderMap, note: impl FnOnce(&mut State)) {
        let mut state = self.state();
        state.seen.traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned);
        note(&mut state);
    }
}

async fn instruct(Extract(simulator): Extract<Simulator>, Json(instruction): Json<Instruction>) -> StatusCode {
    simulator.behave(instruction);
    StatusCode::NO_CONTENT
}

async fn facts(Extract(simulator): Extract<Simulator>, headers: HeaderMap, body: Bytes) -> Response {
    let question = match simulator.question(&headers, &body, &simulator.0.facts_question) {
        Ok(question) => question,
        Err(status) => return status.into_response(),
    };
    let persons = question["personen"].as_array().map(Vec::as_slice).unwrap_or_default();
    simulator.note(&headers, |State { seen, .. }| {
        seen.facts_requests += 1;
        seen.persons += persons.len() as u64;
    });
    let behaviour = simulator.take_behaviour();
    let answers = simulator.facts(persons, behaviour == Behaviour::Unasked);
    behaviour.answer(json!({ "antwoorden": answers }), "/antwoorden").await
}

async fn case_data(Extract(simulator): Extract<Simulator>, headers: HeaderMap, body: Bytes) -> Response {
    let question = match simulator.question(&headers, &body, &simulator.0.data_question) {
        Ok(question) => question,
        Err(status) => return status.into_response(),
    };
    let categories = Vec::<Category>::deserialize(&question["categorieen"]).unwrap_or_default();
    simulator.note(&headers, |State { seen, asked, .. }| {
        seen.data_requests += 1;
        seen.categories.clone_from(&categories);
        asked.truncate(KEPT_REQUESTS - 1);
        asked.push_front((seen.traceparent.clone().unwrap_or_default(), categories.clone()));
    });
    let behaviour = simulator.take_behaviour();
    let asked = |category: Category| behaviour == Behaviour::Unasked || categories.contains(&category);
    let data = simulator.state().people.case_data(&question["persoon"], asked);
    behaviour.answer(json!({ "gegevens": data }), "/gegevens").await
}

impl Behaviour {
    /// The good answer as this behaviour has it; `answers` is where in it the answers proper are.
    async fn answer(self, mut good: Value, answers: &str) -> Response {
        let answers = good.pointer_mut(answers);
        match (self, answers) {
            (Behaviour::Down, _) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            (Behaviour::NotJson, _) => return "<html><body>IRIS is in onderhoud</body></html>".into_response(),
            (Behaviour::TooLarge, _) => {
                let padding = " ".repeat(32 * 1024 * 1024);
                return format!("{good}{padding}").into_response();
            }
            (Behaviour::Slow { millis }, _) | (Behaviour::SlowData { millis }, Some(Value::Object(_))) => {
                tokio::time::sleep(Duration::from_millis(millis)).await
            }
            (Behaviour::WrongShape, Some(Value::Array(answers))) => answers[0]["verzonnen"] = true.into(),
            (Behaviour::WrongShape, Some(Value::Object(answer))) => {
                answer.insert("verzonnen".to_owned(), json!({}));
            }
            (Behaviour::TooFew, Some(Value::Array(answers))) => {
                answers.pop();
            }
            _ => {}
        }
        Json(good).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulators::Server;
    use reqwest::Client;

    #[tokio::test]
    async fn it_can_be_told_over_http_how_to_behave_and_tells_what_it_was_asked() {
        let simulator = Simulator::new(People::default(), None);
        let server = Server::start("127.0.0.1:0".parse().unwrap(), simulator.router()).await.unwrap();
        let (http, base) = (Client::new(), format!("http://{}", server.address()));
        let ask = || async {
            let question = json!({ "personen": [{ "skn": "1" }] });
            http.post(format!("{base}/v1/feiten")).json(&question).send().await.unwrap()
        };
        let how = json!({ "behaviour": "down", "times": 1 });
        let told = http.put(format!("{base}/admin/behaviour")).json(&how).send().await.unwrap();
        assert_eq!(told.status(), StatusCode::NO_CONTENT);
        assert_eq!(ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
        let answer: Value = ask().await.json().await.unwrap();
        assert_eq!(answer, json!({ "antwoorden": [{ "bekend": false }] }));
        let seen: Seen = http.get(format!("{base}/admin/seen")).send().await.unwrap().json().await.unwrap();
        assert_eq!((seen.facts_requests, seen.persons, seen.data_requests), (2, 2, 0));
    }

    #[tokio::test]
    async fn a_question_that_does_not_fit_its_schema_is_refused() {
        let simulator = Simulator::new(People::default(), None);
        let server = Server::start("127.0.0.1:0".parse().unwrap(), simulator.router()).await.unwrap();
        let table = [
            ("feiten", json!({ "personen": [{}] })),
            ("feiten", json!({ "personen": vec![json!({ "skn": "1" }); 101] })),
            ("feiten", json!({ "personen": [{ "bsn": "123456789" }] })),
            ("gegevens", json!({ "persoon": { "skn": "1" }, "categorieen": [] })),
            ("gegevens", json!({ "persoon": { "skn": "1" }, "categorieen": ["hobby"] })),
        ];
        for (path, question) in table {
            let url = format!("http://{}/v1/{path}", server.address());
            let answer = Client::new().post(url).json(&question).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{question}");
        }
    }
}
