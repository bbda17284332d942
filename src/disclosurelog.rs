//! Disclosure log: every receipt, every action of a person and every purge as a leaf of one tree, whose signed heads
//! anybody can hold against it. Entries hold digests and names only: no content, and no person but under a key of his
//! own. No SQL in here; what is stored is the ledger's.

pub mod append;
pub mod entry;
pub mod head;
pub mod prove;
pub mod tree;
pub mod verify;

use crate::code::Code;
use crate::ledger;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// Going on would sign a tree that does not continue the one that was signed before.
    #[error("{}: the tree in the ledger is not the one that was signed", Code::LogDamaged)]
    Damaged,
    #[error("a key for a person cannot be used: {0}")]
    Keys(#[from] ledger::SealError),
}

impl Error {
    pub fn code(&self) -> Code {
        match self {
            Error::Ledger(_) => Code::LedgerUnavailable,
            Error::Damaged => Code::LogDamaged,
            Error::Keys(_) => Code::PayloadUnreadable,
        }
    }
}

#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;
