//! Walks the whole log and everything that it covers, from front to back in little memory, and names each place that is
//! not as it was signed. Changes nothing; needs the ledger's keys only to see whose entries are whose.

mod entries;
mod tiles;

use super::Error;
use super::entry::Kind;
use super::head::{self, Head, Statement};
use super::tree::{Edge, Hash, WIDTH};
use crate::code::Code;
use crate::ledger::{Keys, Ledger, LogReader};
use crate::receipt::keys::KeySet;
use crate::record::Pseudonym;
use serde::Serialize;
use std::collections::HashSet;
use std::ops::Range;

/// Findings that are told; the others are counted.
const MOST: usize = 1000;
const HOUR: i64 = 3600 * 1_000_000;
const PAGE: usize = 512;

/// One place that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: Code,
    pub table: &'static str,
    pub field: &'static str,
    /// In the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The receipt, or the key of the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    pub detail: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}.{}", self.code, self.table, self.field)?;
        if let Some(position) = self.position {
            write!(f, " entry {position}")?;
        }
        if let Some(record) = &self.record {
            write!(f, " of {record}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub size: u64,
    pub entries: u64,
    /// Entries that went after their term, and are accounted for.
    pub purged: u64,
    /// Entries whose person was forgotten.
    pub anonymous: u64,
    pub heads: u64,
    /// Records that are not in the tree yet.
    pub pending: u64,
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub more: u64,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < MOST { self.findings.push(finding) } else { self.more += 1 }
    }
}

/// What the log is held against.
#[derive(Debug)]
pub struct Measure<'a> {
    /// That verify heads and receipts.
    pub keys: &'a KeySet,
    /// That open the keys of persons.
    pub ledger: &'a Keys,
    /// A head that was kept elsewhere.
    pub since: Option<Statement>,
    /// What ended before then may be gone, in microseconds.
    pub kept_since: i64,
}

/// What one walk knows on its way.
struct Walk<'a> {
    log: LogReader,
    measure: &'a Measure<'a>,
    report: Report,
    /// Sorted: positions whose entries a purge says are gone.
    gone: Vec<Range<u64>>,
    /// Entries that have a person of whom the tables know nothing: the first of them, for when nobody was forgotten.
    nameless: Vec<u64>,
    /// Persons whose key is not there, as was told.
    unknown: HashSet<Pseudonym>,
}

fn changed(table: &'static str, field: &'static str, detail: impl Into<String>) -> Finding {
    Finding { code: Code::LogChanged, table, field, position: None, record: None, detail: detail.into() }
}

/// `progress` hears of how many leaves of how many it has seen.
pub async fn walk(
    ledger: &Ledger,
    measure: &Measure<'_>,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<Report, Error> {
    let log = ledger.log().await?;
    let (gone, nameless, unknown) = (Vec::new(), Vec::new(), HashSet::new());
    let mut walk = Walk { log, measure, report: Report::default(), gone, nameless, unknown };
    progress(0, 0);
    for line in walk.log.damage().await? {
        walk.report.find(changed("file", "pages", line));
    }
    let mut heads = walk.heads().await?;
    let size = heads.iter().map(|head| head.size).max().unwrap_or(0);
    walk.report.size = size;
    if let Some(since) = &measure.since {
        if since.size > size {
            let detail = format!("the head that you hold is of {} entries, of which {size} are left", since.size);
            walk.report.find(changed("log_head", "size", detail));
        } else {
            heads.push(Claim { size: since.size, root: since.root, held: true });
        }
    }
    heads.sort_by_key(|head| head.size);
    walk.read_gone().await?;
    walk.leaves(size, &heads, &mut progress).await?;
    walk.beyond(size).await?;
    walk.persons().await?;
    walk.records().await?;
    Ok(walk.report)
}

/// What a head says.
struct Claim {
    size: u64,
    root: Hash,
    /// By whoever asks, and not in the ledger.
    held: bool,
}

impl Walk<'_> {
    /// Each by itself: the columns beside its signed statement. Gives what is said, signed where that verifies.
    async fn heads(&mut self) -> Result<Vec<Claim>, Error> {
        let mut claims = Vec::new();
        let mut after = 0;
        loop {
            let page = self.log.heads(after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(claims) };
            after = last.size;
            for (head, hour) in &page {
                self.report.heads += 1;
                match head::verify(&head.jws, self.measure.keys) {
                    Ok(stated) => {
                        self.compare(head, *hour, &stated);
                        claims.push(Claim { size: stated.size, root: stated.root, held: false });
                    }
                    Err(error) => {
                        self.report.find(Finding {
                            code: Code::LogHeadWrong,
                            record: Some(format!("the head of {} entries", head.size)),
                            ..changed("log_head", "jws", error.to_string())
                        });
                        // The columns beside it still tell whether anything else was changed.
                        claims.push(Claim { size: head.size, root: head.root, held: false });
                    }
                }
            }
        }
    }

    fn compare(&mut self, head: &Head, hour: i64, stated: &Statement) {
        let fields = [
            ("size", head.size != stated.size),
            ("root", head.root != stated.root),
            ("at", head.time != stated.time),
            ("hour", hour != stated.time.as_microsecond().div_euclid(HOUR)),
        ];
        for (field, _) in fields.into_iter().filter(|(_, differs)| *differs) {
            let record = Some(format!("the head of {} entries", stated.size));
            self.report.find(Finding { record, ..changed("log_head", field, "not what is signed in jws") });
        }
    }

    async fn read_gone(&mut self) -> Result<(), Error> {
        for (key, text) in self.log.gone().await? {
            for range in text.split(',') {
                let range = range
                    .split_once('-')
                    .and_then(|(first, last)| Some(first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?));
                match range {
                    Some(range) => self.gone.push(range),
                    None => self.report.find(Finding {
                        record: Some(key.to_string()),
                        ..changed("purge", "entries", "not a list of positions")
                    }),
                }
            }
        }
        self.gone.sort_by_key(|range| range.start);
        Ok(())
    }

    fn is_gone(&self, position: u64) -> bool {
        let after = self.gone.partition_point(|range| range.start <= position);
        self.gone[..after].iter().rev().take(1).any(|range| range.contains(&position))
    }

    /// Tile by tile: the entries in it, its hashes, and every head on the way.
    async fn leaves(
        &mut self,
        size: u64,
        heads: &[Claim],
        progress: &mut (impl FnMut(u64, u64) + Send),
    ) -> Result<(), Error> {
        let mut edge = Edge::default();
        let mut heads = heads.iter().peekable();
        while edge.size() < size {
            progress(edge.size(), size);
            let from = edge.size();
            let to = size.min(from + WIDTH as u64);
            let stored = self.stored_tile((0, from / WIDTH as u64)).await?;
            let made = self.entries(from, to, &stored).await?;
            let hashes = self.tile(&edge, made, stored, size, heads.clone()).await?;
            for hash in hashes {
                edge.push(hash);
                while let Some(head) = heads.next_if(|head| head.size <= edge.size()) {
                    self.hold(head, &edge);
                }
            }
        }
        progress(size, size);
        Ok(())
    }

    fn hold(&mut self, head: &Claim, edge: &Edge) {
        if head.root == edge.root() {
            return;
        }
        let whose = if head.held { "the head that you hold" } else { "the signed head" };
        let detail = format!("{whose} of {} entries has another root: what is before it was rewritten", head.size);
        self.report.find(changed("log_tile", "hashes", detail));
    }

    /// Nothing lies behind the signed end.
    async fn beyond(&mut self, size: u64) -> Result<(), Error> {
        let (count, first) = self.log.beyond(size).await?;
        if let Some(position) = first {
            let detail = format!("{count} entries from here on are covered by no signed head");
            self.report.find(Finding { position: Some(position), ..changed("log_entry", "position", detail) });
        }
        let expected = tiles::expected(size);
        let stored = self.log.tile_count().await?;
        if stored != expected {
            let detail = format!("{stored} tiles, where the tree has {expected}");
            self.report.find(changed("log_tile", "number", detail));
        }
        Ok(())
    }

    /// Their keys open, and no more entries lost their person than forgetting accounts for.
    async fn persons(&mut self) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.log.all_person_keys(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.pseudonym);
            for key in &page {
                if let Err(error) = self.measure.ledger.open_person_key(key) {
                    let detail = format!("the key of a person does not open: {error}");
                    self.report.find(changed("person_key", "key or pseudonym", detail));
                }
            }
        }
        let forgotten = self.log.forgotten().await?;
        if i64::try_from(self.report.anonymous).unwrap_or(i64::MAX) > forgotten {
            let which: Vec<_> = self.nameless.iter().map(u64::to_string).collect();
            let detail = format!(
                "{} entries have a person of whom the tables know nothing, and {forgotten} were made so by forgetting; \
                 the first: {}",
                self.report.anonymous,
                which.join(", ")
            );
            let position = self.nameless.first().copied();
            self.report.find(Finding { position, ..changed("message", "subject_bsn or subject_skn", detail) });
        }
        Ok(())
    }

    /// Nothing was passed over.
    async fn records(&mut self) -> Result<(), Error> {
        let last = self.log.last().await?;
        for (kind, last) in Kind::ALL.into_iter().zip(last) {
            for (key, receipt) in self.log.passed_over(kind, last, MOST).await? {
                let record = receipt.map_or_else(|| key.to_string(), |id| id.to_string());
                let finding = changed(kind.as_str(), "key", "not in the log, although later ones are");
                self.report.find(Finding { code: Code::NotLogged, record: Some(record), ..finding });
            }
        }
        self.report.pending = self.log.new_records(last, 100_000).await?.len() as u64;
        Ok(())
    }
}
