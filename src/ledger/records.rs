//! Records as the ledger gives them back, and how far they had come when something was decided. Says whom they are
//! about by pseudonym; what they mean is read elsewhere.

use super::rows::{Statement, Values, put_subject};
use super::store::{Connection, Found, query};
use super::stored::{Columns, Result};
use crate::record::{Kind, Pseudonym, Record, Subject};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

/// Of one person by pseudonym or number of a consent, so that the withdrawal of a consent is found under whichever
/// number of the person it came.
static RECORDS: Statement = Statement {
    head: "WITH asked (bsn, skn, id) AS",
    columns: 3,
    tail: ", about AS (SELECT * FROM record WHERE subject_bsn IN (SELECT bsn FROM asked) \
           UNION SELECT * FROM record WHERE subject_skn IN (SELECT skn FROM asked)) \
           SELECT key, kind, id, sequence, content FROM about \
           UNION SELECT key, kind, id, sequence, content FROM record WHERE kind = 'intrekking' \
           AND id IN (SELECT id FROM about UNION SELECT id FROM asked)",
};

static NEWEST: Statement = Statement {
    head: "WITH asked (bsn, skn) AS",
    columns: 2,
    tail: "SELECT subject_bsn, max(key) FROM record WHERE subject_bsn IN (SELECT bsn FROM asked) GROUP BY subject_bsn \
           UNION ALL SELECT subject_skn, max(key) FROM record WHERE subject_skn IN (SELECT skn FROM asked) \
           GROUP BY subject_skn",
};

/// Whom there are records about: what is asked for each message that needs facts, and mostly answered with nobody.
/// INVARIANT: everybody with a record in the file is in here; the gateway alone writes records. Not for a server, which
/// is asked each time, as other gateways write there too.
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
    subject: Subject,
    came: Came,
}

#[derive(Clone, Debug)]
enum Came {
    /// `None` where one was just being written.
    InBook { book: Arc<Book>, last: Option<u64> },
    /// On a server: the newest record of all; `None` where that could not be had.
    Newest(Option<i64>),
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
    /// Of a server, of which other gateways write in the same tables.
    pub(super) fn newest(subject: Subject, newest: Option<i64>) -> Mark {
        Mark { subject, came: Came::Newest(newest) }
    }

    /// About whom must be asked what came since.
    pub(super) fn to_ask(&self) -> Option<Subject> {
        matches!(self.came, Came::Newest(_)).then_some(self.subject)
    }

    /// Nothing came since, where `newest` tells of what [`Mark::to_ask`] asked for.
    pub(super) fn is_current_at(&self, newest: &HashMap<Pseudonym, i64>) -> bool {
        match &self.came {
            Came::InBook { book, last } => last.is_some() && book.last(self.subject) == *last,
            Came::Newest(then) => then.is_some_and(|then| {
                self.subject.pseudonyms().all(|pseudonym| newest.get(&pseudonym).is_none_or(|newest| *newest <= then))
            }),
        }
    }
}

impl Book {
    pub async fn load(connection: &mut Connection) -> Result<Book> {
        let rows = query("SELECT subject_bsn, subject_skn, kind, id FROM record").fetch_all(connection).await?;
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
        Mark { subject, came: Came::InBook { book: self.clone(), last: self.last(subject) } }
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

/// The newest record of all.
pub(super) async fn newest_of_all(connection: &mut Connection) -> Result<i64> {
    query("SELECT coalesce(max(key), 0) FROM record").fetch_one(connection).await
}

/// The newest record about each of these persons who has any.
pub(super) async fn newest(connection: &mut Connection, subjects: Vec<Subject>) -> Result<HashMap<Pseudonym, i64>> {
    let mut newest = HashMap::new();
    for row in NEWEST.with(subjects, put_subject).fetch(connection).await? {
        let mut columns = Columns::of(&row);
        newest.insert(Pseudonym(columns.bytes()?), columns.take()?);
    }
    Ok(newest)
}

pub(super) async fn about(connection: &mut Connection, subject: Subject, consents: &[String]) -> Result<Vec<Record>> {
    let mut asked = vec![(subject, None)];
    asked.extend(consents.iter().map(|id| (Subject::default(), Some(id.as_str()))));
    let put = |(subject, id): (Subject, Option<&str>), values: &mut Values| {
        put_subject(subject, values);
        values.put(id);
    };
    let rows = RECORDS.with(asked, put).fetch(connection).await?;
    // In the order in which they came. Asked in more than one go, some are found again.
    let found: BTreeMap<i64, Record> = rows.iter().map(read).collect::<Result<_>>()?;
    Ok(found.into_values().collect())
}

/// `traceparent`s, the newest first.
pub(super) async fn traces(connection: &mut Connection, subject: Subject) -> Result<Vec<String>> {
    const TRACES: &str = "SELECT m.traceparent FROM message m WHERE m.traceparent IS NOT NULL AND m.key IN \
                          (SELECT message FROM record WHERE subject_bsn = $1 \
                          UNION SELECT message FROM record WHERE subject_skn = $2) ORDER BY m.key DESC LIMIT 16";
    let bytes = |pseudonym: Option<Pseudonym>| pseudonym.map(|Pseudonym(bytes)| bytes.to_vec());
    let rows = query(TRACES).bind(bytes(subject.bsn)).bind(bytes(subject.skn)).fetch_all(connection).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

fn read(row: &Found) -> Result<(i64, Record)> {
    let mut columns = Columns::of(row);
    let key = columns.take()?;
    let unknown = || sqlx::Error::Decode("a kind of record that this version does not know".into());
    let kind = Kind::parse(columns.take()?).ok_or_else(unknown)?;
    Ok((key, Record { kind, id: columns.take()?, sequence: columns.take()?, content: columns.take()? }))
}

pub(super) fn read_subject(columns: &mut Columns<'_>) -> Result<Subject> {
    let (bsn, skn) = (columns.bytes_or_null()?, columns.bytes_or_null()?);
    Ok(Subject { bsn: bsn.map(Pseudonym), skn: skn.map(Pseudonym) })
}
