//! Start and stop.

use super::Gateway;
use crate::config::Config;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the ledger cannot be opened: {0}")]
    Ledger(#[from] crate::ledger::Error),
}

#[allow(clippy::todo, clippy::unused_async, unused_variables)]
pub async fn run(config: Config) -> Result<(), Error> {
    let _: Option<Gateway> = None;
    todo!()
}
