//! What the ledger says: deliveries to take up, receipts to send, and what an operator sees. Changes nothing.

use super::node::Hold;
use super::rows::{Statement, put_blob, put_one};
use super::seal::{Keys, Place, SealError};
use super::store::{Connection, Found, query};
use super::stored::{Columns, Result, bounded, timestamp};
use super::{DeliveryKey, Due, DueReceipt, Head, MessageKey, Outgoing, Row, Waiting, WaitingFor};
use crate::outcome::Outcome;
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::receipt::{Decision, SignedReceipt};
use uuid::Uuid;

macro_rules! due_where {
    ($condition:literal) => {
        concat!(
            "SELECT d.key, m.key, m.source, m.id, m.kind, m.sender, m.received_at, m.traceparent, m.series, m.sequence,",
            " m.message_ref, m.policy_version, m.mapping_version, d.idempotency_key, d.recipient, d.role, p.decision,",
            " d.outcome, d.reason, d.attempts, d.tried, r.content, p.kind, p.content_type, p.digest, p.body",
            " FROM delivery AS d JOIN message AS m ON m.key = d.message JOIN pending AS p ON p.delivery = d.key",
            // Decided anew where there is nothing to send yet, or what there was may not be sent any more.
            " LEFT JOIN raw AS r ON r.message = d.message AND d.finished_at IS NULL AND p.kind IS NULL",
            " WHERE ",
            $condition
        )
    };
}
macro_rules! receipts {
    ($from:literal) => {
        concat!("SELECT d.key, r.id, r.jws, m.sender, m.traceparent, d.receipt_attempts", $from)
    };
}
macro_rules! receipts_where {
    ($condition:literal) => {
        concat!(
            receipts!(" FROM receipt AS r JOIN delivery AS d ON d.key = r.delivery"),
            " JOIN message AS m ON m.key = d.message WHERE ",
            $condition
        )
    };
}
macro_rules! rows_where {
    ($condition:literal) => {
        concat!(
            "SELECT d.key, m.source, m.id, m.kind, m.sender, d.recipient, d.role, d.outcome, d.reason, d.attempts,",
            " m.received_at, d.changed_at, CASE WHEN d.holder IS NULL THEN d.due_at END, m.traceparent, p.decision, r.id, r.jws",
            " FROM delivery AS d JOIN message AS m ON m.key = d.message LEFT JOIN pending AS p ON p.delivery = d.key",
            " LEFT JOIN receipt AS r ON r.delivery = d.key WHERE ",
            $condition
        )
    };
}

pub(super) use rows_where;

static DUE: Statement = Statement { head: due_where!("d.key IN"), columns: 1, tail: "" };
const OWING: &str = due_where!("d.finished_at IS NOT NULL AND NOT d.receipted ORDER BY d.finished_at, d.key LIMIT $1");
static RECEIPTS: Statement = Statement { head: receipts_where!("d.key IN"), columns: 1, tail: "" };
const RECEIPTS_BETWEEN: &str = receipts_where!("r.delivery BETWEEN $1 AND $2 ORDER BY r.delivery");
static RECEIPTS_OF: Statement = Statement {
    head: receipts!(
        " FROM message AS m JOIN delivery AS d ON d.key BETWEEN m.first_delivery AND m.last_delivery \
        JOIN receipt AS r ON r.delivery = d.key WHERE m.identity IN"
    ),
    columns: 1,
    tail: "",
};
const ROW: &str = rows_where!("d.key = $1");
const ROWS: &str = rows_where!("d.outcome IN ($1, $2, $3, $4, $5, $6, $7, $8, $9) ORDER BY d.key DESC LIMIT $10");
/// Says what the caller knows, so that the index of what is not final is enough.
const UNFINISHED_ROWS: &str = rows_where!(
    "d.finished_at IS NULL AND d.outcome IN ($1, $2, $3, $4, $5, $6, $7, $8, $9) ORDER BY d.key DESC LIMIT $10"
);
const WAITING: &str = "SELECT w.outcome, w.count, m.received_at FROM (SELECT outcome, count(*) AS count, \
                       min(message) AS message FROM delivery WHERE finished_at IS NULL GROUP BY outcome) AS w \
                       JOIN message AS m ON m.key = w.message";

/// Over its own index alone, which holds only what waits so.
const WAITING_FOR: &str = "SELECT w.recipient, w.count, m.received_at FROM (SELECT recipient, count(*) AS count, \
                           min(key) AS key FROM delivery WHERE waits GROUP BY recipient) AS w \
                           JOIN delivery AS d ON d.key = w.key JOIN message AS m ON m.key = d.message";

pub(super) async fn due(connection: &mut Connection, keys: &Keys, hold: Hold, claimed: Vec<i64>) -> Result<Vec<Due>> {
    let rows = DUE.with(claimed, put_one).fetch(connection).await?;
    let mut due: Vec<Due> = rows.iter().filter_map(|row| readable(read_due(row, keys, hold))).collect();
    due.sort_unstable_by_key(|due| due.delivery.0);
    Ok(due)
}

pub(super) async fn unreceipted(connection: &mut Connection, keys: &Keys, limit: usize) -> Result<Vec<Due>> {
    let rows = query(OWING).bind(bounded(limit)).fetch_all(connection).await?;
    Ok(rows.iter().filter_map(|row| readable(read_due(row, keys, Hold(0)))).collect())
}

pub(super) async fn receipts(connection: &mut Connection, keys: Vec<i64>) -> Result<Vec<DueReceipt>> {
    let rows = RECEIPTS.with(keys, put_one).fetch(connection).await?;
    let mut receipts: Vec<DueReceipt> = rows.iter().map(read_receipt).collect::<Result<_>>()?;
    receipts.sort_unstable_by_key(|receipt| receipt.key.0);
    Ok(receipts)
}

pub(super) async fn receipts_between(connection: &mut Connection, first: i64, last: i64) -> Result<Vec<DueReceipt>> {
    let rows = query(RECEIPTS_BETWEEN).bind(first).bind(last).fetch_all(connection).await?;
    rows.iter().map(read_receipt).collect()
}

pub(super) async fn receipts_of(connection: &mut Connection, identities: Vec<[u8; 16]>) -> Result<Vec<DueReceipt>> {
    let rows = RECEIPTS_OF.with(identities, put_blob).fetch(connection).await?;
    rows.iter().map(read_receipt).collect()
}

pub(super) async fn receipt(connection: &mut Connection, id: Uuid) -> Result<Option<SignedReceipt>> {
    let query = query("SELECT jws FROM receipt WHERE id = $1").bind(id.into_bytes().to_vec());
    let row = query.fetch_optional(connection).await?;
    row.map(|row| Ok(SignedReceipt::from_ledger(id, row.get::<String>(0)?))).transpose()
}

pub(super) async fn delivery(connection: &mut Connection, key: DeliveryKey) -> Result<Option<Row>> {
    let row = query(ROW).bind(key.0).fetch_optional(connection).await?;
    row.as_ref().map(read_row).transpose()
}

pub(super) async fn is_superseded(connection: &mut Connection, key: DeliveryKey) -> Result<Option<bool>> {
    let query = query("SELECT coalesce(ending, outcome) = $1 FROM delivery WHERE key = $2");
    let row = query.bind(Outcome::Superseded.as_str()).bind(key.0).fetch_optional(connection).await?;
    row.map(|row| row.get(0)).transpose()
}

pub(super) async fn list(connection: &mut Connection, outcomes: &[Outcome], limit: usize) -> Result<Vec<Row>> {
    let text = if outcomes.iter().any(|outcome| outcome.is_final()) { ROWS } else { UNFINISHED_ROWS };
    let mut query = query(text);
    for outcome in Outcome::ALL {
        query = query.bind(outcomes.contains(outcome).then(|| outcome.as_str()));
    }
    let rows = query.bind(bounded(limit)).fetch_all(connection).await?;
    Ok(rows.iter().filter_map(|row| readable(read_row(row))).collect())
}

pub(super) async fn waiting(connection: &mut Connection) -> Result<Vec<Waiting>> {
    let rows = query(WAITING).fetch_all(connection).await?;
    let read = |row: &Found| {
        let mut columns = Columns::of(row);
        Ok(Waiting { outcome: columns.outcome()?, count: columns.take()?, oldest: columns.timestamp()? })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn waiting_for(connection: &mut Connection) -> Result<Vec<WaitingFor>> {
    let rows = query(WAITING_FOR).fetch_all(connection).await?;
    let read = |row: &Found| {
        let mut columns = Columns::of(row);
        let recipient = PartyId::new(columns.take::<&str>()?);
        Ok(WaitingFor { recipient, count: columns.take()?, oldest: columns.timestamp()? })
    };
    rows.iter().map(read).collect()
}

/// One row that cannot be read does not hold up the others; it stays where it is, and is told each time.
pub(super) fn readable<T>(read: Result<T>) -> Option<T> {
    read.inspect_err(|error| tracing::error!(%error, "a row of the ledger cannot be read")).ok()
}

fn read_due(row: &Found, keys: &Keys, hold: Hold) -> Result<Due> {
    let mut columns = Columns::of(row);
    let delivery = DeliveryKey(columns.take()?);
    let message = read_head(&mut columns)?;
    let mut due = Due {
        delivery,
        hold,
        idempotency_key: Uuid::from_bytes(columns.bytes()?),
        recipient: read_recipient(&mut columns)?,
        decision: columns.json()?,
        outcome: columns.outcome()?,
        reason: columns.json_or_null()?,
        attempts: columns.count()?,
        tried: columns.take()?,
        raw: None,
        outgoing: None,
        unreadable: None,
        message,
    };
    let raw = columns.take::<Option<Vec<u8>>>()?.map(|sealed| keys.open(sealed, Place::Raw(due.message.key.0)));
    let outgoing = read_outgoing(&mut columns, keys, delivery)?;
    match (raw.transpose(), outgoing.transpose()) {
        (Ok(raw), Ok(outgoing)) => (due.raw, due.outgoing) = (raw.map(Personal::new), outgoing),
        (Err(error), _) | (_, Err(error)) => due.unreadable = Some(error),
    }
    Ok(due)
}

fn read_head(columns: &mut Columns<'_>) -> Result<Head> {
    Ok(Head {
        key: MessageKey(columns.take()?),
        source: columns.take()?,
        id: columns.take()?,
        kind: columns.take()?,
        sender: PartyId::new(columns.take::<&str>()?),
        received_at: columns.timestamp()?,
        traceparent: columns.take()?,
        order: columns.order()?,
        message_ref: columns.json()?,
        policy_version: columns.take()?,
        mapping_version: columns.take()?,
    })
}

fn read_recipient(columns: &mut Columns<'_>) -> Result<Option<(PartyId, Role)>> {
    let (party, role): (Option<&str>, Option<&str>) = (columns.take()?, columns.take()?);
    Ok(party.zip(role).map(|(party, role)| (PartyId::new(party), Role::new(role))))
}

fn read_outgoing(
    columns: &mut Columns<'_>,
    keys: &Keys,
    delivery: DeliveryKey,
) -> Result<Option<Result<Outgoing, SealError>>> {
    let Some(kind) = columns.take()? else { return Ok(None) };
    let (content_type, digest) = (columns.take()?, columns.take()?);
    let body = keys.open(columns.take()?, Place::Body(delivery.0));
    Ok(Some(body.map(|body| Outgoing { kind, content_type, digest, body: Personal::new(body) })))
}

fn read_receipt(row: &Found) -> Result<DueReceipt> {
    let mut columns = Columns::of(row);
    let key = DeliveryKey(columns.take()?);
    let receipt_id = Uuid::from_bytes(columns.bytes()?);
    Ok(DueReceipt {
        key,
        receipt_id,
        jws: SignedReceipt::from_ledger(receipt_id, columns.take()?),
        to: PartyId::new(columns.take::<&str>()?),
        traceparent: columns.take()?,
        attempts: columns.count()?,
    })
}

pub(super) fn read_row(row: &Found) -> Result<Row> {
    let mut columns = Columns::of(row);
    let (delivery, source, id, kind) = (columns.take()?, columns.take()?, columns.take()?, columns.take()?);
    let sender = PartyId::new(columns.take::<&str>()?);
    let recipient = columns.take::<Option<&str>>()?.map(PartyId::new);
    let role = columns.take::<Option<&str>>()?.map(Role::new);
    let (outcome, reason, attempts) = (columns.outcome()?, columns.json_or_null()?, columns.count()?);
    let (received_at, changed_at) = (columns.timestamp()?, columns.timestamp()?);
    let again_at = columns.take::<Option<i64>>()?.map(timestamp).transpose()?;
    let trace_id = columns.take::<Option<&str>>()?.and_then(|parent| parent.split('-').nth(1)).map(str::to_owned);
    let pending: Option<Decision> = columns.json_or_null()?;
    let receipt_id = columns.bytes_or_null()?.map(Uuid::from_bytes);
    let receipt = receipt_id.zip(columns.take()?).map(|(id, jws)| SignedReceipt::from_ledger(id, jws));
    let said = receipt.and_then(|receipt| receipt.content()).map(|receipt| receipt.decision);
    let decision = pending.or(said).unwrap_or_default();
    Ok(Row {
        delivery,
        source,
        id,
        kind,
        sender,
        recipient,
        role,
        outcome,
        reason,
        attempts,
        received_at,
        changed_at,
        again_at,
        trace_id,
        decision,
        receipt_id,
    })
}
