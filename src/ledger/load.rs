//! Reads into [`Work`] what a batch touches. No rules in here.

use super::Order;
use super::command::{ClaimWaiting, Command};
use super::memory::Memory;
use super::progress::Progress;
use super::rows::{Statement, Values, put_blob, put_one, put_subject};
use super::stored::{Columns, Result, bounded, outcome};
use super::work::{Known, Row, Work};
use crate::party::PartyId;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

/// What is asked of a message to be accepted.
type Asked = ([u8; 16], Option<Order>);

macro_rules! rows_where {
    ($condition:literal) => {
        concat!(
            "SELECT d.key, d.message, d.volatile, d.series, m.sequence, m.sender, m.traceparent, m.keeps_raw,",
            " d.outcome, d.reason, d.attempts, d.due_at, d.waits, d.leased, d.tried, d.ending, d.changed_at, d.finished_at,",
            " d.receipted, d.receipt_at, d.receipt_attempts",
            " FROM delivery AS d JOIN message AS m ON m.key = d.message WHERE ",
            $condition
        )
    };
}

static ROWS: Statement = Statement { head: rows_where!("d.key IN"), columns: 1, tail: "" };
static ROWS_OF_SERIES: Statement = Statement { head: rows_where!("d.series IN"), columns: 1, tail: "" };
const LEASED: &str = rows_where!("d.finished_at IS NULL AND d.leased = 1");
const DUE: &str = rows_where!("d.finished_at IS NULL AND d.due_at <= $1 ORDER BY d.due_at, d.key LIMIT $2");
/// The first of them, after some that are passed over where there are so many.
const WAITING: &str = rows_where!(
    "d.key IN (SELECT key FROM delivery WHERE recipient = $1 AND waits = 1 ORDER BY key LIMIT $2 OFFSET $3 % \
     (SELECT max(1, count(*)) FROM (SELECT 1 FROM delivery WHERE recipient = $1 AND waits = 1 LIMIT $3 + 1))) \
     AND m.received_at <= $4"
);
const RECEIPTS_DUE: &str = rows_where!("d.receipt_at <= $1 ORDER BY d.receipt_at, d.key LIMIT $2");
/// Looks through everything that is not final: records are rare, and an index on whom a delivery is about would be
/// random pages to write for each. A hundred thousand that wait take 0.1 s in a build without optimisation, as
/// `a_million_messages` in the tests measures.
static WAITING_FOR: Statement = Statement {
    head: "WITH asked (bsn, skn) AS",
    columns: 2,
    tail: rows_where!(
        "d.finished_at IS NULL AND (d.outcome = 'awaiting_assessment' OR (d.outcome = 'retrying' AND d.volatile = 1)) \
         AND (m.subject_bsn IN (SELECT bsn FROM asked) OR m.subject_skn IN (SELECT skn FROM asked))"
    ),
};
/// Three answers in one: messages that are known, series that are known, and the keys given out last. Those are
/// asked each time, for another process may have written, and a batch may have been undone.
static KNOWN: Statement = Statement {
    head: "WITH asked (identity, series) AS",
    columns: 2,
    tail: "SELECT 1, identity, key, digest, first_delivery, last_delivery FROM message \
           WHERE identity IN (SELECT identity FROM asked) \
           UNION ALL SELECT 2, key, sequence, NULL, NULL, NULL FROM series WHERE key IN (SELECT series FROM asked) \
           UNION ALL SELECT 3, NULL, (SELECT max(key) FROM message), NULL, (SELECT max(key) FROM delivery), NULL",
};

impl Work {
    /// What a batch of commands touches.
    pub async fn load(connection: &mut SqliteConnection, memory: &mut Memory, commands: &[Command]) -> Result<Work> {
        let mut keys = Vec::new();
        let (mut accepts, mut about) = (Vec::new(), Vec::new());
        for command in commands {
            match command {
                Command::Accept(accept, _) => {
                    accepts.push((accept.identity, accept.message.order));
                    about.extend(accept.message.record.is_some().then_some(accept.message.subject));
                }
                Command::Settle { delivery, .. }
                | Command::Retry { delivery, .. }
                | Command::Change { delivery, .. } => keys.push(delivery.0),
                Command::Note { .. }
                | Command::ClaimDue { .. }
                | Command::ClaimWaiting { .. }
                | Command::ClaimReceipts { .. }
                | Command::Purge { .. }
                | Command::ClockWentBack { .. }
                | Command::Close(_) => {}
            }
        }
        let mut work = Work::default();
        work.rows.extend(keys.iter().filter_map(|key| Some((*key, memory.take(*key)?))));
        keys.retain(|key| !work.rows.contains_key(key));
        work.add(&ROWS.with(keys, put_one).fetch(connection).await?)?;
        if !accepts.is_empty() {
            work.load_known(connection, &accepts).await?;
            work.load_older(connection, &accepts).await?;
        }
        if !about.is_empty() {
            let waiting = WAITING_FOR.with(about, put_subject).fetch(connection).await?;
            work.add(&waiting)?;
            work.waiting = waiting.iter().map(|row| Columns::of(row).take()).collect::<Result<_>>()?;
        }
        Ok(work)
    }

    /// What is held by somebody.
    pub async fn leased(connection: &mut SqliteConnection) -> Result<Work> {
        Work::of(&sqlx::query(LEASED).fetch_all(connection).await?)
    }

    pub async fn due(connection: &mut SqliteConnection, now: i64, limit: usize) -> Result<Work> {
        Work::of(&sqlx::query(DUE).bind(now).bind(bounded(limit)).fetch_all(connection).await?)
    }

    pub async fn waiting(connection: &mut SqliteConnection, asked: &ClaimWaiting) -> Result<Work> {
        let query = sqlx::query(WAITING).bind(asked.recipient.as_str()).bind(bounded(asked.limit));
        Work::of(&query.bind(i64::from(asked.skip)).bind(asked.received_by).fetch_all(connection).await?)
    }

    pub async fn receipts_due(connection: &mut SqliteConnection, now: i64, limit: usize) -> Result<Work> {
        Work::of(&sqlx::query(RECEIPTS_DUE).bind(now).bind(bounded(limit)).fetch_all(connection).await?)
    }

    fn of(rows: &[SqliteRow]) -> Result<Work> {
        let mut work = Work::default();
        work.add(rows)?;
        Ok(work)
    }

    fn add(&mut self, rows: &[SqliteRow]) -> Result<()> {
        for row in rows {
            let row = read(row)?;
            self.rows.entry(row.key).or_insert(row);
        }
        Ok(())
    }

    async fn load_known(&mut self, connection: &mut SqliteConnection, accepts: &[Asked]) -> Result<()> {
        let put = |(identity, order): Asked, values: &mut Values| {
            values.put(identity.to_vec()).put(order.map(|order| order.key.to_vec()));
        };
        for row in KNOWN.with(accepts.to_vec(), put).fetch(connection).await? {
            let mut columns = Columns::of(&row);
            match columns.take::<i64>()? {
                1 => {
                    let identity = columns.bytes()?;
                    let (message, digest) = (columns.take()?, columns.bytes()?);
                    let known = Known { message, digest, first: columns.take()?, last: columns.take()? };
                    self.known.insert(identity, known);
                }
                2 => {
                    self.series.insert(columns.bytes()?, columns.take()?);
                }
                _ => {
                    let _: Option<&[u8]> = columns.take()?;
                    self.last_message = columns.take::<Option<i64>>()?.unwrap_or_default();
                    let _: Option<&[u8]> = columns.take()?;
                    self.last_delivery = columns.take::<Option<i64>>()?.unwrap_or_default();
                }
            }
        }
        Ok(())
    }

    /// What is under way of series in which this batch goes further.
    async fn load_older(&mut self, connection: &mut SqliteConnection, accepts: &[Asked]) -> Result<()> {
        let orders = accepts.iter().filter_map(|(_, order)| *order);
        let further = orders.filter(|order| self.series.get(&order.key).is_some_and(|known| *known < order.sequence));
        let series = further.map(|order| order.key).collect();
        let older = ROWS_OF_SERIES.with(series, put_blob).fetch(connection).await?;
        self.add(&older)
    }
}

fn read(row: &SqliteRow) -> Result<Row> {
    let mut columns = Columns::of(row);
    let (key, message, volatile) = (columns.take()?, columns.take()?, columns.take()?);
    let order = columns.order()?;
    let sender = PartyId::new(columns.take::<&str>()?);
    let (traceparent, keeps_raw) = (columns.take()?, columns.take()?);
    let progress = Progress {
        outcome: columns.outcome()?,
        reason: columns.take()?,
        attempts: columns.count()?,
        due_at: columns.take()?,
        waits: columns.take()?,
        leased: columns.take()?,
        tried: columns.take()?,
        ending: columns.take::<Option<&str>>()?.map(outcome).transpose()?,
        changed_at: columns.take()?,
        finished_at: columns.take()?,
        receipted: columns.take()?,
        receipt_at: columns.take()?,
        receipt_attempts: columns.count()?,
    };
    let before = Some(progress.clone());
    Ok(Row { key, message, volatile, order, sender, traceparent, keeps_raw, progress, before })
}
