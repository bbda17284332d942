//! Reload: the files are read anew and looked at as a whole, and only a good set takes the place of the old one.
//! What is in flight ends under the set that it began with. Nothing is connected or sent in here.

use super::Gateway;
use crate::catalogue::Finding;
use crate::core::Pipeline;
use crate::telemetry::metrics::Metrics;
use std::fmt;
use std::sync::{Arc, PoisonError};

type ReadFiles = dyn Fn() -> Result<Pipeline, Vec<Finding>> + Send + Sync;

/// How the files are read that make a pipeline.
pub struct Read(pub Box<ReadFiles>);

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Read")
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reloaded {
    /// The new set is not good: the old one goes on.
    Refused,
    /// Nothing in the files is different.
    Same,
    Rules,
    /// Also the partner directory.
    WithPartners,
}

impl Reloaded {
    fn as_str(self) -> &'static str {
        match self {
            Reloaded::Refused => "refused",
            Reloaded::Same => "same",
            Reloaded::Rules | Reloaded::WithPartners => "ok",
        }
    }
}

impl Gateway {
    pub(super) fn reload(&self, read: &Read) -> Reloaded {
        // It takes as long as a start does; the other tasks go on meanwhile.
        let reloaded = match tokio::task::block_in_place(&read.0) {
            Ok(pipeline) => self.take_over(pipeline),
            Err(findings) => {
                for finding in findings {
                    let (code, finding) = (finding.problem.code, finding.to_string());
                    tracing::error!(%code, finding, "the files do not load: the rules stay as they are");
                }
                Reloaded::Refused
            }
        };
        self.metrics.reloaded(reloaded.as_str());
        reloaded
    }

    fn take_over(&self, new: Pipeline) -> Reloaded {
        let old = self.pipeline();
        let versions = |pipeline: &Pipeline| (pipeline.engine.version.clone(), pipeline.mapping_version());
        let (before, now) = (versions(&old), versions(&new));
        if before == now {
            tracing::info!(policy = now.0, mapping = now.1, "nothing in the files is different");
            return Reloaded::Same;
        }
        tell(&self.metrics, &new);
        let other_partners = old.directory.version() != new.directory.version();
        *self.pipeline.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        tracing::info!(
            policy = now.0,
            mapping = now.1,
            policy_before = before.0,
            mapping_before = before.1,
            "new rules"
        );
        if other_partners { Reloaded::WithPartners } else { Reloaded::Rules }
    }
}

/// What is measured goes by the types and versions of now.
pub(super) fn tell(metrics: &Metrics, pipeline: &Pipeline) {
    let kinds = pipeline.catalogue.types().map(|kind| kind.kind.clone()).collect();
    metrics.rules(kinds, &pipeline.engine.version, &pipeline.mapping_version());
}
