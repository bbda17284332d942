//! Statements over many rows at once. They come in few widths, so that each is prepared once and then reused; the
//! places that are left over hold NULL, and every statement passes over a row that begins with NULL.

use super::seal::SealError;
use super::stored::Result;
use crate::record::{Pseudonym, Subject};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

/// Each is kept prepared in each width, which takes memory by the width; a wider one saves no more than an exchange.
const WIDEST: usize = 64;

/// `head (VALUES (?, ?), (?, ?)) tail`. Both parts are constants: no value ever becomes part of the text.
pub(super) struct Statement {
    pub head: &'static str,
    pub columns: usize,
    pub tail: &'static str,
}

/// The values of one execution, in the order of the columns.
#[derive(Default)]
pub(super) struct Values {
    arguments: SqliteArguments,
    refused: Option<sqlx::error::BoxDynError>,
}

impl Values {
    pub fn put<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.refused.get_or_insert(error);
        }
        self
    }

    /// Where it could not be sealed, nothing of the batch is written.
    pub fn put_sealed(&mut self, sealed: Result<Vec<u8>, SealError>) -> &mut Self {
        match sealed {
            Ok(sealed) => self.put(sealed),
            Err(error) => {
                self.refused.get_or_insert(error.into());
                self
            }
        }
    }
}

pub(super) fn put_one(key: i64, values: &mut Values) {
    values.put(key);
}

pub(super) fn put_blob<const N: usize>(bytes: [u8; N], values: &mut Values) {
    values.put(bytes.to_vec());
}

pub(super) fn put_subject(subject: Subject, values: &mut Values) {
    values.put(subject.bsn.map(|Pseudonym(bytes)| bytes.to_vec()));
    values.put(subject.skn.map(|Pseudonym(bytes)| bytes.to_vec()));
}

/// A statement and the rows for it.
pub(super) struct Part<'a> {
    statement: &'static Statement,
    rows: usize,
    /// Puts the next row.
    put: Box<dyn FnMut(&mut Values) + Send + 'a>,
}

impl Statement {
    pub fn with<'a, R: Send + 'a>(&'static self, rows: Vec<R>, put: impl Fn(R, &mut Values) + Send + 'a) -> Part<'a> {
        let mut next = rows.into_iter();
        let rows = next.len();
        Part {
            statement: self,
            rows,
            put: Box::new(move |values| next.by_ref().take(1).for_each(|row| put(row, values))),
        }
    }

    fn append_to(&self, text: &mut String, width: usize) {
        let row = format!("(?{})", ",?".repeat(self.columns - 1));
        text.reserve(self.head.len() + width * (row.len() + 1) + self.tail.len() + 12);
        text.push_str(self.head);
        text.push_str(" (VALUES ");
        for place in 0..width {
            text.push_str(if place == 0 { "" } else { "," });
            text.push_str(&row);
        }
        text.push_str(") ");
        text.push_str(self.tail);
    }
}

impl Part<'_> {
    pub async fn execute(self, connection: &mut SqliteConnection) -> Result<()> {
        execute_together(connection, vec![self]).await
    }

    pub async fn fetch(mut self, connection: &mut SqliteConnection) -> Result<Vec<SqliteRow>> {
        let mut found = Vec::new();
        while self.rows > 0 {
            let (text, arguments) = chunk(std::slice::from_mut(&mut self))?;
            found.extend(sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(&mut *connection).await?);
        }
        Ok(found)
    }
}

/// All of them in one exchange with SQLite's thread, which costs more than what most of them do.
pub(super) async fn execute_together(connection: &mut SqliteConnection, mut parts: Vec<Part<'_>>) -> Result<()> {
    loop {
        let (text, arguments) = match parts.iter().filter(|part| part.rows > 0).count() {
            0 => return Ok(()),
            // Alone, so that the others need not pass over rows of NULL.
            1 => chunk(parts.iter_mut().find(|part| part.rows > 0).map_or(&mut [][..], std::slice::from_mut))?,
            _ => chunk(&mut parts)?,
        };
        sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut *connection).await?;
    }
}

/// The next rows of each part. They all get the same width, so that there are only few texts.
fn chunk(parts: &mut [Part<'_>]) -> Result<(String, SqliteArguments)> {
    let most = parts.iter().map(|part| part.rows).max().unwrap_or_default();
    let width = most.next_power_of_two().min(WIDEST);
    let mut text = String::new();
    let mut values = Values::default();
    values.arguments.reserve(parts.iter().map(|part| part.statement.columns).sum::<usize>() * width, 0);
    for part in parts {
        part.statement.append_to(&mut text, width);
        text.push(';');
        let taken = part.rows.min(width);
        (0..taken).for_each(|_| (part.put)(&mut values));
        (0..(width - taken) * part.statement.columns).for_each(|_| _ = values.put(None::<i64>));
        part.rows -= taken;
    }
    values.refused.map_or(Ok((text, values.arguments)), |error| Err(sqlx::Error::Encode(error)))
}
