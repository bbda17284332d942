//! The client of IRIS, the case system of the probation service. Asks anew for every message, and keeps no
//! answer; what does not fit its schema is no answer.

mod batch;
mod breaker;
mod call;
mod wire;

pub use wire::Schemas;

use super::{CaseData, Facts, Person, Unavailable};
use crate::category::CategorySet;
use crate::tls::Outgoing;
use crate::{config, httpclient};
use call::{Call, Connection};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};

const MOST_BYTES_PER_PERSON: usize = 1024 * 1024;
/// Questions that may collect before whoever asks must wait; a little above the messages worked on at once.
const MOST_WAITING: usize = 1024;
const CASE_DATA_AT_ONCE: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("iris: {0}")]
    Http(#[from] httpclient::Error),
    #[error("iris: base_url is not a URL")]
    BaseUrl,
    #[error("iris: the token holds characters that cannot stand in a header")]
    Token,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Client {
    iris: Arc<Iris>,
    questions: mpsc::Sender<batch::Question>,
}

struct Iris {
    connection: Connection,
    schemas: Schemas,
    case_data: Semaphore,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("connection", &self.iris.connection).finish_non_exhaustive()
    }
}

impl Client {
    /// Starts a task that sends the questions: to be called within a runtime. It ends with the last clone.
    pub fn new(config: &config::Iris, schemas: Schemas) -> Result<Client, Error> {
        let connection = Connection::new(config)?;
        let iris = Arc::new(Iris { connection, schemas, case_data: Semaphore::new(CASE_DATA_AT_ONCE) });
        let (questions, waiting) = mpsc::channel(MOST_WAITING);
        tokio::spawn(batch::run(iris.clone(), waiting));
        Ok(Client { iris, questions })
    }

    pub async fn facts(&self, person: Person, traceparent: Option<&str>) -> Result<Facts, Unavailable> {
        if !wire::can_be_asked(&person) {
            return Err(Unavailable::Invalid);
        }
        let (answer, answered) = oneshot::channel();
        let question = batch::Question { person, traceparent: traceparent.map(str::to_owned), answer };
        self.questions.send(question).await.map_err(|_| Unavailable::Unreachable)?;
        answered.await.unwrap_or(Err(Unavailable::Unreachable))
    }

    /// What IRIS has in the given categories, and nothing of any other.
    pub async fn case_data(
        &self,
        person: Person,
        categories: CategorySet,
        traceparent: Option<&str>,
    ) -> Result<CaseData, Unavailable> {
        if categories.is_empty() {
            return Ok(CaseData::default());
        }
        if !wire::can_be_asked(&person) {
            return Err(Unavailable::Invalid);
        }
        let Iris { connection, schemas, case_data } = &*self.iris;
        let call = Call {
            path: "/v1/gegevens",
            body: wire::case_data_question(&person, categories),
            answer_limit: MOST_BYTES_PER_PERSON,
            traces: traceparent.into_iter().collect(),
        };
        let _slot = case_data.acquire().await;
        connection.make(call, |bytes| schemas.read_case_data(bytes, categories)).await
    }

    /// What of the connection is in files, to be read anew when these change.
    pub fn certificates(&self) -> Arc<Outgoing> {
        self.iris.connection.certificates()
    }

    /// Is IRIS left alone after failures? Messages that need it wait meanwhile.
    pub fn breaker_open(&self) -> bool {
        self.iris.connection.breaker_open()
    }
}

#[cfg(test)]
mod tests;
