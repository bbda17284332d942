//! Records as the ledger gives them back, and how far they had come when something was decided. Says whom they are
//! about by pseudonym; what they mean is read elsewhere.

use super::stored::{Columns, Result};
use crate::record::{Kind, Pseudonym, Record, Subject};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

/// Of one person by pseudonym or number of a consent, so that the withdrawal of a consent is found under whichever
/// number of the person it came.
const RECORDS: &str = "WITH about AS (SELECT * FROM record WHERE subject_bsn = $1 \
                       UNION SELECT * FROM record WHERE subject_skn = $2) \
                       SELECT key, kind, id, sequence, content FROM about \
                       UNION SELECT key, kind, id, sequence, content FROM record WHERE kind = 'intrekking' \
                       AND id IN (SELECT id FROM about UNION SELECT value FROM json_each($3)) ORDER BY key";

/// Whom there are records about: what is asked for each message that needs facts, and mostly answered with nobody.
/// INVARIANT: everybody with a record in the file is in here; the gateway alone writes records.
#[derive(Debug, Default)]
pub(super) struct Book(RwLock<Pages>);

#[derive(Debug, Default)]
struct Pages {
    persons: HashMap<Pseudonym, Page>,
    withdrawn: HashSet<String>,
    /// Counts the records that came since the start.
    came: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// Which record was the last about this person.
    last: u64,
    /// Records that are being written: they are not there yet for whoever reads, or they just are.
    coming: u32,
}

/// How far the records about a person had come at some moment.
#[derive(Clone, Debug)]
pub struct Mark {
    book: Arc<Book>,
    subject: Subject,
    /// `None` where one was just being written.
    last: Option<u64>,
}

/// A record is being written. Dropped, it is written, or it is not going to be.
pub(super) struct Writing<'a> {
    book: &'a Book,
    subject: Subject,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.book.write(|pages| {
            for pseudonym in self.subject.pseudonyms() {
                pages.persons.entry(pseudonym).and_modify(|page| page.coming = page.coming.saturating_sub(1));
            }
        });
    }
}

impl Mark {
    /// Nothing came since. Asked before something is done on the ground of what was read.
    pub fn is_current(&self) -> bool {
        self.last.is_some() && self.book.last(self.subject) == self.last
    }
}

impl Book {
    pub async fn load(connection: &mut SqliteConnection) -> Result<Book> {
        let rows = sqlx::query("SELECT subject_bsn, subject_skn, kind, id FROM record").fetch_all(connection).await?;
        let mut pages = Pages::default();
        for row in rows {
            let mut columns = Columns::of(&row);
            let subject = read_subject(&mut columns)?;
            subject.pseudonyms().for_each(|pseudonym| _ = pages.persons.entry(pseudonym).or_default());
            pages.note_withdrawal(columns.take()?, columns.take()?);
        }
        Ok(Book(RwLock::new(pages)))
    }

    pub fn mark(self: &Arc<Self>, subject: Subject) -> Mark {
        Mark { book: self.clone(), subject, last: self.last(subject) }
    }

    /// From now on, what was read before is not current.
    pub fn begin(&self, subject: Subject, record: &Record) -> Writing<'_> {
        self.write(|pages| {
            pages.came += 1;
            pages.note_withdrawal(record.kind.as_str(), &record.id);
            for pseudonym in subject.pseudonyms() {
                let page = pages.persons.entry(pseudonym).or_default();
                (page.last, page.coming) = (pages.came, page.coming + 1);
            }
        });
        Writing { book: self, subject }
    }

    pub fn may_know(&self, subject: Subject, consents: &[String]) -> bool {
        let pages = self.0.read().unwrap_or_else(PoisonError::into_inner);
        subject.pseudonyms().any(|pseudonym| pages.persons.contains_key(&pseudonym))
            || consents.iter().any(|id| pages.withdrawn.contains(id))
    }

    fn last(&self, subject: Subject) -> Option<u64> {
        let pages = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut last = 0;
        for page in subject.pseudonyms().filter_map(|pseudonym| pages.persons.get(&pseudonym)) {
            if page.coming > 0 {
                return None;
            }
            last = last.max(page.last);
        }
        Some(last)
    }

    fn write(&self, change: impl FnOnce(&mut Pages)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Pages {
    fn note_withdrawal(&mut self, kind: &str, id: &str) {
        if kind == Kind::Intrekking.as_str() {
            self.withdrawn.insert(id.to_owned());
        }
    }
}

pub(super) async fn about(
    connection: &mut SqliteConnection,
    subject: Subject,
    consents: &[String],
) -> Result<Vec<Record>> {
    let pseudonym = |pseudonym: Option<Pseudonym>| pseudonym.map(|Pseudonym(bytes)| bytes.to_vec());
    let query = sqlx::query(RECORDS).bind(pseudonym(subject.bsn)).bind(pseudonym(subject.skn));
    let rows = query.bind(super::stored::json(&consents)).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<Record> {
    let mut columns = Columns::of(row);
    let _: i64 = columns.take()?;
    let unknown = || sqlx::Error::Decode("a kind of record that this version does not know".into());
    let kind = Kind::parse(columns.take()?).ok_or_else(unknown)?;
    Ok(Record { kind, id: columns.take()?, sequence: columns.take()?, content: columns.take()? })
}

pub(super) fn read_subject(columns: &mut Columns<'_>) -> Result<Subject> {
    let (bsn, skn) = (columns.bytes_or_null()?, columns.bytes_or_null()?);
    Ok(Subject { bsn: bsn.map(Pseudonym), skn: skn.map(Pseudonym) })
}
