//! What has been kept for long enough goes, a few messages at a time, with a note of it in the same commit. What waits,
//! or owes a receipt, is passed over until it does not. Decides nothing about terms: it is told from when.

use super::log::write::{purge_entries, purge_persons};
use super::rows::{Statement, put_one};
use super::store::{Connection, Found, query};
use super::stored::{Columns, Result, bounded};
use jiff::Timestamp;

/// What is purged, each by a term of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// How a message came, and its name: trace, source, id. Its receipt still says so.
    Traffic,
    /// A message with its deliveries and receipts.
    Log,
    /// What persons did.
    Actions,
    /// Consents and assessments that count no longer.
    Records,
    /// Entries of the disclosure log whose record went; the hashes of their leaves stay.
    Entries,
    /// Keys of persons about whom nothing came into that log for as long.
    Persons,
}

impl Purge {
    /// What others point at goes after them.
    pub const ALL: [Purge; 6] =
        [Purge::Traffic, Purge::Log, Purge::Actions, Purge::Records, Purge::Entries, Purge::Persons];

    pub fn as_str(self) -> &'static str {
        match self {
            Purge::Traffic => "traffic",
            Purge::Log => "log",
            Purge::Actions => "actions",
            Purge::Records => "records",
            Purge::Entries => "entries",
            Purge::Persons => "persons",
        }
    }
}

/// One step of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    pub count: usize,
    /// Where the next step begins; `None` where there is none.
    pub next: Option<i64>,
}

/// What one step is asked: of what became final, or ended, before `before`, as much as `limit`, with keys above `after`.
pub(super) struct Step {
    pub what: Purge,
    pub before: i64,
    pub now: i64,
    pub after: i64,
    pub limit: usize,
    /// Of records, those that were found, and the newest that there was then.
    pub records: (Vec<i64>, i64),
    /// Of keys of persons, those that were found.
    pub persons: Vec<[u8; 16]>,
}

/// When all of it was over, and every receipt out; past every moment where it is not.
macro_rules! ended {
    ($from:literal) => {
        concat!(
            "SELECT m.key, m.received_at, coalesce((SELECT max(CASE WHEN NOT d.receipted OR d.receipt_at IS NOT NULL",
            " THEN 9223372036854775807 ELSE d.finished_at END) FROM delivery AS d",
            " WHERE d.key BETWEEN m.first_delivery AND m.last_delivery), m.received_at) FROM ",
            $from
        )
    };
}
const ENDED: &str = ended!("message AS m WHERE m.key > $1 ORDER BY m.key LIMIT $2");
const LEFT_BEHIND: &str = ended!("left_behind AS l JOIN message AS m ON m.key = l.message");
/// Not the newest one: the keys that are given out go on from it.
const NEWEST: &str = "SELECT coalesce(max(key), 0) FROM message";
static NO_NAME: Statement = Statement {
    head: "UPDATE message SET source = '', id = '', message_ref = '', traceparent = NULL, caller = NULL WHERE key IN",
    columns: 1,
    tail: "",
};
static LEAVE_BEHIND: Statement = Statement {
    head: "INSERT INTO left_behind (message) SELECT * FROM",
    columns: 1,
    tail: "AS v WHERE v.column1 IS NOT NULL ON CONFLICT DO NOTHING",
};
static NOT_LEFT_BEHIND: Statement =
    Statement { head: "DELETE FROM left_behind WHERE message IN", columns: 1, tail: "" };
static NO_RECEIPT: Statement = Statement {
    head: "DELETE FROM receipt WHERE delivery IN (SELECT d.key FROM message AS m JOIN delivery AS d \
           ON d.key BETWEEN m.first_delivery AND m.last_delivery WHERE m.key IN",
    columns: 1,
    tail: ")",
};
static NO_DELIVERY: Statement = Statement {
    head: "DELETE FROM delivery WHERE key IN (SELECT d.key FROM message AS m JOIN delivery AS d \
           ON d.key BETWEEN m.first_delivery AND m.last_delivery WHERE m.key IN",
    columns: 1,
    tail: ")",
};
/// Where the message is the newest of its series, nothing of the series is left.
static NO_SERIES: Statement = Statement {
    head: "DELETE FROM series WHERE (key, sequence) IN (SELECT m.series, m.sequence FROM message AS m WHERE m.key IN",
    columns: 1,
    tail: ")",
};
static NO_MESSAGE: Statement = Statement { head: "DELETE FROM message WHERE key IN", columns: 1, tail: "" };
static NO_RECORD: Statement = Statement { head: "DELETE FROM record WHERE key IN", columns: 1, tail: "" };
const NO_ACTION: &str = "DELETE FROM action WHERE key IN (SELECT key FROM action ORDER BY key LIMIT $1) AND at < $2";
/// An id goes as a whole, so that no older version of it counts again. What has no end can always count, and so can a
/// withdrawal: IRIS may still name the consent.
const ENDED_RECORDS: &str = "SELECT key, (SELECT max(key) FROM record) FROM record WHERE (kind, id) IN (SELECT kind, id \
                             FROM record WHERE kind <> 'intrekking' GROUP BY kind, id HAVING count(*) = \
                             count(json_extract(content, '$.geldig_tot')) AND \
                             max(substr(json_extract(content, '$.geldig_tot'), 1, 10)) < $1 LIMIT $2)";
const NOTE: &str = "INSERT INTO purge (what, before, at, count, last, entries) VALUES ($1, $2, $3, $4, $5, $6)";
const LAST: &str = "SELECT coalesce(max(last), 0) FROM purge WHERE what = $1";

/// Messages of one step.
#[derive(Default)]
struct Sorted {
    over: Vec<i64>,
    not_yet: Vec<i64>,
    last: i64,
    more: bool,
}

pub(super) async fn step(connection: &mut Connection, step: Step) -> Result<Purged> {
    let mut entries = None;
    let (count, last, next) = match step.what {
        Purge::Traffic => traffic(connection, &step).await?,
        Purge::Log => log(connection, &step).await?,
        Purge::Actions => {
            let query = query(NO_ACTION).bind(bounded(step.limit)).bind(step.before);
            let count = usize::try_from(query.execute(&mut *connection).await?).unwrap_or(step.limit);
            super::jobs::forget(connection, step.before).await?;
            (count, 0, (count == step.limit).then_some(0))
        }
        Purge::Records => records(connection, &step).await?,
        Purge::Entries => {
            let (count, gone, next) = purge_entries(connection, &step).await?;
            entries = gone;
            (count, 0, next)
        }
        Purge::Persons => {
            let count = purge_persons(connection, step.persons.clone()).await?;
            (count, 0, (count > 0).then_some(0))
        }
    };
    if count > 0 || last > step.after {
        let note = query(NOTE).bind(step.what.as_str()).bind(step.before).bind(step.now);
        let note = note.bind(bounded(count)).bind(last).bind(entries);
        note.execute(connection).await?;
    }
    Ok(Purged { count, next })
}

/// Goes on where the last pass ended. What was not over then is left behind, and looked at in each pass.
async fn traffic(connection: &mut Connection, step: &Step) -> Result<(usize, i64, Option<i64>)> {
    let mut count = 0;
    if step.after == 0 {
        let rows = query(LEFT_BEHIND).fetch_all(&mut *connection).await?;
        let found = sort(&rows, step, usize::MAX)?;
        count += found.over.len();
        NO_NAME.with(found.over.clone(), put_one).execute(connection).await?;
        NOT_LEFT_BEHIND.with(found.over, put_one).execute(connection).await?;
    }
    let last: i64 = query(LAST).bind(Purge::Traffic.as_str()).fetch_one(&mut *connection).await?;
    let begin = step.after.max(last);
    let found = find(connection, step, begin).await?;
    count += found.over.len();
    NO_NAME.with(found.over, put_one).execute(connection).await?;
    LEAVE_BEHIND.with(found.not_yet, put_one).execute(connection).await?;
    let further = if found.last > begin { found.last } else { 0 };
    Ok((count, further, found.more.then_some(found.last)))
}

async fn log(connection: &mut Connection, step: &Step) -> Result<(usize, i64, Option<i64>)> {
    let newest: i64 = query(NEWEST).fetch_one(&mut *connection).await?;
    let mut found = find(connection, step, step.after).await?;
    found.over.retain(|key| *key < newest);
    let count = found.over.len();
    for statement in [&NO_RECEIPT, &NO_DELIVERY, &NO_SERIES, &NOT_LEFT_BEHIND, &NO_MESSAGE] {
        statement.with(found.over.clone(), put_one).execute(&mut *connection).await?;
    }
    // Each pass begins at the front, so that there is nothing to remember.
    Ok((count, 0, found.more.then_some(found.last)))
}

/// Not where a record came since they were found, which may be of an id that ended.
async fn records(connection: &mut Connection, step: &Step) -> Result<(usize, i64, Option<i64>)> {
    let newest: Option<i64> = query("SELECT max(key) FROM record").fetch_one(&mut *connection).await?;
    let (keys, then) = &step.records;
    if newest != Some(*then) {
        return Ok((0, 0, None));
    }
    NO_RECORD.with(keys.clone(), put_one).execute(connection).await?;
    Ok((keys.len(), 0, (!keys.is_empty()).then_some(0)))
}

/// Looks through all of them, which may take a while: with a reader, that nobody waits for.
pub(super) async fn ended_records(
    connection: &mut Connection,
    before: Timestamp,
    limit: usize,
) -> Result<(Vec<i64>, i64)> {
    let day = before.to_string();
    let query = query(ENDED_RECORDS).bind(day.get(..10).unwrap_or_default()).bind(bounded(limit));
    let rows = query.fetch_all(connection).await?;
    let mut found = (Vec::new(), 0);
    for row in &rows {
        let mut columns = Columns::of(row);
        found.0.push(columns.take()?);
        found.1 = columns.take()?;
    }
    Ok(found)
}

async fn find(connection: &mut Connection, step: &Step, after: i64) -> Result<Sorted> {
    let rows = query(ENDED).bind(after).bind(bounded(step.limit)).fetch_all(connection).await?;
    let found = sort(&rows, step, step.limit)?;
    Ok(Sorted { last: found.last.max(after), ..found })
}

/// Messages come in the order of their keys, so that the first that is too new ends it. One out of the future came
/// when the clock was wrong, and says nothing about those after it.
fn sort(rows: &[Found], step: &Step, limit: usize) -> Result<Sorted> {
    let mut found = Sorted::default();
    for row in rows {
        let mut columns = Columns::of(row);
        let (key, received_at, ended) = (columns.take()?, columns.take::<i64>()?, columns.take::<i64>()?);
        if (step.before..=step.now).contains(&received_at) {
            return Ok(found);
        }
        found.last = key;
        if ended < step.before { found.over.push(key) } else { found.not_yet.push(key) }
    }
    found.more = rows.len() == limit;
    Ok(found)
}
