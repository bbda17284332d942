//! Gateway: the rooms wired together. Each message walks the corridor once; what cannot end now waits in the
//! ledger and is taken up again from there.

mod certificates;
mod console;
mod intake;
mod log;
mod outbox;
mod processing;
mod protect;
mod receipts;
mod recipients;
mod reload;
mod retention;
mod series;
mod split;
mod start;
mod sweep;

pub use reload::Read;
pub use start::{Error, Loaded, run};

use crate::code::Code;
use crate::core::{Pipeline, Plan};
use crate::delivery;
use crate::disclosurelog;
use crate::envelope::{Envelope, RawMessage, Rejection};
use crate::facts::{Facts, Unavailable, iris};
use crate::ledger::{Ledger, Mark};
use crate::outcome::Outcome;
use crate::receipt::keys::Signer;
use crate::record::Subject;
use crate::telemetry::metrics::Metrics;
use jiff::Timestamp;
use series::Series;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// What every task shares.
pub(crate) struct Gateway {
    /// The set of rules of now; whoever works on a message keeps the one it began with.
    pipeline: RwLock<Arc<Pipeline>>,
    ledger: Ledger,
    signer: Signer,
    issuer: String,
    iris: iris::Client,
    publisher: delivery::amqp::Publisher,
    webhooks: delivery::webhook::Client,
    retries: delivery::Retries,
    /// One recipient that is slow or down holds up no other.
    gates: delivery::gate::Gates,
    room: recipients::Room,
    metrics: Metrics,
    /// Messages worked on at once; overload slows intake, never memory.
    in_flight: Arc<Semaphore>,
    /// And the bytes of those that came in.
    memory: crate::intake::Room,
    /// How many of them may come out of the ledger, so that there is always room for what comes in.
    resumed: Arc<Semaphore>,
    /// Something in the ledger is due before the clock says so.
    due: Notify,
    /// One list is split at a time: it is the one thing that is large in memory.
    lists: Semaphore,
    /// Receipts on their way at once.
    receipts_in_flight: Arc<Semaphore>,
    series: Series,
    log: Arc<disclosurelog::append::Progress>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// What became of a delivery for now.
type Became = (Outcome, Option<Code>);

/// Tells it on the current span: of many deliveries, the one that needs somebody most.
fn note_outcome(all: &[Became]) {
    let Some(outcome) = Outcome::most_pressing(all.iter().map(|(outcome, _)| *outcome)) else { return };
    let code = all.iter().find(|(of, _)| *of == outcome).and_then(|(_, code)| *code);
    crate::telemetry::note_outcome(outcome.as_str(), code);
}

/// How long a message waits for facts at first, where some of its recipients need none. Those that need them wait
/// in the ledger and are decided anew, with all the time that IRIS may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// A message after the core had its say.
enum Considered {
    Rejected(Box<Rejection>),
    /// With how far the records had come, where facts were needed.
    Planned(Box<Plan>, Option<Mark>),
    /// It is to be split.
    List(Box<Envelope>),
}

impl Gateway {
    fn pipeline(&self) -> Arc<Pipeline> {
        self.pipeline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The corridor, with the two questions to IRIS where a message needs them. Never fails: what cannot be
    /// known makes its recipients wait.
    async fn consider(&self, pipeline: &Pipeline, raw: &RawMessage, now: Timestamp, again: bool) -> Considered {
        use crate::telemetry::stage_span as stage;
        let valid = stage("envelope")
            .in_scope(|| pipeline.open(raw, now))
            .and_then(|envelope| stage("validation").in_scope(|| pipeline.validate(envelope, now)));
        let valid = match valid {
            Ok(valid) => valid,
            Err(rejection) => return Considered::Rejected(rejection),
        };
        if valid.kind().split.is_some() {
            return Considered::List(Box::new(valid.into_envelope()));
        }
        let person = valid.person();
        let needs_facts = pipeline.needs_facts(&valid, now);
        let subject = pipeline.subject(&person);
        let mark = if needs_facts { Some(self.ledger.mark(subject).await) } else { None };
        let facts = if needs_facts {
            let ask = async {
                let trace = crate::telemetry::current_traceparent();
                let asked = self.iris.facts(person.clone(), trace.as_deref());
                let nobody_else_waits = again || valid.kind().answer.is_some() || valid.kind().route.is_some();
                let known = self.known(match nobody_else_waits {
                    true => asked.await,
                    false => timeout(PATIENCE, asked).await.unwrap_or(Err(Unavailable::Timeout)),
                });
                self.with_records(known?, subject).await
            };
            ask.instrument(stage("facts")).await
        } else {
            None
        };
        let decided = stage("policy").in_scope(|| pipeline.decide(valid, facts.as_ref(), now));
        let wanted = decided.wanted();
        let data = if wanted.is_empty() {
            None
        } else {
            let ask = async {
                let trace = crate::telemetry::current_traceparent();
                self.known(self.iris.case_data(person, wanted, trace.as_deref()).await)
            };
            ask.instrument(stage("facts")).await
        };
        Considered::Planned(Box::new(pipeline.complete(&decided, data.as_ref())), mark)
    }

    /// What came by message goes with what IRIS says. Where that cannot be read, the facts are not known.
    async fn with_records(&self, facts: Facts, subject: Subject) -> Option<Facts> {
        let consents: Vec<String> = facts.toestemmingen.iter().map(|consent| consent.id.clone()).collect();
        let records = self.ledger.records(subject, &consents).await.ok()?;
        if !records.is_empty() {
            let traces = self.ledger.traces_of_records(subject).await.unwrap_or_default();
            traces.iter().for_each(|trace| crate::telemetry::link(trace));
        }
        let with = facts.with(&records);
        with.inspect_err(|error| tracing::error!(%error, code = %Code::FactsUnavailable, "facts are missing")).ok()
    }

    fn known<T>(&self, answer: Result<T, Unavailable>) -> Option<T> {
        match answer {
            Ok(known) => {
                self.metrics.facts_requested("ok");
                Some(known)
            }
            Err(unavailable) => {
                self.metrics.facts_requested("unavailable");
                crate::telemetry::note_failure("facts_unavailable");
                tracing::debug!(error = %unavailable, code = %Code::FactsUnavailable, "facts are missing");
                None
            }
        }
    }

    /// Runs a write to the ledger until it is done. Without the ledger nothing may go on; a message that is
    /// not recorded is not acknowledged, so giving up at the stop loses nothing.
    async fn until_recorded<T, F>(&self, mut write: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, crate::ledger::Error>>,
    {
        let mut pause = Duration::from_millis(50);
        loop {
            match write().await {
                Ok(done) => return Some(done),
                Err(crate::ledger::Error::Unavailable) => {}
                Err(other) => {
                    tracing::warn!(error = %other, "the ledger did not take a write");
                    return None;
                }
            }
            tracing::warn!(code = %Code::LedgerUnavailable, "the ledger cannot be written: waiting");
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
                () = self.stopping.cancelled() => return None,
            }
        }
    }
}
