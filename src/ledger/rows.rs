//! Statements over many rows at once, prepared once and then reused. A server gets each column as one list. For a file
//! they come in few widths; the places that are left over hold NULL, and every statement passes over a row that begins
//! with NULL.

use super::seal::SealError;
use super::store::{Connection, Found, Query};
use super::stored::Result;
use super::values::Value;
use crate::record::{Pseudonym, Subject};
use sqlx::AssertSqlSafe;

/// Each is kept prepared in each width, which takes memory by the width; a wider one saves no more than an exchange.
const WIDEST: usize = 64;

/// `head (VALUES (?, ?), (?, ?)) tail`, where a server gets its rows out of lists. Both parts are constants: no value
/// ever becomes part of the text. The columns of the rows are called `column1`, `column2` and so on.
pub(super) struct Statement {
    pub head: &'static str,
    pub columns: usize,
    pub tail: &'static str,
}

/// The values of one execution, in the order of the columns.
#[derive(Default)]
pub(super) struct Values {
    values: Vec<Value>,
    refused: Option<SealError>,
}

impl Values {
    pub fn put(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self
    }

    /// Where it could not be sealed, nothing of the batch is written.
    pub fn put_sealed(&mut self, sealed: Result<Vec<u8>, SealError>) -> &mut Self {
        match sealed {
            Ok(sealed) => self.put(sealed),
            Err(error) => {
                self.refused.get_or_insert(error);
                self.put(None::<Vec<u8>>)
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

    fn for_server(&self) -> String {
        let each = |write: fn(usize) -> String| (1..=self.columns).map(write).collect::<Vec<_>>().join(",");
        let (lists, names) = (each(|place| format!("${place}")), each(|place| format!("column{place}")));
        format!("{} (SELECT * FROM unnest({lists}) AS given ({names})) {}", self.head, self.tail)
    }
}

impl Part<'_> {
    pub async fn execute(self, connection: &mut Connection) -> Result<()> {
        execute_together(connection, vec![self]).await
    }

    pub async fn fetch(mut self, connection: &mut Connection) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        while self.rows > 0 {
            let query = match connection.is_server() {
                true => self.for_server()?,
                false => chunk(std::slice::from_mut(&mut self))?,
            };
            found.extend(query.fetch_all(connection).await?);
        }
        Ok(found)
    }

    /// The next rows.
    fn for_server(&mut self) -> Result<Query> {
        let (mut values, taken) = (Values::default(), self.rows.min(WIDEST));
        (0..taken).for_each(|_| (self.put)(&mut values));
        self.rows -= taken;
        let text = AssertSqlSafe(self.statement.for_server());
        values.refused.map_or(Ok(()), |error| Err(sqlx::Error::Encode(error.into())))?;
        Ok(Query::by_column(text, values.values, self.statement.columns))
    }
}

/// All of them in one exchange with SQLite's thread, which costs more than what most of them do. A server takes one
/// statement at a time.
pub(super) async fn execute_together(connection: &mut Connection, mut parts: Vec<Part<'_>>) -> Result<()> {
    if connection.is_server() {
        for mut part in parts {
            while part.rows > 0 {
                part.for_server()?.execute(connection).await?;
            }
        }
        return Ok(());
    }
    loop {
        let query = match parts.iter().filter(|part| part.rows > 0).count() {
            0 => return Ok(()),
            // Alone, so that the others need not pass over rows of NULL.
            1 => chunk(parts.iter_mut().find(|part| part.rows > 0).map_or(&mut [][..], std::slice::from_mut))?,
            _ => chunk(&mut parts)?,
        };
        query.execute(connection).await?;
    }
}

/// The next rows of each part. They all get the same width, so that there are only few texts.
fn chunk(parts: &mut [Part<'_>]) -> Result<Query> {
    let most = parts.iter().map(|part| part.rows).max().unwrap_or_default();
    let width = most.next_power_of_two().min(WIDEST);
    let mut text = String::new();
    let mut values = Values::default();
    values.values.reserve(parts.iter().map(|part| part.statement.columns).sum::<usize>() * width);
    for part in parts {
        part.statement.append_to(&mut text, width);
        text.push(';');
        let taken = part.rows.min(width);
        (0..taken).for_each(|_| (part.put)(&mut values));
        (0..(width - taken) * part.statement.columns).for_each(|_| _ = values.put(None::<i64>));
        part.rows -= taken;
    }
    let query = Query::new(AssertSqlSafe(text), values.values);
    values.refused.map_or(Ok(query), |error| Err(sqlx::Error::Encode(error.into())))
}
