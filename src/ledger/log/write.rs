//! The one way in which the disclosure log grows, and how entries and keys of persons go after their term. Each in one
//! transaction, with what is on record about it.

use super::{PersonKey, StoredEntry, read_person_key, signed};
use crate::disclosurelog::head::Head;
use crate::disclosurelog::tree::Tile;
use crate::ledger::command::Command;
use crate::ledger::purge::Step;
use crate::ledger::rows::{Statement, Values, put_blob, put_one};
use crate::ledger::seal::{Keys, Place, SealError};
use crate::ledger::store::{Connection, query};
use crate::ledger::stored::{Columns, Result, bounded};
use crate::ledger::{Error, Ledger, micros};
use crate::record::Pseudonym;

/// Leaves that come into the tree together, and the head that then is.
#[derive(Debug)]
pub struct Extension {
    /// The size of the tree that it continues.
    pub from: u64,
    pub entries: Vec<StoredEntry>,
    /// Those that are new or fuller now.
    pub tiles: Vec<Tile>,
    pub head: Head,
    /// Of persons that had none.
    pub new_persons: Vec<PersonKey>,
    /// Of persons that were not in the log this month.
    pub used_persons: Vec<PersonKey>,
}

static NEW_ENTRY: Statement = Statement {
    head: "INSERT INTO log_entry (position, kind, record, at, digest_key, content) SELECT * FROM",
    columns: 6,
    tail: GIVEN,
};
static TILE: Statement = Statement {
    head: "INSERT INTO log_tile (level, number, hashes) SELECT * FROM",
    columns: 3,
    tail: "AS v WHERE v.column1 IS NOT NULL ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes",
};
static NEW_PERSON: Statement = Statement {
    head: "INSERT INTO person_key (pseudonym, key, used) SELECT * FROM",
    columns: 3,
    tail: "AS v WHERE v.column1 IS NOT NULL ON CONFLICT (pseudonym) DO NOTHING",
};
/// Not where it was forgotten meanwhile.
static USED_PERSON: Statement = Statement {
    head: "UPDATE person_key SET used = v.column2 FROM",
    columns: 2,
    tail: "AS v WHERE person_key.pseudonym = v.column1",
};
static RESEALED: Statement = Statement {
    head: "UPDATE person_key SET key = v.column2 FROM",
    columns: 3,
    tail: "AS v WHERE person_key.pseudonym = v.column1 AND person_key.key = v.column3",
};
const GIVEN: &str = "AS v WHERE v.column1 IS NOT NULL";
const SIZE: &str = "SELECT coalesce(max(size), 0) FROM log_head";
const HEAD: &str = "INSERT INTO log_head (size, hour, at, root, jws) VALUES ($1, $2, $3, $4, $5) \
                    ON CONFLICT (hour) DO UPDATE SET size = excluded.size, at = excluded.at, root = excluded.root, \
                    jws = excluded.jws";
const HOUR: i64 = 3600 * 1_000_000;

impl Ledger {
    /// [`Error::NoSuchRow`] where the tree is another one by now; then nothing was done.
    pub async fn extend_log(&self, extension: Extension) -> Result<(), Error> {
        self.ask(|reply| Command::ExtendLog(Box::new(extension), reply)).await
    }

    /// Keys of persons under another of our own keys; each where it is still as it was.
    pub async fn reseal_persons(&self, resealed: Vec<(PersonKey, Vec<u8>)>) -> Result<(), Error> {
        self.ask(|reply| Command::ResealPersons(resealed, reply)).await
    }
}

impl Keys {
    pub(crate) fn seal_person_key(&self, pseudonym: Pseudonym, key: Vec<u8>) -> Result<Vec<u8>, SealError> {
        self.seal(key, Place::PersonKey(pseudonym))
    }

    pub(crate) fn open_person_key(&self, key: &PersonKey) -> Result<Vec<u8>, SealError> {
        self.open(key.sealed.clone(), Place::PersonKey(key.pseudonym))
    }

    pub(crate) fn is_sealed_under_older(&self, key: &PersonKey) -> bool {
        self.is_older(&key.sealed)
    }
}

/// A log that cannot grow must hold up nothing else that is in the batch.
macro_rules! apart {
    ($connection:expr, $done:expr) => {{
        query("SAVEPOINT log").execute(&mut *$connection).await?;
        match $done {
            Ok(done) => {
                query("RELEASE log").execute(&mut *$connection).await?;
                Ok(Ok(done))
            }
            Err(sqlx::Error::Database(error)) if error.kind() != sqlx::error::ErrorKind::Other => {
                tracing::error!(%error, "the disclosure log");
                query("ROLLBACK TO log").execute(&mut *$connection).await?;
                query("RELEASE log").execute(&mut *$connection).await?;
                Ok(Err(Error::NoSuchRow))
            }
            Err(error) => Err(error),
        }
    }};
}

pub(in crate::ledger) async fn extend(connection: &mut Connection, extension: Extension) -> Result<Result<(), Error>> {
    let size: i64 = query(SIZE).fetch_one(connection).await?;
    if size != signed(extension.from) {
        return Ok(Err(Error::NoSuchRow));
    }
    apart!(connection, insert(connection, extension).await)
}

async fn insert(connection: &mut Connection, extension: Extension) -> Result<()> {
    let Extension { entries, tiles, head, new_persons, used_persons, .. } = extension;
    let new_entry = |entry: StoredEntry, values: &mut Values| {
        values.put(signed(entry.position)).put(entry.kind).put(entry.record).put(entry.at);
        values.put(entry.digest_key.to_vec()).put(entry.content);
    };
    NEW_ENTRY.with(entries, new_entry).execute(connection).await?;
    let tile = |tile: Tile, values: &mut Values| {
        let (level, number) = tile.place;
        values.put(i64::from(level)).put(signed(number)).put(tile.hashes.as_flattened().to_vec());
    };
    TILE.with(tiles, tile).execute(connection).await?;
    let new_person = |PersonKey { pseudonym: Pseudonym(bytes), sealed, used }: PersonKey, values: &mut Values| {
        values.put(bytes.to_vec()).put(sealed).put(used);
    };
    NEW_PERSON.with(new_persons, new_person).execute(connection).await?;
    let used_person = |PersonKey { pseudonym: Pseudonym(bytes), used, .. }: PersonKey, values: &mut Values| {
        values.put(bytes.to_vec()).put(used);
    };
    USED_PERSON.with(used_persons, used_person).execute(connection).await?;
    let at = micros(head.time);
    let query = query(HEAD).bind(signed(head.size)).bind(at.div_euclid(HOUR)).bind(at);
    query.bind(head.root.to_vec()).bind(head.jws).execute(connection).await.map(drop)
}

pub(in crate::ledger) async fn reseal(connection: &mut Connection, resealed: Vec<(PersonKey, Vec<u8>)>) -> Result<()> {
    let put = |(key, sealed): (PersonKey, Vec<u8>), values: &mut Values| {
        let PersonKey { pseudonym: Pseudonym(bytes), sealed: before, .. } = key;
        values.put(bytes.to_vec()).put(sealed).put(before);
    };
    RESEALED.with(resealed, put).execute(connection).await
}

/// Entries whose record went after its term: from the front, up to the first that is too new.
const OLDEST: &str = "SELECT e.position, e.at, CASE e.kind WHEN 'receipt' THEN r.key WHEN 'action' THEN a.key \
                      ELSE e.record END FROM log_entry AS e \
                      LEFT JOIN receipt AS r ON e.kind = 'receipt' AND r.key = e.record \
                      LEFT JOIN action AS a ON e.kind = 'action' AND a.key = e.record \
                      WHERE e.position >= $1 ORDER BY e.position LIMIT $2";
static NO_ENTRY: Statement = Statement { head: "DELETE FROM log_entry WHERE position IN", columns: 1, tail: "" };

/// How many went, which they are, and where the next step begins.
pub(in crate::ledger) async fn purge_entries(
    connection: &mut Connection,
    step: &Step,
) -> Result<(usize, Option<String>, Option<i64>)> {
    let rows = query(OLDEST).bind(step.after).bind(bounded(step.limit)).fetch_all(connection).await?;
    let (mut gone, mut next) = (Vec::new(), None);
    for row in &rows {
        let mut columns = Columns::of(row);
        let (position, at, record): (i64, i64, Option<i64>) = (columns.take()?, columns.take()?, columns.take()?);
        // What the clock of another day brought says nothing about what comes after it.
        if (step.before..=step.now).contains(&at) {
            next = None;
            break;
        }
        next = Some(position + 1);
        gone.extend((record.is_none() && at < step.before).then_some(position));
    }
    let ranges = (!gone.is_empty()).then(|| ranges(&gone));
    let count = gone.len();
    NO_ENTRY.with(gone, put_one).execute(connection).await?;
    Ok((count, ranges, next.filter(|_| rows.len() == step.limit)))
}

/// `0-127,130-130` of positions in their order.
fn ranges(positions: &[i64]) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for position in positions {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *position => *last = *position,
            _ => ranges.push((*position, *position)),
        }
    }
    ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(",")
}

const UNUSED_PERSONS: &str = "SELECT pseudonym, key, used FROM person_key WHERE used < $1 LIMIT $2";
static NO_UNUSED_PERSON: Statement =
    Statement { head: "DELETE FROM person_key WHERE pseudonym IN", columns: 1, tail: "" };

/// Looks through all of them, which may take a while: with a reader, that nobody waits for.
pub(in crate::ledger) async fn unused_persons(
    connection: &mut Connection,
    before: i64,
    limit: usize,
) -> Result<Vec<[u8; 16]>> {
    let rows = query(UNUSED_PERSONS).bind(before).bind(bounded(limit)).fetch_all(connection).await?;
    rows.iter().map(|row| read_person_key(row).map(|PersonKey { pseudonym: Pseudonym(bytes), .. }| bytes)).collect()
}

/// As many as there were.
pub(in crate::ledger) async fn purge_persons(connection: &mut Connection, unused: Vec<[u8; 16]>) -> Result<usize> {
    let count = unused.len();
    NO_UNUSED_PERSON.with(unused, put_blob).execute(connection).await?;
    Ok(count)
}
