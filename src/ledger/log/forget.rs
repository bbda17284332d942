//! Forgetting a person: nothing that is kept says any more whom it is about, and the key under which the disclosure log
//! knew him is gone. No leaf changes by it. What must be kept for now is not touched.

use crate::ledger::command::Command;
use crate::ledger::records::read_subject;
use crate::ledger::rows::{Statement, put_blob, put_one};
use crate::ledger::store::{Connection, query};
use crate::ledger::stored::{Columns, Result};
use crate::ledger::{Error, Ledger, micros};
use crate::record::{Pseudonym, Subject};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Who is to be forgotten, by whom and why.
#[derive(Clone, Debug)]
pub struct Forget {
    pub subject: Subject,
    pub who: String,
    pub why: String,
    pub now: i64,
    /// What ended later must be kept.
    pub before: i64,
}

impl Ledger {
    /// How many entries of the log lost their person. [`Error::Kept`] where something about him must be kept for now.
    pub async fn forget(
        &self,
        subject: Subject,
        who: &str,
        why: &str,
        now: Timestamp,
        before: Timestamp,
    ) -> Result<i64, Error> {
        let (who, why) = (who.to_owned(), why.to_owned());
        let forget = Forget { subject, who, why, now: micros(now), before: micros(before) };
        self.ask(|reply| Command::Forget(forget, reply)).await
    }
}

macro_rules! messages {
    ($column:literal) => {
        Statement {
            head: concat!("SELECT m.key, m.subject_bsn, m.subject_skn FROM message AS m WHERE m.", $column, " IN"),
            columns: 1,
            tail: "",
        }
    };
}
macro_rules! actions {
    ($column:literal) => {
        Statement {
            head: concat!(
                "SELECT e.position FROM action AS a JOIN log_entry AS e ON e.kind = 'action' AND e.record = a.key \
                 WHERE a.",
                $column,
                " IN"
            ),
            columns: 1,
            tail: "",
        }
    };
}
macro_rules! no_subject {
    ($table:literal, $column:literal) => {
        Statement {
            head: concat!("UPDATE ", $table, " SET subject_bsn = NULL, subject_skn = NULL WHERE ", $column, " IN"),
            columns: 1,
            tail: "",
        }
    };
}

static BY_BSN: Statement = messages!("subject_bsn");
static BY_SKN: Statement = messages!("subject_skn");
/// When each delivery was over, its receipt out; past every moment where it is not. With its place in the log.
static DELIVERIES: Statement = Statement {
    head: "SELECT CASE WHEN NOT d.receipted OR d.receipt_at IS NOT NULL OR d.finished_at IS NULL \
           THEN 9223372036854775807 ELSE d.finished_at END, e.position FROM message AS m \
           JOIN delivery AS d ON d.key BETWEEN m.first_delivery AND m.last_delivery \
           LEFT JOIN receipt AS r ON r.delivery = d.key \
           LEFT JOIN log_entry AS e ON e.kind = 'receipt' AND e.record = r.key WHERE m.key IN",
    columns: 1,
    tail: "",
};
/// Of actions about the person: those that are in the log.
static ACTIONS_BY_BSN: Statement = actions!("subject_bsn");
static ACTIONS_BY_SKN: Statement = actions!("subject_skn");
static NO_SERIES: Statement = Statement {
    head: "DELETE FROM series WHERE key IN (SELECT m.series FROM message AS m WHERE m.key IN",
    columns: 1,
    tail: ")",
};
static NO_MESSAGE_SUBJECT: Statement = Statement {
    head: "UPDATE message SET subject_bsn = NULL, subject_skn = NULL, series = NULL, sequence = NULL WHERE key IN",
    columns: 1,
    tail: "",
};
static NO_ACTION_BSN: Statement = no_subject!("action", "subject_bsn");
static NO_ACTION_SKN: Statement = no_subject!("action", "subject_skn");
static NO_RECORD_BSN: Statement = no_subject!("record", "subject_bsn");
static NO_RECORD_SKN: Statement = no_subject!("record", "subject_skn");
static NO_KEY: Statement = Statement { head: "DELETE FROM person_key WHERE pseudonym IN", columns: 1, tail: "" };
const ACTION: &str = "INSERT INTO action (at, who, what, why) VALUES ($1, $2, 'forget', $3)";
const NOTE: &str = "INSERT INTO purge (what, before, at, count, last) VALUES ('person', $1, $2, $3, 0)";

type Numbers = BTreeSet<[u8; 16]>;

/// One hop further than asked, as with who asks what is known of a person: a number that is wrong in one message must
/// not make a third person forgotten.
pub(in crate::ledger) async fn forget(connection: &mut Connection, forget: Forget) -> Result<Result<i64, Error>> {
    let (mut bsn, mut skn) = (Numbers::new(), Numbers::new());
    add(forget.subject, &mut bsn, &mut skn);
    let mut messages = BTreeSet::new();
    for _ in 0..2 {
        let (asked_bsn, asked_skn) = (list(&bsn), list(&skn));
        for (statement, numbers) in [(&BY_BSN, asked_bsn), (&BY_SKN, asked_skn)] {
            for row in statement.with(numbers, put_blob).fetch(connection).await? {
                let mut columns = Columns::of(&row);
                messages.insert(columns.take::<i64>()?);
                add(read_subject(&mut columns)?, &mut bsn, &mut skn);
            }
        }
    }
    let messages: Vec<i64> = messages.into_iter().collect();
    let mut count = 0;
    for row in DELIVERIES.with(messages.clone(), put_one).fetch(connection).await? {
        let mut columns = Columns::of(&row);
        if columns.take::<i64>()? >= forget.before {
            return Ok(Err(Error::Kept));
        }
        count += i64::from(columns.take::<Option<i64>>()?.is_some());
    }
    count += unlink(connection, messages, &bsn, &skn).await?;
    query(ACTION).bind(forget.now).bind(forget.who).bind(forget.why).execute(connection).await?;
    query(NOTE).bind(forget.before).bind(forget.now).bind(count).execute(connection).await?;
    Ok(Ok(count))
}

/// How many actions in the log were about the person.
async fn unlink(connection: &mut Connection, messages: Vec<i64>, bsn: &Numbers, skn: &Numbers) -> Result<i64> {
    let mut actions = BTreeSet::new();
    for (statement, numbers) in [(&ACTIONS_BY_BSN, list(bsn)), (&ACTIONS_BY_SKN, list(skn))] {
        for row in statement.with(numbers, put_blob).fetch(connection).await? {
            actions.insert(Columns::of(&row).take::<i64>()?);
        }
    }
    NO_SERIES.with(messages.clone(), put_one).execute(connection).await?;
    NO_MESSAGE_SUBJECT.with(messages, put_one).execute(connection).await?;
    let by_number = [
        (&NO_ACTION_BSN, bsn),
        (&NO_ACTION_SKN, skn),
        (&NO_RECORD_BSN, bsn),
        (&NO_RECORD_SKN, skn),
        (&NO_KEY, bsn),
        (&NO_KEY, skn),
    ];
    for (statement, numbers) in by_number {
        statement.with(list(numbers), put_blob).execute(connection).await?;
    }
    Ok(i64::try_from(actions.len()).unwrap_or(i64::MAX))
}

fn add(subject: Subject, bsn: &mut Numbers, skn: &mut Numbers) {
    bsn.extend(subject.bsn.map(|Pseudonym(bytes)| bytes));
    skn.extend(subject.skn.map(|Pseudonym(bytes)| bytes));
}

fn list(numbers: &Numbers) -> Vec<[u8; 16]> {
    numbers.iter().copied().collect()
}
