//! What went to whom of one person's data. Looks through every message, as this is asked a few times a year and an
//! index on pseudonyms would be paid for by every message. A million of them take 1.6 s in a build without
//! optimisation: `cargo test --lib a_million_messages -- --ignored --nocapture`.

use super::records::read_subject;
use super::rows::{Statement, put_subject};
use super::store::{Connection, Found};
use super::stored::{Columns, Result};
use super::{DeliveryKey, Disclosed};
use crate::outcome::Outcome;
use crate::party::{PartyId, Role};
use crate::receipt::{Decision, SignedReceipt};
use crate::record::{Pseudonym, Subject};
use std::collections::HashSet;
use uuid::Uuid;

static ABOUT: Statement = Statement {
    head: "WITH asked (bsn, skn) AS",
    columns: 2,
    tail: "SELECT subject_bsn, subject_skn FROM message \
           WHERE subject_bsn IN (SELECT bsn FROM asked) OR subject_skn IN (SELECT skn FROM asked)",
};
/// What ended was decided in its receipt, what did not in `pending`.
static DISCLOSED: Statement = Statement {
    head: "WITH asked (bsn, skn) AS",
    columns: 2,
    tail: "SELECT d.key, m.kind, m.sender, d.recipient, d.role, coalesce(d.finished_at, d.changed_at), \
           d.outcome, m.subject_bsn, m.subject_skn, p.decision, r.id, r.jws \
           FROM message AS m JOIN delivery AS d ON d.key BETWEEN m.first_delivery AND m.last_delivery \
           LEFT JOIN pending AS p ON p.delivery = d.key LEFT JOIN receipt AS r ON r.delivery = d.key \
           WHERE (m.subject_bsn IN (SELECT bsn FROM asked) OR m.subject_skn IN (SELECT skn FROM asked)) \
           AND (d.tried OR d.outcome = 'delivered') AND d.recipient IS NOT NULL",
};

/// A person in the numbers under which messages may know him: those that are asked for, and what stands beside them.
#[derive(Default)]
struct Numbers {
    bsn: HashSet<Pseudonym>,
    skn: HashSet<Pseudonym>,
}

impl Numbers {
    fn add(&mut self, subject: Subject) {
        self.bsn.extend(subject.bsn);
        self.skn.extend(subject.skn);
    }

    /// Each in a row of its own.
    fn asked(&self) -> Vec<Subject> {
        let bsn = self.bsn.iter().map(|bsn| Subject { bsn: Some(*bsn), skn: None });
        bsn.chain(self.skn.iter().map(|skn| Subject { bsn: None, skn: Some(*skn) })).collect()
    }

    fn know(&self, subject: Subject) -> bool {
        subject.bsn.is_some_and(|bsn| self.bsn.contains(&bsn)) || subject.skn.is_some_and(|skn| self.skn.contains(&skn))
    }
}

/// One hop further than asked, and no more: a number that is wrong in one message must not lead to a third person.
pub(super) async fn about(connection: &mut Connection, subject: Subject, since: i64) -> Result<Vec<Disclosed>> {
    let (mut asked, mut linked) = (Numbers::default(), Numbers::default());
    asked.add(subject);
    linked.add(subject);
    let rows = ABOUT.with(asked.asked(), put_subject).fetch(connection).await?;
    for row in &rows {
        linked.add(read_subject(&mut Columns::of(row))?);
    }
    let rows = DISCLOSED.with(linked.asked(), put_subject).fetch(connection).await?;
    let mut disclosed: Vec<Disclosed> = rows.iter().map(|row| read(row, &asked)).collect::<Result<_>>()?;
    disclosed.retain(|of| of.at.as_microsecond() >= since && !of.decision.shared.is_empty());
    disclosed.sort_unstable_by_key(|of| (of.at, of.delivery.0));
    // Asked in more than one go, some are found again.
    disclosed.dedup_by_key(|of| of.delivery);
    Ok(disclosed)
}

fn read(row: &Found, asked: &Numbers) -> Result<Disclosed> {
    let mut columns = Columns::of(row);
    let (delivery, kind) = (DeliveryKey(columns.take()?), columns.take()?);
    let (sender, recipient) = (PartyId::new(columns.take::<&str>()?), PartyId::new(columns.take::<&str>()?));
    let role = Role::new(columns.take::<&str>()?);
    let (at, certain) = (columns.timestamp()?, columns.outcome()? == Outcome::Delivered);
    let linked = !asked.know(read_subject(&mut columns)?);
    let pending: Option<Decision> = columns.json_or_null()?;
    let receipt_id = columns.bytes_or_null()?.map(Uuid::from_bytes);
    let receipt = receipt_id.zip(columns.take()?).map(|(id, jws)| SignedReceipt::from_ledger(id, jws));
    let said = receipt.and_then(|receipt| receipt.content()).map(|receipt| receipt.decision);
    // INVARIANT: every delivery has one of both. A report that leaves out what it cannot read would not be true.
    let decision = said.or(pending).ok_or_else(|| sqlx::Error::Decode("a receipt that cannot be read".into()))?;
    Ok(Disclosed { delivery, kind, sender, recipient, role, at, certain, linked, decision, receipt_id })
}
