//! Messages with what was decided for each recipient, as the processing log tells them. A few times a day somebody asks,
//! so it looks through what there is instead of keeping an index; and it writes nothing.

use super::records::read_subject;
use super::store::{Connection, query};
use super::stored::{Columns, Result, bounded};
use super::{Error, Ledger, micros, unavailable};
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::receipt::{Decision, Receipt, SignedReceipt};
use crate::record::{Pseudonym, Subject};
use jiff::Timestamp;

/// Which messages are asked for: all that is set must hold. A page begins after a message of the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// 32 hexadecimal digits.
    pub trace_id: Option<String>,
    pub kind: Option<String>,
    /// Under either number.
    pub subject: Subject,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub after: i64,
}

/// A message as far as it says what was done with whose data.
#[derive(Clone, Debug)]
pub struct Processed {
    pub key: i64,
    pub kind: Option<String>,
    pub sender: PartyId,
    /// The calling application. Gone with the traffic data, as are trace and caller; a receipt still says it.
    pub source: Option<String>,
    pub received_at: Timestamp,
    pub trace_id: Option<String>,
    pub caller: Option<[u8; 8]>,
    pub subject: Subject,
    pub policy_version: String,
    pub mapping_version: String,
    pub deliveries: Vec<ProcessedDelivery>,
}

#[derive(Clone, Debug)]
pub struct ProcessedDelivery {
    pub key: i64,
    pub recipient: Option<(PartyId, Role)>,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub changed_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub decision: Decision,
}

/// The condition on the number says each place twice, as there are two numbers that it may be.
const PROCESSED: &str = "SELECT m.key, m.kind, m.sender, m.source, m.received_at, m.traceparent, m.caller, \
    m.subject_bsn, m.subject_skn, m.policy_version, m.mapping_version, d.key, d.recipient, d.role, d.outcome, d.reason, \
    d.changed_at, d.finished_at, p.decision, r.id, r.jws FROM (SELECT * FROM message WHERE key > $1 \
    AND received_at >= $2 AND received_at <= $3 AND ($4 IS NULL OR substr(traceparent, 4, 32) = $4) \
    AND ($5 IS NULL OR kind = $5) AND ($6 IS NULL OR subject_bsn = $6 OR subject_skn = $7) ORDER BY key LIMIT $8) AS m \
    LEFT JOIN delivery AS d ON d.key BETWEEN m.first_delivery AND m.last_delivery \
    LEFT JOIN pending AS p ON p.delivery = d.key LEFT JOIN receipt AS r ON r.delivery = d.key ORDER BY m.key, d.key";

impl Ledger {
    /// The oldest first, at most so many.
    pub async fn processed(&self, wanted: &Wanted, limit: usize) -> Result<Vec<Processed>, Error> {
        find(&mut self.reader().await?, wanted, limit).await.map_err(unavailable)
    }
}

async fn find(connection: &mut Connection, wanted: &Wanted, limit: usize) -> Result<Vec<Processed>> {
    let Wanted { trace_id, kind, subject, since, until, after } = wanted;
    let bytes = |pseudonym: Option<Pseudonym>| pseudonym.map(|Pseudonym(bytes)| bytes.to_vec());
    let (bsn, skn) = (subject.bsn.or(subject.skn), subject.skn.or(subject.bsn));
    let rows = query(PROCESSED)
        .bind(*after)
        .bind(since.map_or(i64::MIN, micros))
        .bind(until.map_or(i64::MAX, micros))
        .bind(trace_id.clone())
        .bind(kind.clone())
        .bind(bytes(bsn))
        .bind(bytes(skn))
        .bind(bounded(limit))
        .fetch_all(connection)
        .await?;
    let mut found: Vec<Processed> = Vec::new();
    for row in &rows {
        let mut columns = Columns::of(row);
        let message = read_message(&mut columns)?;
        let (delivery, said) = read_delivery(&mut columns)?.unzip();
        if found.last().is_none_or(|last| last.key != message.key) {
            found.push(message);
        }
        let Some(message) = found.last_mut() else { continue };
        if let Some(said) = said.flatten() {
            message.trace_id = message.trace_id.take().or(said.trace_id);
            message.source = message.source.take().or(said.message.source);
        }
        message.deliveries.extend(delivery);
    }
    Ok(found)
}

fn read_message(columns: &mut Columns<'_>) -> Result<Processed> {
    Ok(Processed {
        key: columns.take()?,
        kind: columns.take()?,
        sender: PartyId::new(columns.take::<&str>()?),
        source: columns.take::<Option<String>>()?.filter(|source| !source.is_empty()),
        received_at: columns.timestamp()?,
        trace_id: columns.take::<Option<&str>>()?.and_then(|parent| parent.split('-').nth(1)).map(str::to_owned),
        caller: columns.bytes_or_null()?,
        subject: read_subject(columns)?,
        policy_version: columns.take()?,
        mapping_version: columns.take()?,
        deliveries: Vec::new(),
    })
}

/// With what its receipt says, once there is one.
fn read_delivery(columns: &mut Columns<'_>) -> Result<Option<(ProcessedDelivery, Option<Receipt>)>> {
    let Some(key) = columns.take()? else { return Ok(None) };
    let (party, role): (Option<&str>, Option<&str>) = (columns.take()?, columns.take()?);
    let (outcome, reason, changed_at) = (columns.outcome()?, columns.json_or_null()?, columns.timestamp()?);
    let finished_at = columns.take::<Option<i64>>()?.map(super::stored::timestamp).transpose()?;
    let pending: Option<Decision> = columns.json_or_null()?;
    let id = columns.bytes_or_null()?.map(uuid::Uuid::from_bytes);
    let said = id.zip(columns.take()?).and_then(|(id, jws)| SignedReceipt::from_ledger(id, jws).content());
    let decision = said.as_ref().map(|receipt| receipt.decision.clone()).or(pending);
    // INVARIANT: every delivery has one of both. A log that leaves out what it cannot read would not be true.
    let decision = decision.ok_or_else(|| sqlx::Error::Decode("a receipt that cannot be read".into()))?;
    let reason = said.as_ref().and_then(|receipt| receipt.reason.clone()).or(reason);
    let recipient = party.zip(role).map(|(party, role)| (PartyId::new(party), Role::new(role)));
    Ok(Some((ProcessedDelivery { key, recipient, outcome, reason, changed_at, finished_at, decision }, said)))
}
