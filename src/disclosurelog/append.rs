//! The log grows here: what is new in the ledger becomes leaves, in the order in which it came, and a head is signed
//! over them. Off the hot path: it reads beside the ledger's writer, and hands it what is ready to be stored.

use super::Error;
use super::entry::Entry;
use super::head::Head;
use super::tree::{Edge, Tile, WIDTH, leaf_hash};
use crate::ledger::{Extension, Keys, Last, Ledger, LogReader, Logged, PersonKey, SealError, StoredEntry};
use crate::receipt::keys::Signer;
use crate::record::Pseudonym;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Leaves that come into the tree with one commit, which takes the ledger's writer a few milliseconds.
pub const AT_ONCE: usize = 256;
/// What is recorded is in a signed tree within this; if not, the log is behind, and says so.
pub const MOST_BEHIND: SignedDuration = SignedDuration::from_secs(60);
const MONTH: i64 = 30 * 24 * 3600 * 1_000_000;

/// How far the log is, for whoever asks.
#[derive(Debug)]
pub struct Progress {
    size: AtomicU64,
    /// When everything that there was came to be in the tree, in microseconds.
    caught_up: AtomicI64,
}

impl Progress {
    pub fn new(now: Timestamp) -> Progress {
        Progress { size: AtomicU64::new(0), caught_up: AtomicI64::new(now.as_microsecond()) }
    }

    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    pub fn behind(&self, now: Timestamp) -> SignedDuration {
        let caught_up = self.caught_up.load(Ordering::Relaxed);
        SignedDuration::from_micros(now.as_microsecond().saturating_sub(caught_up).max(0))
    }

    pub fn is_in_time(&self, now: Timestamp) -> bool {
        self.behind(now) <= MOST_BEHIND
    }
}

/// Where the tree ends, as this process knows it.
struct State {
    edge: Edge,
    last: Last,
}

pub struct Appender<'a> {
    ledger: &'a Ledger,
    signer: &'a Signer,
    issuer: &'a str,
    keys: &'a Keys,
    progress: &'a Progress,
    /// Read anew after every failure: another node may have gone on.
    state: Option<State>,
}

impl std::fmt::Debug for Appender<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appender").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Keys of persons that entries of one step need.
#[derive(Default)]
struct Persons {
    opened: HashMap<Pseudonym, Vec<u8>>,
    new: BTreeMap<[u8; 16], PersonKey>,
    used: BTreeMap<[u8; 16], PersonKey>,
}

impl<'a> Appender<'a> {
    pub fn new(
        ledger: &'a Ledger,
        signer: &'a Signer,
        issuer: &'a str,
        keys: &'a Keys,
        progress: &'a Progress,
    ) -> Appender<'a> {
        Appender { ledger, signer, issuer, keys, progress, state: None }
    }

    /// At most [`AT_ONCE`] leaves; fewer where nothing waits any more. All of it is stored, with its head, or none.
    pub async fn step(&mut self, now: Timestamp) -> Result<usize, Error> {
        let mut log = self.ledger.log().await?;
        let state = match self.state.take() {
            Some(state) => state,
            None => load(&mut log).await?,
        };
        let records = log.new_records(state.last, AT_ONCE).await?;
        let count = records.len();
        let mut state = state;
        if count > 0 {
            let persons = self.persons(&mut log, &records).await?;
            drop(log);
            let extension = self.extension(&mut state, records, persons, now)?;
            self.ledger.extend_log(extension).await?;
        }
        self.progress.size.store(state.edge.size(), Ordering::Relaxed);
        if count < AT_ONCE {
            self.progress.caught_up.store(now.as_microsecond(), Ordering::Relaxed);
        }
        self.state = Some(state);
        Ok(count)
    }

    fn extension(
        &self,
        state: &mut State,
        records: Vec<Logged>,
        persons: Persons,
        now: Timestamp,
    ) -> Result<Extension, Error> {
        let from = state.edge.size();
        let (mut entries, mut tiles) = (Vec::with_capacity(records.len()), Vec::new());
        for record in records {
            let mut digest_key = [0; 32];
            aws_lc_rs::rand::fill(&mut digest_key).map_err(|_| SealError::NoKey)?;
            let mut entry = Entry::of(&record, &digest_key);
            let subject = record.subject();
            let person = |pseudonym: Option<Pseudonym>| {
                let pseudonym = pseudonym?;
                Some(entry.person(persons.opened.get(&pseudonym)?, pseudonym))
            };
            (entry.person_bsn, entry.person_skn) = (person(subject.bsn), person(subject.skn));
            let content = entry.canonical();
            state.last[record.kind() as usize] = record.key();
            let position = state.edge.size();
            tiles.extend(state.edge.push(leaf_hash(content.as_bytes())));
            entries.push(StoredEntry {
                position,
                kind: record.kind().as_str().to_owned(),
                record: record.key(),
                at: entry.at().unwrap_or_default(),
                digest_key,
                content,
            });
        }
        tiles.extend(changed(from, state.edge.tiles()));
        let head = Head::sign(self.signer, self.issuer, state.edge.size(), state.edge.root(), now);
        let (new_persons, used_persons) = (persons.new.into_values().collect(), persons.used.into_values().collect());
        Ok(Extension { from, entries, tiles, head, new_persons, used_persons })
    }

    async fn persons(&self, log: &mut LogReader, records: &[Logged]) -> Result<Persons, Error> {
        let mut wanted: HashMap<Pseudonym, i64> = HashMap::new();
        for record in records {
            let at = match record {
                Logged::Receipt(receipt) => receipt.finished_at,
                Logged::Action(action) => action.at,
                Logged::Purge(_) => continue,
            };
            // No later than the end of that month.
            let used = (at.div_euclid(MONTH) + 1) * MONTH;
            for pseudonym in record.subject().pseudonyms() {
                wanted.entry(pseudonym).and_modify(|known| *known = used.max(*known)).or_insert(used);
            }
        }
        let mut known = log.person_keys(wanted.keys().copied().collect()).await?;
        let mut persons = Persons::default();
        for (pseudonym, used) in wanted {
            let opened = match known.remove(&pseudonym) {
                Some(key) => {
                    let opened = self.keys.open_person_key(&key)?;
                    if key.used < used {
                        persons.used.insert(pseudonym.0, PersonKey { used, ..key });
                    }
                    opened
                }
                None => {
                    let mut key = vec![0; 32];
                    aws_lc_rs::rand::fill(&mut key).map_err(|_| SealError::NoKey)?;
                    let sealed = self.keys.seal_person_key(pseudonym, key.clone())?;
                    persons.new.insert(pseudonym.0, PersonKey { pseudonym, sealed, used });
                    key
                }
            };
            persons.opened.insert(pseudonym, opened);
        }
        Ok(persons)
    }

    /// Seals under the current key what is under older ones, so that those can go. How many there were.
    pub async fn reseal(&self) -> Result<usize, Error> {
        let (mut after, mut count) = (None, 0);
        while self.keys.has_older() {
            let page = self.ledger.log().await?.all_person_keys(after, AT_ONCE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.pseudonym);
            let mut resealed = Vec::new();
            for key in page.into_iter().filter(|key| self.keys.is_sealed_under_older(key)) {
                let sealed = self.keys.seal_person_key(key.pseudonym, self.keys.open_person_key(&key)?)?;
                resealed.push((key, sealed));
            }
            if !resealed.is_empty() {
                count += resealed.len();
                self.ledger.reseal_persons(resealed).await?;
            }
        }
        Ok(count)
    }
}

/// Not those of upper levels that are as they were.
fn changed(from: u64, tiles: Vec<Tile>) -> impl Iterator<Item = Tile> {
    let before = Edge::places(from);
    tiles.into_iter().filter(move |tile| {
        let filled = (from >> (WIDTH.ilog2() * u32::from(tile.place.0))) as usize % WIDTH;
        !before.contains(&tile.place) || filled != tile.hashes.len()
    })
}

/// INVARIANT: what is signed continues what was signed: the tree that is stored must be the one of its newest head.
async fn load(log: &mut LogReader) -> Result<State, Error> {
    let last = log.last().await?;
    let Some(head) = log.newest_head().await? else { return Ok(State { edge: Edge::default(), last }) };
    let tiles = log.tiles(Edge::places(head.size)).await?;
    let edge = Edge::from_tiles(head.size, &tiles).filter(|edge| edge.root() == head.root);
    Ok(State { edge: edge.ok_or(Error::Damaged)?, last })
}
