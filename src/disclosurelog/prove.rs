//! Proofs for outsiders: that a receipt is in the log, and that a newer log continues an older one. Made out of what is
//! stored, and checked by who has neither the ledger nor its keys.

use super::Error;
use super::entry::{DigestKey, Entry};
use super::head::{self, Statement, base64, from_base64};
use super::tree::{Hash, Plan, is_consistent, leaf_hash, root_from_inclusion};
use crate::ledger::{Ledger, LogReader};
use crate::receipt::keys::{KeySet, VerifyError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// That a receipt is in the tree of a signed head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// The very text of the leaf.
    pub entry: String,
    /// With it, the digests in the entry can be made again. For those only who have the receipt.
    pub digest_key: String,
    pub position: u64,
    pub size: u64,
    pub path: Vec<String>,
    pub head: String,
}

/// That the tree of size `to` continues the one of size `from`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    pub from: u64,
    pub to: u64,
    pub path: Vec<String>,
    /// Of the tree of size `to`, where that is the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// `None` where the log is still empty.
pub async fn newest_head(ledger: &Ledger) -> Result<Option<String>, Error> {
    Ok(ledger.log().await?.newest_head().await?.map(|head| head.jws))
}

/// `None` where the receipt is not in the log: not yet, or not any more.
pub async fn inclusion(ledger: &Ledger, receipt: Uuid) -> Result<Option<Inclusion>, Error> {
    let mut log = ledger.log().await?;
    let (Some(entry), Some(head)) = (log.entry_of(receipt).await?, log.newest_head().await?) else { return Ok(None) };
    let plan = Plan::inclusion(entry.position, head.size).ok_or(Error::Damaged)?;
    let path = path(&mut log, &plan).await?;
    let leaf = leaf_hash(entry.content.as_bytes());
    // A proof that proves nothing would only be found out elsewhere.
    if root_from_inclusion(leaf, entry.position, head.size, &path) != Some(head.root) {
        return Err(Error::Damaged);
    }
    Ok(Some(Inclusion {
        entry: entry.content,
        digest_key: base64(&entry.digest_key),
        position: entry.position,
        size: head.size,
        path: path.iter().map(base64).collect(),
        head: head.jws,
    }))
}

/// `None` where there are no such trees; `to` is the newest one where it is not given.
pub async fn consistency(ledger: &Ledger, from: u64, to: Option<u64>) -> Result<Option<Consistency>, Error> {
    let mut log = ledger.log().await?;
    let Some(head) = log.newest_head().await? else { return Ok(None) };
    let to = to.unwrap_or(head.size);
    let Some(plan) = Plan::consistency(from, to).filter(|_| to <= head.size) else { return Ok(None) };
    let path = path(&mut log, &plan).await?.iter().map(base64).collect();
    Ok(Some(Consistency { from, to, path, head: (to == head.size).then_some(head.jws) }))
}

async fn path(log: &mut LogReader, plan: &Plan) -> Result<Vec<Hash>, Error> {
    let tiles = log.tiles(plan.places()).await?;
    plan.path(&tiles).ok_or(Error::Damaged)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the head: {0}")]
    Head(#[from] VerifyError),
    #[error("the path does not lead from the entry to the root that is signed")]
    Path,
    #[error("the entry is not one of this receipt")]
    Receipt,
    #[error("the proof is not of the size that is signed")]
    Size,
}

/// What is signed, of the tree in which this very receipt is.
pub fn check_inclusion(proof: &Inclusion, receipt: &str, keys: &KeySet) -> Result<Statement, ProofError> {
    let stated = head::verify(&proof.head, keys)?;
    if stated.size != proof.size {
        return Err(ProofError::Size);
    }
    let path: Option<Vec<Hash>> = proof.path.iter().map(|hash| from_base64(hash)).collect();
    let leaf = leaf_hash(proof.entry.as_bytes());
    let root = root_from_inclusion(leaf, proof.position, proof.size, &path.ok_or(ProofError::Path)?);
    if root != Some(stated.root) {
        return Err(ProofError::Path);
    }
    let entry: Entry = serde_json::from_str(&proof.entry).map_err(|_| ProofError::Receipt)?;
    let key: DigestKey = from_base64(&proof.digest_key).ok_or(ProofError::Receipt)?;
    if !entry.is_digest_of(&key, receipt.trim().as_bytes()) {
        return Err(ProofError::Receipt);
    }
    Ok(stated)
}

/// Of two signed heads, that the second continues the first.
pub fn check_consistency(older: &Statement, newer: &Statement, path: &[String]) -> bool {
    let path: Option<Vec<Hash>> = path.iter().map(|hash| from_base64(hash)).collect();
    path.is_some_and(|path| is_consistent((older.size, older.root), (newer.size, newer.root), &path))
}
