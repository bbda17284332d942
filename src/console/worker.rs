//! Goes on with the jobs that run, each at its rate. Whoever holds one says so for a short while only, so that another
//! gateway on the same ledger goes on where this one ended.

use crate::ledger::{Error, Ledger, Running, What};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

const TICK: Duration = Duration::from_secs(1);
const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// Never ends by itself; stopping between two deliveries loses nothing.
pub async fn work(ledger: &Ledger, holder: &str) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let running = ledger.running_jobs().await.unwrap_or_default();
        for job in running {
            match go_on(ledger, &job, holder).await {
                // Another one holds it, or somebody stopped it.
                Ok(()) | Err(Error::NoSuchRow) => {}
                Err(error) => tracing::warn!(%error, job = job.key, "a job cannot go on now"),
            }
        }
    }
}

/// As many as may go in one tick.
async fn go_on(ledger: &Ledger, job: &Running, holder: &str) -> Result<(), Error> {
    let limit = usize::try_from(job.rate).unwrap_or(1);
    let items = ledger.take_of_job(job.key, holder, LEASE, limit).await?;
    let why = format!("opdracht {}: {}", job.key, job.why);
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        let now = Timestamp::now();
        let done = match job.what {
            What::Replay => ledger.replay_as_seen(item.delivery, item.seen, &job.who, &why, now).await,
            What::Discard => ledger.discard_as_seen(item.delivery, item.seen, &job.who, &why, now).await,
        };
        match done {
            Ok(()) => results.push((item.place, true)),
            Err(Error::NoSuchRow) => results.push((item.place, false)),
            // What is not marked is looked at again.
            Err(_) => break,
        }
    }
    if results.is_empty() { Ok(()) } else { ledger.mark_of_job(job.key, results).await }
}
