//! Questions about facts that wait at the same time go out together. While IRIS works on a few requests,
//! questions collect; whenever one is done, all that wait go in the next. Nobody waits for company.

use super::call::Call;
use super::{Iris, wire};
use crate::facts::{Facts, Person, Unavailable};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// As `schemas/iris/feiten-vraag.schema.json` allows.
const MOST_PERSONS: usize = 100;
const REQUESTS_AT_ONCE: usize = 4;
/// More is not what IRIS has to say about so many persons.
const MOST_BYTES: usize = 16 * super::MOST_BYTES_PER_PERSON;

#[derive(Debug)]
pub struct Question {
    pub person: Person,
    pub traceparent: Option<String>,
    pub answer: oneshot::Sender<Result<Facts, Unavailable>>,
}

/// Until nobody can ask any more.
pub async fn run(iris: Arc<Iris>, mut questions: mpsc::Receiver<Question>) {
    let slots = Arc::new(Semaphore::new(REQUESTS_AT_ONCE));
    while let Ok(slot) = slots.clone().acquire_owned().await {
        let mut batch = Vec::new();
        if questions.recv_many(&mut batch, MOST_PERSONS).await == 0 {
            return;
        }
        let iris = iris.clone();
        tokio::spawn(async move {
            ask(&iris, batch).await;
            drop(slot);
        });
    }
}

async fn ask(iris: &Iris, mut batch: Vec<Question>) {
    batch.retain(|question| !question.answer.is_closed());
    if batch.is_empty() {
        return;
    }
    let call = Call {
        path: "/v1/feiten",
        body: wire::facts_question(batch.iter().map(|question| &question.person)),
        answer_limit: MOST_BYTES.min(batch.len() * super::MOST_BYTES_PER_PERSON),
        traces: batch.iter().filter_map(|question| question.traceparent.as_deref()).collect(),
    };
    let answers = iris.connection.make(call, |bytes| iris.schemas.read_facts(bytes, batch.len())).await;
    // Sending fails only where nobody waits for the answer any more.
    match answers {
        Ok(answers) => batch.into_iter().zip(answers).for_each(|(question, answer)| {
            let _ = question.answer.send(answer);
        }),
        Err(unavailable) => batch.into_iter().for_each(|question| {
            let _ = question.answer.send(Err(unavailable.clone()));
        }),
    }
}
