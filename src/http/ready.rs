//! Readiness: whether each part that the gateway needs is there now. Asks nobody anything; only looks.

use crate::telemetry::metrics::Metrics;
use serde::Serialize;
use std::fmt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Tells whether one part is there; called with every question, so it must be quick.
pub struct Probe(Box<dyn Fn() -> bool + Send + Sync>);

impl Probe {
    pub fn new(is_there: impl Fn() -> bool + Send + Sync + 'static) -> Probe {
        Probe(Box::new(is_there))
    }
    fn is_there(&self) -> bool {
        (self.0)()
    }
}

impl From<watch::Receiver<bool>> for Probe {
    fn from(is_there: watch::Receiver<bool>) -> Probe {
        Probe::new(move || *is_there.borrow())
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_there() { "there" } else { "missing" })
    }
}

#[derive(Debug)]
pub struct Ready {
    /// Consumers are connected to a broker.
    pub intake: Probe,
    /// The publisher is connected to a broker.
    pub publish: Probe,
    /// The ledger takes writes.
    pub ledger: Probe,
    /// IRIS is asked: its breaker is not open. Without it what needs facts waits, and the rest goes on.
    pub iris: Probe,
    /// What is recorded comes into the disclosure log in time. It is recorded whether or not it does.
    pub log: Probe,
    /// The gateway drains and takes nothing in.
    pub stopping: CancellationToken,
}

#[derive(Serialize)]
pub(super) struct Parts {
    broker_intake: &'static str,
    broker_publish: &'static str,
    ledger: &'static str,
    iris: &'static str,
    log: &'static str,
    gateway: &'static str,
}

impl Ready {
    pub(super) fn parts(&self) -> Parts {
        let up = |probe: &Probe| if probe.is_there() { "up" } else { "down" };
        Parts {
            broker_intake: up(&self.intake),
            broker_publish: up(&self.publish),
            ledger: up(&self.ledger),
            iris: if self.iris.is_there() { "up" } else { "degraded" },
            log: if self.log.is_there() { "up" } else { "degraded" },
            gateway: if self.stopping.is_cancelled() { "stopping" } else { "up" },
        }
    }

    pub fn has_iris(&self) -> bool {
        self.iris.is_there()
    }

    /// The parts without which nothing can be taken in.
    pub fn missing(&self) -> Vec<&'static str> {
        let needed = [
            ("broker_intake", self.intake.is_there()),
            ("broker_publish", self.publish.is_there()),
            ("ledger", self.ledger.is_there()),
            ("gateway", !self.stopping.is_cancelled()),
        ];
        needed.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect()
    }

    pub fn measure(&self, metrics: &Metrics) {
        metrics.connected("intake", self.intake.is_there());
        metrics.connected("publish", self.publish.is_there());
        metrics.breaker_open(!self.iris.is_there());
        metrics.ledger_writable(self.ledger.is_there());
    }
}
