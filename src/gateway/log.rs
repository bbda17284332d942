//! The gateway lets the disclosure log grow every few seconds, and says when it does not. What comes into it, the log
//! itself knows.

use super::Gateway;
use crate::disclosurelog::append::{AT_ONCE, Appender};
use crate::disclosurelog::{Error, prove};
use crate::http::{Answer, Question};
use crate::ledger::{Keys, Ledger};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How often a head is signed, where there is something new.
const EVERY: Duration = Duration::from_secs(2);
/// Between one commit and the next where there is much to catch up with.
const PAUSE: Duration = Duration::from_millis(50);

impl Gateway {
    /// Until the gateway stops. What is recorded after that comes into the tree at the next start.
    pub(super) async fn extend_log(self: Arc<Self>, keys: Keys) {
        let mut appender = Appender::new(&self.ledger, &self.signer, &self.issuer, &keys, &self.log);
        match self.stopping.run_until_cancelled(appender.reseal()).await {
            Some(Ok(0)) | None => {}
            Some(Ok(count)) => tracing::info!(count, "keys of persons are sealed under the current key of the ledger"),
            Some(Err(error)) => {
                tracing::error!(%error, code = %error.code(), "keys of persons stay under an older key of the ledger");
            }
        }
        let mut interval = tokio::time::interval(EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failed = false;
        while self.stopping.run_until_cancelled(interval.tick()).await.is_some() {
            match self.stopping.run_until_cancelled(catch_up(&mut appender)).await {
                None => return,
                Some(Ok(())) => failed = false,
                // Told once; the metrics say how long it lasts.
                Some(Err(_)) if failed => {}
                Some(Err(error)) => {
                    failed = true;
                    tracing::error!(%error, code = %error.code(), "the disclosure log does not grow");
                }
            }
        }
    }
}

async fn catch_up(appender: &mut Appender<'_>) -> Result<(), Error> {
    while appender.step(Timestamp::now()).await? == AT_ONCE {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// What is asked of the log over HTTP.
pub(super) async fn answer(ledger: &Ledger, question: Question) -> Result<Option<Answer>, Error> {
    let json = |value: Option<Value>| value.map(Answer::Json);
    Ok(match question {
        Question::Head => prove::newest_head(ledger).await?.map(Answer::Head),
        Question::Inclusion(receipt) => {
            json(prove::inclusion(ledger, receipt).await?.map(|proof| serde_json::json!(proof)))
        }
        Question::Consistency(from, to) => {
            json(prove::consistency(ledger, from, to).await?.map(|proof| serde_json::json!(proof)))
        }
    })
}
