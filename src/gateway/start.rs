//! Start and stop.

use super::Gateway;
use crate::config::Config;
use crate::core::Pipeline;
use crate::receipt::keys::{KeySet, Signer};

/// What was read and found good before anything is connected.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub pipeline: Pipeline,
    pub signer: Signer,
    /// The signing key, and those that sign no longer.
    pub keys: KeySet,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the ledger cannot be opened: {0}")]
    Ledger(#[from] crate::ledger::Error),
}

#[allow(clippy::todo, clippy::unused_async, unused_variables)]
pub async fn run(loaded: Loaded) -> Result<(), Error> {
    let _: Option<Gateway> = None;
    todo!()
}
