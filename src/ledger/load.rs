//! Reads into [`Work`] what a batch touches. No rules in here.

use super::Order;
use super::command::{Change, ClaimWaiting, Command};
use super::memory::Memory;
use super::progress::Progress;
use super::records::{self, Mark};
use super::rows::{Statement, Values, put_blob, put_one, put_subject};
use super::store::{Connection, Found, query};
use super::stored::{Columns, Result, bounded, outcome};
use super::work::{Known, Row, Work};
use crate::party::PartyId;

/// What is asked of a message to be accepted.
type Asked = ([u8; 16], Option<Order>);

macro_rules! rows_where {
    ($condition:literal) => {
        concat!(
            "SELECT d.key, d.message, d.volatile, d.series, m.sequence, m.sender, m.traceparent, m.keeps_raw,",
            " d.outcome, d.reason, d.attempts, d.due_at, d.waits, d.holder, d.tried, d.ending, d.changed_at, d.finished_at,",
            " d.receipted, d.receipt_at, d.receipt_attempts",
            " FROM delivery AS d JOIN message AS m ON m.key = d.message WHERE ",
            $condition
        )
    };
}

static ROWS: Statement = Statement { head: rows_where!("d.key IN"), columns: 1, tail: "" };
static ROWS_OF_SERIES: Statement = Statement { head: rows_where!("d.series IN"), columns: 1, tail: "" };
static HELD: Statement = Statement { head: rows_where!("d.finished_at IS NULL AND d.holder IN"), columns: 1, tail: "" };
static RECEIPTS_HELD: Statement =
    Statement { head: rows_where!("d.receipt_at IS NOT NULL AND d.holder IN"), columns: 1, tail: "" };
/// Of a series one node at a time has deliveries in hand, so that an older one is never on its way on one node while a
/// newer one goes out on another. What another has in hand is its own, until its time is over.
const DUE: &str = rows_where!(
    "d.finished_at IS NULL AND d.due_at <= $1 AND coalesce(d.holder, $3) = $3 AND NOT EXISTS \
     (SELECT 1 FROM delivery AS o WHERE o.series = d.series AND o.holder <> $3) ORDER BY d.due_at, d.key LIMIT $2"
);
/// The first of them, after some that are passed over where there are so many.
const WAITING: &str = rows_where!(
    "d.key IN (SELECT w.key FROM delivery AS w WHERE w.recipient = $1 AND w.waits AND NOT EXISTS \
     (SELECT 1 FROM delivery AS o WHERE o.series = w.series AND o.holder <> $5) ORDER BY w.key LIMIT $2 OFFSET $3 % \
     (SELECT CASE WHEN count(*) = 0 THEN 1 ELSE count(*) END FROM \
     (SELECT 1 FROM delivery WHERE recipient = $1 AND waits LIMIT $3 + 1) AS counted)) AND m.received_at <= $4"
);
static HOLDERS: Statement = Statement {
    head: "SELECT series, holder FROM delivery WHERE holder IS NOT NULL AND series IN",
    columns: 1,
    tail: "",
};
const RECEIPTS_DUE: &str =
    rows_where!("d.receipt_at <= $1 AND coalesce(d.holder, $3) = $3 ORDER BY d.receipt_at, d.key LIMIT $2");
/// Looks through everything that is not final: records are rare, and an index on whom a delivery is about would be
/// random pages to write for each. A hundred thousand that wait take 0.1 s in a build without optimisation, as
/// `a_million_messages` in the tests measures.
static WAITING_FOR: Statement = Statement {
    head: "WITH asked (bsn, skn) AS",
    columns: 2,
    tail: rows_where!(
        "d.finished_at IS NULL AND (d.outcome = 'awaiting_assessment' OR (d.outcome = 'retrying' AND d.volatile)) \
         AND (m.subject_bsn IN (SELECT bsn FROM asked) OR m.subject_skn IN (SELECT skn FROM asked))"
    ),
};
/// Three answers in one: messages that are known, series that are known, and the keys given out last. Those are
/// asked each time, for another process may have written, and a batch may have been undone.
static KNOWN: Statement = Statement {
    head: "WITH asked (identity, series) AS",
    columns: 2,
    tail: "SELECT CAST(1 AS BIGINT), identity, key, digest, first_delivery, last_delivery FROM message \
           WHERE identity IN (SELECT identity FROM asked) \
           UNION ALL SELECT CAST(2 AS BIGINT), key, sequence, NULL, NULL, NULL FROM series WHERE key IN (SELECT series FROM asked) \
           UNION ALL SELECT CAST(3 AS BIGINT), NULL, (SELECT max(key) FROM message), NULL, \
           (SELECT last_delivery FROM message ORDER BY key DESC LIMIT 1), NULL",
};

impl Work {
    /// What a batch of commands touches.
    pub async fn load(connection: &mut Connection, memory: &mut Memory, me: i64, commands: &[Command]) -> Result<Work> {
        let mut keys = Vec::new();
        let (mut accepts, mut about, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        for command in commands {
            match command {
                Command::Accept(accept, _) => {
                    accepts.push((accept.identity, accept.message.order));
                    about.extend(accept.message.record.is_some().then_some(accept.message.subject));
                    marks.extend(accept.message.mark.as_ref().and_then(Mark::to_ask));
                }
                Command::Change { delivery, change: Change::Wait { mark, .. }, .. } => {
                    keys.push(delivery.0);
                    marks.extend(mark.as_ref().and_then(Mark::to_ask));
                }
                Command::Settle { delivery, .. }
                | Command::Retry { delivery, .. }
                | Command::Change { delivery, .. } => keys.push(delivery.0),
                Command::Note { .. }
                | Command::ClaimDue { .. }
                | Command::ClaimWaiting { .. }
                | Command::ClaimReceipts { .. }
                | Command::Purge { .. }
                | Command::Job { .. }
                | Command::ExtendLog(..)
                | Command::ResealPersons(..)
                | Command::Forget(..)
                | Command::ClockWentBack { .. }
                | Command::Close(_) => {}
            }
        }
        let mut work = Work { me, ..Work::default() };
        work.rows.extend(keys.iter().filter_map(|key| Some((*key, memory.take(*key)?))));
        keys.retain(|key| !work.rows.contains_key(key));
        work.add(&ROWS.with(keys, put_one).fetch(connection).await?)?;
        if !accepts.is_empty() {
            work.load_known(connection, &accepts).await?;
            work.load_older(connection, &accepts).await?;
            if connection.is_server() {
                work.load_elsewhere(connection, &accepts).await?;
            }
        }
        if !marks.is_empty() {
            work.newest = records::newest(connection, marks).await?;
        }
        if !about.is_empty() {
            let waiting = WAITING_FOR.with(about, put_subject).fetch(connection).await?;
            work.add(&waiting)?;
            work.waiting = waiting.iter().map(|row| Columns::of(row).take()).collect::<Result<_>>()?;
        }
        Ok(work)
    }

    /// What these have in hand.
    pub async fn held(connection: &mut Connection, holders: Vec<i64>) -> Result<Work> {
        let mut work = Work::of(&HELD.with(holders.clone(), put_one).fetch(connection).await?)?;
        work.add(&RECEIPTS_HELD.with(holders, put_one).fetch(connection).await?)?;
        Ok(work)
    }

    pub async fn due(connection: &mut Connection, me: i64, now: i64, limit: usize) -> Result<Work> {
        Work::of(&query(DUE).bind(now).bind(bounded(limit)).bind(me).fetch_all(connection).await?)
    }

    pub async fn waiting(connection: &mut Connection, me: i64, asked: &ClaimWaiting) -> Result<Work> {
        let query = query(WAITING).bind(asked.recipient.as_str()).bind(bounded(asked.limit));
        let query = query.bind(i64::from(asked.skip)).bind(asked.received_by).bind(me);
        Work::of(&query.fetch_all(connection).await?)
    }

    pub async fn receipts_due(connection: &mut Connection, me: i64, now: i64, limit: usize) -> Result<Work> {
        Work::of(&query(RECEIPTS_DUE).bind(now).bind(bounded(limit)).bind(me).fetch_all(connection).await?)
    }

    fn of(rows: &[Found]) -> Result<Work> {
        let mut work = Work::default();
        work.add(rows)?;
        Ok(work)
    }

    fn add(&mut self, rows: &[Found]) -> Result<()> {
        for row in rows {
            let row = read(row)?;
            self.rows.entry(row.key).or_insert(row);
        }
        Ok(())
    }

    async fn load_known(&mut self, connection: &mut Connection, accepts: &[Asked]) -> Result<()> {
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

    /// The series of which another node has a delivery in hand.
    async fn load_elsewhere(&mut self, connection: &mut Connection, accepts: &[Asked]) -> Result<()> {
        let series = accepts.iter().filter_map(|(_, order)| *order).map(|order| order.key).collect();
        for row in HOLDERS.with(series, put_blob).fetch(connection).await? {
            let mut columns = Columns::of(&row);
            let (series, holder) = (columns.bytes()?, columns.take::<i64>()?);
            if holder != self.me {
                self.elsewhere.insert(series);
            }
        }
        Ok(())
    }

    /// What is under way of series in which this batch goes further.
    async fn load_older(&mut self, connection: &mut Connection, accepts: &[Asked]) -> Result<()> {
        let orders = accepts.iter().filter_map(|(_, order)| *order);
        let further = orders.filter(|order| self.series.get(&order.key).is_some_and(|known| *known < order.sequence));
        let series = further.map(|order| order.key).collect();
        let older = ROWS_OF_SERIES.with(series, put_blob).fetch(connection).await?;
        self.add(&older)
    }
}

fn read(row: &Found) -> Result<Row> {
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
        holder: columns.take()?,
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
