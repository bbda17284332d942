//! What the console looks up: messages and their deliveries, what waits for whom, and what persons did. Changes
//! nothing. What has no index is looked through: a person asks, now and then, and an index is paid for by every message.

use super::read::{read_row, readable, rows_where};
use super::store::{Found, query};
use super::stored::{Columns, Result, bounded, timestamp};
use super::{DeliveryKey, Error, Ledger, Row, unavailable};
use crate::outcome::Outcome;
use crate::party::PartyId;
use crate::record::Subject;
use jiff::Timestamp;
use uuid::Uuid;

const OF_MESSAGE: &str = rows_where!(
    "d.key BETWEEN (SELECT o.first_delivery FROM message AS o WHERE o.key = (SELECT message FROM delivery WHERE key = $1)) \
     AND (SELECT o.last_delivery FROM message AS o WHERE o.key = (SELECT message FROM delivery WHERE key = $1)) \
     ORDER BY d.key LIMIT 1000"
);
/// The oldest first, after one of them.
const WAITING_ROWS: &str = rows_where!(
    "d.finished_at IS NULL AND d.outcome IN ($1, $2, $3, $4) AND ($5 = '' OR d.recipient = $5) AND d.key > $6 \
     ORDER BY d.key LIMIT $7"
);
const BY_ID: &str = "SELECT min(d.key) FROM message AS m JOIN delivery AS d ON d.key BETWEEN m.first_delivery AND \
                     m.last_delivery WHERE m.id = $1 GROUP BY m.key ORDER BY m.key DESC LIMIT 50";
const BY_TRACE: &str = "SELECT min(d.key) FROM message AS m JOIN delivery AS d ON d.key BETWEEN m.first_delivery AND \
                        m.last_delivery WHERE substr(m.traceparent, 4, 32) = $1 GROUP BY m.key ORDER BY m.key DESC LIMIT 50";
const BY_RECEIPT: &str = "SELECT delivery FROM receipt WHERE id = $1 LIMIT 50";
const WAITING_AT: &str = "SELECT w.recipient, w.outcome, w.count, m.received_at FROM (SELECT recipient, outcome, \
                          count(*) AS count, min(message) AS message FROM delivery WHERE finished_at IS NULL \
                          GROUP BY recipient, outcome) AS w JOIN message AS m ON m.key = w.message ORDER BY 4";
const ACTIONS: &str = "SELECT key, at, delivery, who, what, why, subject_bsn IS NOT NULL OR subject_skn IS NOT NULL \
                       FROM action WHERE key < $1 ORDER BY key DESC LIMIT $2";
const ACTIONS_ON: &str = "SELECT key, at, delivery, who, what, why, subject_bsn IS NOT NULL OR subject_skn IS NOT NULL \
                          FROM action WHERE delivery BETWEEN $1 AND $2 ORDER BY key LIMIT 1000";
const SUBJECT: &str = "SELECT m.subject_bsn, m.subject_skn FROM delivery AS d JOIN message AS m ON m.key = d.message \
                       WHERE d.key = $1";

/// What somebody did.
#[derive(Clone, Debug)]
pub struct Acted {
    pub key: i64,
    pub at: Timestamp,
    pub delivery: Option<DeliveryKey>,
    pub who: String,
    pub what: String,
    pub why: String,
    /// About whom is not told.
    pub about_a_person: bool,
}

/// What waits, and for whom.
#[derive(Clone, Debug)]
pub struct WaitingAt {
    pub recipient: Option<PartyId>,
    pub outcome: Outcome,
    pub count: i64,
    pub oldest: Timestamp,
}

/// By what a message is found. Never by a personal number.
#[derive(Clone, Debug)]
pub enum Sought {
    Id(String),
    TraceId(String),
    Receipt(Uuid),
}

impl Ledger {
    /// Of each message that is found, its first delivery; the newest message first.
    pub async fn find(&self, sought: &Sought) -> Result<Vec<DeliveryKey>, Error> {
        let asked = match sought {
            Sought::Id(id) => query(BY_ID).bind(id.clone()),
            Sought::TraceId(id) => query(BY_TRACE).bind(id.clone()),
            Sought::Receipt(id) => query(BY_RECEIPT).bind(id.into_bytes().to_vec()),
        };
        let rows = asked.fetch_all(&mut self.reader().await?).await.map_err(unavailable)?;
        let keys = rows.iter().map(|row| Ok(DeliveryKey(Columns::of(row).take()?)));
        keys.collect::<Result<_>>().map_err(unavailable)
    }

    /// Every delivery of the message that this one is of.
    pub async fn beside(&self, delivery: DeliveryKey) -> Result<Vec<Row>, Error> {
        let asked = query(OF_MESSAGE).bind(delivery.0);
        let rows = asked.fetch_all(&mut self.reader().await?).await.map_err(unavailable)?;
        Ok(rows.iter().filter_map(|row| readable(read_row(row))).collect())
    }

    /// What waits so, the oldest first; where a recipient is named, for it alone.
    pub async fn queue(
        &self,
        outcomes: &[Outcome],
        recipient: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        let mut asked = query(WAITING_ROWS);
        for outcome in Outcome::ALL.iter().filter(|outcome| !outcome.is_final()) {
            asked = asked.bind(outcomes.contains(outcome).then(|| outcome.as_str()));
        }
        let asked = asked.bind(recipient.to_owned()).bind(after).bind(bounded(limit));
        let rows = asked.fetch_all(&mut self.reader().await?).await.map_err(unavailable)?;
        Ok(rows.iter().filter_map(|row| readable(read_row(row))).collect())
    }

    pub async fn waiting_at(&self) -> Result<Vec<WaitingAt>, Error> {
        let rows = query(WAITING_AT).fetch_all(&mut self.reader().await?).await.map_err(unavailable)?;
        let read = |row: &Found| {
            let mut columns = Columns::of(row);
            let recipient = columns.take::<Option<&str>>()?.map(PartyId::new);
            let outcome = columns.outcome()?;
            Ok(WaitingAt { recipient, outcome, count: columns.take()?, oldest: columns.timestamp()? })
        };
        rows.iter().map(read).collect::<Result<_>>().map_err(unavailable)
    }

    /// What persons did, the newest first, before one of them.
    pub async fn actions(&self, before: i64, limit: usize) -> Result<Vec<Acted>, Error> {
        let asked = query(ACTIONS).bind(before).bind(bounded(limit));
        let rows = asked.fetch_all(&mut self.reader().await?).await.map_err(unavailable)?;
        rows.iter().map(read_acted).collect::<Result<_>>().map_err(unavailable)
    }

    /// What persons did about deliveries from one to another, the oldest first.
    pub async fn actions_on(&self, first: DeliveryKey, last: DeliveryKey) -> Result<Vec<Acted>, Error> {
        let asked = query(ACTIONS_ON).bind(first.0).bind(last.0);
        let rows = asked.fetch_all(&mut self.reader().await?).await.map_err(unavailable)?;
        rows.iter().map(read_acted).collect::<Result<_>>().map_err(unavailable)
    }

    /// Whom the message of a delivery is about.
    pub async fn subject_of(&self, delivery: DeliveryKey) -> Result<Subject, Error> {
        let asked = query(SUBJECT).bind(delivery.0);
        let row = asked.fetch_optional(&mut self.reader().await?).await.map_err(unavailable)?;
        let row = row.ok_or(Error::NoSuchRow)?;
        super::records::read_subject(&mut Columns::of(&row)).map_err(unavailable)
    }
}

fn read_acted(row: &Found) -> Result<Acted> {
    let mut columns = Columns::of(row);
    Ok(Acted {
        key: columns.take()?,
        at: timestamp(columns.take()?)?,
        delivery: columns.take::<Option<i64>>()?.map(DeliveryKey),
        who: columns.take()?,
        what: columns.take()?,
        why: columns.take()?,
        about_a_person: columns.take()?,
    })
}
