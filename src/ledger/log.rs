//! How the disclosure log lies in the tables: what is still to come into the tree, and what is read of it. What entries
//! say and how trees are made is not known here; what changes is in [`write`].

pub(super) mod forget;
pub(super) mod write;

use super::rows::{Statement, Values};
use super::store::{Connection, Found, query};
use super::stored::{Columns, Result, bounded, timestamp, undecodable};
use super::{Error, Ledger, unavailable};
use crate::disclosurelog::entry::{DigestKey, Kind};
use crate::disclosurelog::head::Head;
use crate::disclosurelog::tree::{Place, Tiles};
use crate::record::{Pseudonym, Subject};
use std::collections::HashMap;
use uuid::Uuid;

/// A receipt, and what the tables say beside it.
#[derive(Clone, Debug)]
pub struct LoggedReceipt {
    pub key: i64,
    pub id: Uuid,
    pub jws: String,
    pub finished_at: i64,
    pub delivery: i64,
    pub outcome: Option<String>,
    pub recipient: Option<String>,
    pub role: Option<String>,
    pub kind: Option<String>,
    pub sender: Option<String>,
    pub policy_version: Option<String>,
    pub mapping_version: Option<String>,
    pub subject: Subject,
    /// Its delivery is one of its message.
    pub belongs: bool,
}

#[derive(Clone, Debug)]
pub struct LoggedAction {
    pub key: i64,
    pub delivery: Option<i64>,
    pub at: i64,
    pub who: String,
    pub what: String,
    pub why: String,
    pub subject: Subject,
}

#[derive(Clone, Debug)]
pub struct LoggedPurge {
    pub key: i64,
    pub what: String,
    pub before: i64,
    pub at: i64,
    pub count: i64,
    pub entries: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Logged {
    Receipt(Box<LoggedReceipt>),
    Action(LoggedAction),
    Purge(LoggedPurge),
}

impl Logged {
    pub fn kind(&self) -> Kind {
        match self {
            Logged::Receipt(_) => Kind::Receipt,
            Logged::Action(_) => Kind::Action,
            Logged::Purge(_) => Kind::Purge,
        }
    }

    pub fn key(&self) -> i64 {
        match self {
            Logged::Receipt(receipt) => receipt.key,
            Logged::Action(action) => action.key,
            Logged::Purge(purge) => purge.key,
        }
    }

    pub fn subject(&self) -> Subject {
        match self {
            Logged::Receipt(receipt) => receipt.subject,
            Logged::Action(action) => action.subject,
            Logged::Purge(_) => Subject::default(),
        }
    }
}

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    pub position: u64,
    pub kind: String,
    /// Of the receipt, the action or the purge.
    pub record: i64,
    pub at: i64,
    pub digest_key: DigestKey,
    pub content: String,
}

/// The key of a person, sealed, and the month in which it was used last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonKey {
    pub pseudonym: Pseudonym,
    pub sealed: Vec<u8>,
    pub used: i64,
}

macro_rules! receipts {
    ($first:literal, $from:literal) => {
        concat!(
            "SELECT ",
            $first,
            ", r.key, r.id, r.jws, coalesce(d.finished_at, 0), r.delivery, d.outcome, d.recipient, d.role, m.kind,",
            " m.sender, m.policy_version, m.mapping_version, m.subject_bsn, m.subject_skn,",
            " CAST(CASE WHEN r.delivery BETWEEN m.first_delivery AND m.last_delivery THEN 1 ELSE 0 END AS BIGINT) FROM ",
            $from,
            " LEFT JOIN delivery AS d ON d.key = r.delivery LEFT JOIN message AS m ON m.key = d.message "
        )
    };
}
macro_rules! actions {
    ($first:literal, $from:literal) => {
        concat!(
            "SELECT ",
            $first,
            ", a.key, a.delivery, a.at, a.who, a.what, a.why, a.subject_bsn, a.subject_skn FROM ",
            $from
        )
    };
}
macro_rules! purges {
    ($first:literal, $from:literal) => {
        concat!("SELECT ", $first, ", p.key, p.what, p.before, p.at, p.count, p.entries FROM ", $from)
    };
}

/// Keys are given out in the order of commits, and never twice: what is above the last one that is in the tree is not
/// in it, also where entries of what came between are purged.
const LAST: &str = "SELECT coalesce(max(record), 0) FROM log_entry WHERE kind = $1";
const NEW_RECEIPTS: &str =
    concat!(receipts!("CAST(0 AS BIGINT)", "receipt AS r"), "WHERE r.key > $1 ORDER BY r.key LIMIT $2");
const NEW_ACTIONS: &str =
    concat!(actions!("CAST(0 AS BIGINT)", "action AS a"), " WHERE a.key > $1 ORDER BY a.key LIMIT $2");
const NEW_PURGES: &str =
    concat!(purges!("CAST(0 AS BIGINT)", "purge AS p"), " WHERE p.key > $1 ORDER BY p.key LIMIT $2");
const RECEIPTS: &str = concat!(
    receipts!("e.position", "log_entry AS e JOIN receipt AS r ON r.key = e.record"),
    "WHERE e.position >= $1 AND e.position < $2 AND e.kind = 'receipt'"
);
const ACTIONS: &str = concat!(
    actions!("e.position", "log_entry AS e JOIN action AS a ON a.key = e.record"),
    " WHERE e.position >= $1 AND e.position < $2 AND e.kind = 'action'"
);
const PURGES: &str = concat!(
    purges!("e.position", "log_entry AS e JOIN purge AS p ON p.key = e.record"),
    " WHERE e.position >= $1 AND e.position < $2 AND e.kind = 'purge'"
);
/// What was passed over: no entry, although a later one has.
const PASSED_OVER: &str = "SELECT r.key, r.id FROM receipt AS r LEFT JOIN log_entry AS e ON e.kind = 'receipt' \
                           AND e.record = r.key WHERE e.position IS NULL AND r.key <= $1 ORDER BY r.key LIMIT $2";
const ACTIONS_PASSED_OVER: &str = "SELECT a.key FROM action AS a LEFT JOIN log_entry AS e \
                                   ON e.kind = 'action' AND e.record = a.key \
                                   WHERE e.position IS NULL AND a.key <= $1 ORDER BY a.key LIMIT $2";
const PURGES_PASSED_OVER: &str = "SELECT p.key FROM purge AS p LEFT JOIN log_entry AS e ON e.kind = 'purge' \
                                  AND e.record = p.key WHERE e.position IS NULL AND p.key <= $1 ORDER BY p.key LIMIT $2";
macro_rules! entries {
    ($condition:literal) => {
        concat!("SELECT e.position, e.kind, e.record, e.at, e.digest_key, e.content FROM log_entry AS e ", $condition)
    };
}
const ENTRIES: &str = entries!("WHERE e.position >= $1 AND e.position < $2 ORDER BY e.position");
const ENTRY_OF: &str = entries!("JOIN receipt AS r ON e.kind = 'receipt' AND e.record = r.key WHERE r.id = $1");
const HEADS: &str = "SELECT size, at, root, jws, hour FROM log_head WHERE size > $1 ORDER BY size LIMIT $2";
const NEWEST_HEAD: &str = "SELECT size, at, root, jws, hour FROM log_head ORDER BY size DESC LIMIT 1";
static TILES: Statement =
    Statement { head: "SELECT level, number, hashes FROM log_tile WHERE (level, number) IN", columns: 2, tail: "" };
static PERSON_KEYS: Statement =
    Statement { head: "SELECT pseudonym, key, used FROM person_key WHERE pseudonym IN", columns: 1, tail: "" };
const ALL_PERSON_KEYS: &str =
    "SELECT pseudonym, key, used FROM person_key WHERE pseudonym > $1 ORDER BY pseudonym LIMIT $2";
/// Which leaves have no entry any more, as far as it is on record; and how many entries lost their person.
const GONE: &str = "SELECT key, entries FROM purge WHERE entries IS NOT NULL ORDER BY key";
const FORGOTTEN: &str = "SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM purge WHERE what = 'person'";

/// How far each kind has come: the key of the last one that is in the tree.
pub type Last = [i64; 3];

impl Ledger {
    /// All that it reads is of one moment.
    pub async fn log(&self) -> Result<LogReader, Error> {
        let snapshot = self.readers.snapshot().await.map_err(unavailable)?;
        Ok(LogReader { snapshot })
    }
}

/// The log as it is at one moment.
#[derive(Debug)]
pub struct LogReader {
    snapshot: Connection,
}

impl LogReader {
    pub async fn newest_head(&mut self) -> Result<Option<Head>, Error> {
        let row = query(NEWEST_HEAD).fetch_optional(&mut self.snapshot).await.map_err(unavailable)?;
        row.as_ref().map(read_head).transpose().map(|head| head.map(|(head, _)| head)).map_err(unavailable)
    }

    /// Those of trees larger than `after`, with their hours.
    pub async fn heads(&mut self, after: u64, limit: usize) -> Result<Vec<(Head, i64)>, Error> {
        let query = query(HEADS).bind(signed(after)).bind(bounded(limit));
        let rows = query.fetch_all(&mut self.snapshot).await.map_err(unavailable)?;
        rows.iter().map(read_head).collect::<Result<_>>().map_err(unavailable)
    }

    pub async fn tiles(&mut self, places: Vec<Place>) -> Result<Tiles, Error> {
        let put = |(level, number): Place, values: &mut Values| {
            values.put(i64::from(level)).put(signed(number));
        };
        let rows = TILES.with(places, put).fetch(&mut self.snapshot).await.map_err(unavailable)?;
        rows.iter().map(read_tile).collect::<Result<_>>().map_err(unavailable)
    }

    pub async fn last(&mut self) -> Result<Last, Error> {
        let mut last = [0; 3];
        for (last, kind) in last.iter_mut().zip(Kind::ALL) {
            let query = query(LAST).bind(kind.as_str());
            *last = query.fetch_one(&mut self.snapshot).await.map_err(unavailable)?;
        }
        Ok(last)
    }

    /// What is to come into the tree, in the order in which it comes.
    pub async fn new_records(&mut self, last: Last, limit: usize) -> Result<Vec<Logged>, Error> {
        let mut found = Vec::new();
        for ((text, read), last) in
            [(NEW_RECEIPTS, read_receipt as Read), (NEW_ACTIONS, read_action), (NEW_PURGES, read_purge)]
                .into_iter()
                .zip(last)
        {
            let query = query(text).bind(last).bind(bounded(limit - found.len()));
            let rows = query.fetch_all(&mut self.snapshot).await.map_err(unavailable)?;
            for row in &rows {
                found.push(read(row).map_err(unavailable)?.1);
            }
        }
        Ok(found)
    }

    pub async fn entries(&mut self, from: u64, to: u64) -> Result<Vec<StoredEntry>, Error> {
        let query = query(ENTRIES).bind(signed(from)).bind(signed(to));
        let rows = query.fetch_all(&mut self.snapshot).await.map_err(unavailable)?;
        rows.iter().map(read_entry).collect::<Result<_>>().map_err(unavailable)
    }

    /// The records that there are of the entries from one position to another.
    pub async fn records(&mut self, from: u64, to: u64) -> Result<HashMap<u64, Logged>, Error> {
        let mut found = HashMap::new();
        for (text, read) in [(RECEIPTS, read_receipt as Read), (ACTIONS, read_action), (PURGES, read_purge)] {
            let query = query(text).bind(signed(from)).bind(signed(to));
            let rows = query.fetch_all(&mut self.snapshot).await.map_err(unavailable)?;
            for row in &rows {
                let (position, record) = read(row).map_err(unavailable)?;
                found.insert(position, record);
            }
        }
        Ok(found)
    }

    pub async fn entry_of(&mut self, receipt: Uuid) -> Result<Option<StoredEntry>, Error> {
        let query = query(ENTRY_OF).bind(receipt.into_bytes().to_vec());
        let row = query.fetch_optional(&mut self.snapshot).await.map_err(unavailable)?;
        row.as_ref().map(read_entry).transpose().map_err(unavailable)
    }

    pub async fn person_keys(&mut self, pseudonyms: Vec<Pseudonym>) -> Result<HashMap<Pseudonym, PersonKey>, Error> {
        let put = |Pseudonym(bytes): Pseudonym, values: &mut Values| super::rows::put_blob(bytes, values);
        let rows = PERSON_KEYS.with(pseudonyms, put).fetch(&mut self.snapshot).await.map_err(unavailable)?;
        let keys = rows.iter().map(|row| read_person_key(row).map(|key| (key.pseudonym, key)));
        keys.collect::<Result<_>>().map_err(unavailable)
    }

    /// All of them, in the order of pseudonyms, those after `after`.
    pub async fn all_person_keys(&mut self, after: Option<Pseudonym>, limit: usize) -> Result<Vec<PersonKey>, Error> {
        let after = after.map_or_else(Vec::new, |Pseudonym(bytes)| bytes.to_vec());
        let query = query(ALL_PERSON_KEYS).bind(after).bind(bounded(limit));
        let rows = query.fetch_all(&mut self.snapshot).await.map_err(unavailable)?;
        rows.iter().map(read_person_key).collect::<Result<_>>().map_err(unavailable)
    }

    /// Records without an entry that should have one, with the id where it is a receipt.
    pub async fn passed_over(
        &mut self,
        kind: Kind,
        last: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Option<Uuid>)>, Error> {
        let text = match kind {
            Kind::Receipt => PASSED_OVER,
            Kind::Action => ACTIONS_PASSED_OVER,
            Kind::Purge => PURGES_PASSED_OVER,
        };
        let query = query(text).bind(last).bind(bounded(limit));
        let rows = query.fetch_all(&mut self.snapshot).await.map_err(unavailable)?;
        let read = |row: &Found| {
            let mut columns = Columns::of(row);
            let (key, is_receipt) = (columns.take()?, kind == Kind::Receipt);
            Ok((key, if is_receipt { Some(Uuid::from_bytes(columns.bytes()?)) } else { None }))
        };
        rows.iter().map(read).collect::<Result<_>>().map_err(unavailable)
    }

    /// The positions of which a purge says that their entries went, with the key of that purge.
    pub async fn gone(&mut self) -> Result<Vec<(i64, String)>, Error> {
        let rows = query(GONE).fetch_all(&mut self.snapshot).await.map_err(unavailable)?;
        let read = |row: &Found| {
            let mut columns = Columns::of(row);
            Ok((columns.take()?, text(&mut columns)?))
        };
        rows.iter().map(read).collect::<Result<_>>().map_err(unavailable)
    }

    /// How many entries there are from a position on, and the first of them.
    pub async fn beyond(&mut self, position: u64) -> Result<(i64, Option<u64>), Error> {
        let query = query("SELECT count(*), min(position) FROM log_entry WHERE position >= $1");
        let row = query.bind(signed(position)).fetch_optional(&mut self.snapshot).await.map_err(unavailable)?;
        let Some(row) = row else { return Ok((0, None)) };
        let mut columns = Columns::of(&row);
        let read = |columns: &mut Columns<'_>| Ok((columns.take()?, columns.take::<Option<i64>>()?));
        let (count, first) = read(&mut columns).map_err(unavailable)?;
        Ok((count, first.and_then(|first| u64::try_from(first).ok())))
    }

    pub async fn tile_count(&mut self) -> Result<u64, Error> {
        let query = query("SELECT count(*) FROM log_tile");
        let count: i64 = query.fetch_one(&mut self.snapshot).await.map_err(unavailable)?;
        Ok(count.unsigned_abs())
    }

    /// How many entries lost their person because he was forgotten.
    pub async fn forgotten(&mut self) -> Result<i64, Error> {
        query(FORGOTTEN).fetch_one(&mut self.snapshot).await.map_err(unavailable)
    }

    /// What the database finds wrong with its own file. A server looks after its own.
    pub async fn damage(&mut self) -> Result<Vec<String>, Error> {
        if self.snapshot.is_server() {
            return Ok(Vec::new());
        }
        let rows = query("PRAGMA integrity_check(100)").fetch_all(&mut self.snapshot).await.map_err(unavailable)?;
        let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect::<Result<_>>().map_err(unavailable)?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}

type Read = fn(&Found) -> Result<(u64, Logged)>;

/// Also where its bytes were changed to what is no text: that must be told, and not end the telling.
fn text(columns: &mut Columns<'_>) -> Result<String> {
    columns.text()?.ok_or(sqlx::Error::RowNotFound)
}

fn text_or_null(columns: &mut Columns<'_>) -> Result<Option<String>> {
    columns.text()
}

fn read_receipt(row: &Found) -> Result<(u64, Logged)> {
    let mut columns = Columns::of(row);
    let position = position(&mut columns)?;
    let receipt = LoggedReceipt {
        key: columns.take()?,
        id: Uuid::from_bytes(columns.bytes()?),
        jws: text(&mut columns)?,
        finished_at: columns.take()?,
        delivery: columns.take()?,
        outcome: text_or_null(&mut columns)?,
        recipient: text_or_null(&mut columns)?,
        role: text_or_null(&mut columns)?,
        kind: text_or_null(&mut columns)?,
        sender: text_or_null(&mut columns)?,
        policy_version: text_or_null(&mut columns)?,
        mapping_version: text_or_null(&mut columns)?,
        subject: super::records::read_subject(&mut columns)?,
        belongs: columns.take::<i64>()? == 1,
    };
    Ok((position, Logged::Receipt(Box::new(receipt))))
}

fn read_action(row: &Found) -> Result<(u64, Logged)> {
    let mut columns = Columns::of(row);
    let position = position(&mut columns)?;
    let (key, delivery, at) = (columns.take()?, columns.take()?, columns.take()?);
    let (who, what, why) = (text(&mut columns)?, text(&mut columns)?, text(&mut columns)?);
    let subject = super::records::read_subject(&mut columns)?;
    Ok((position, Logged::Action(LoggedAction { key, delivery, at, who, what, why, subject })))
}

fn read_purge(row: &Found) -> Result<(u64, Logged)> {
    let mut columns = Columns::of(row);
    let position = position(&mut columns)?;
    let (key, what) = (columns.take()?, text(&mut columns)?);
    let (before, at, count) = (columns.take()?, columns.take()?, columns.take()?);
    Ok((position, Logged::Purge(LoggedPurge { key, what, before, at, count, entries: text_or_null(&mut columns)? })))
}

fn read_entry(row: &Found) -> Result<StoredEntry> {
    let mut columns = Columns::of(row);
    Ok(StoredEntry {
        position: position(&mut columns)?,
        kind: text(&mut columns)?,
        record: columns.take()?,
        at: columns.take()?,
        digest_key: columns.bytes()?,
        content: text(&mut columns)?,
    })
}

fn read_head(row: &Found) -> Result<(Head, i64)> {
    let mut columns = Columns::of(row);
    let size = position(&mut columns)?;
    let time = timestamp(columns.take()?)?;
    let root = columns.bytes()?;
    let jws = text(&mut columns)?;
    Ok((Head { size, root, time, jws }, columns.take()?))
}

fn read_tile(row: &Found) -> Result<(Place, Vec<[u8; 32]>)> {
    let mut columns = Columns::of(row);
    let level = u8::try_from(columns.take::<i64>()?).map_err(undecodable)?;
    let number = position(&mut columns)?;
    let hashes = columns.take::<&[u8]>()?.as_chunks().0.to_vec();
    Ok(((level, number), hashes))
}

fn read_person_key(row: &Found) -> Result<PersonKey> {
    let mut columns = Columns::of(row);
    Ok(PersonKey { pseudonym: Pseudonym(columns.bytes()?), sealed: columns.take()?, used: columns.take()? })
}

fn position(columns: &mut Columns<'_>) -> Result<u64> {
    u64::try_from(columns.take::<i64>()?).map_err(undecodable)
}

/// Trees are smaller than databases can count.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
