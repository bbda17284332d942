//! Forgets what has been kept for long enough, at a pace that nobody notices. What that is, the ledger knows.

use super::Gateway;
use crate::code::Code;
use crate::config::{Config, Retention};
use crate::facts::TIME_ZONE;
use crate::ledger::{Ledger, Purge};
use jiff::{Timestamp, ToSpan};
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(3600);
/// Messages that go in one commit, which costs a few milliseconds, and how soon the next ones go: at most 500 a
/// second, more than come in over a day.
const AT_ONCE: usize = 128;
const PAUSE: Duration = Duration::from_millis(250);

impl Gateway {
    /// Until the gateway stops.
    pub(super) async fn forget(self: Arc<Self>, config: Arc<Config>) {
        let mut interval = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = self.stopping.cancelled() => return,
            }
            let pass = pass(&self.ledger, &config.retention, Timestamp::now(), PAUSE);
            match self.stopping.run_until_cancelled(pass).await {
                Some(Err(error)) => {
                    tracing::warn!(%error, code = %Code::LedgerUnavailable, "what is past its term is not forgotten yet");
                }
                Some(Ok(0)) | None => {}
                Some(Ok(count)) => tracing::info!(count, "what is past its term was forgotten"),
            }
        }
    }
}

/// Everything that is past its term now.
async fn pass(
    ledger: &Ledger,
    terms: &Retention,
    now: Timestamp,
    pause: Duration,
) -> Result<usize, crate::ledger::Error> {
    let mut all = 0;
    for what in Purge::ALL {
        let Some(before) = before(what, terms, now) else { continue };
        let mut next = Some(0);
        while let Some(after) = next {
            let purged = ledger.purge(what, before, now, after, AT_ONCE).await?;
            (all, next) = (all + purged.count, purged.next);
            if next.is_some() {
                tokio::time::sleep(pause).await;
            }
        }
    }
    Ok(all)
}

/// Terms are by the Dutch calendar.
fn before(what: Purge, terms: &Retention, now: Timestamp) -> Option<Timestamp> {
    let term = match what {
        Purge::Traffic => i64::from(terms.traffic_months.get()).months(),
        Purge::Log | Purge::Actions | Purge::Records | Purge::Entries | Purge::Persons => {
            i64::from(terms.log_years.get()).years()
        }
    };
    let before = now.in_tz(TIME_ZONE).and_then(|now| now.checked_sub(term));
    before.inspect_err(|error| tracing::error!(%error, "a term of retention")).map(|before| before.timestamp()).ok()
}

#[cfg(test)]
mod tests;
