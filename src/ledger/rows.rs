//! Statements over many rows at once. They come in few widths, so that each is prepared once and then reused; the
//! places that are left over hold NULL, and every statement passes over a row that begins with NULL.

use super::stored::Result;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

const WIDEST: usize = 256;

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
}

pub(super) fn put_one(key: i64, values: &mut Values) {
    values.put(key);
}

pub(super) fn put_blob<const N: usize>(bytes: [u8; N], values: &mut Values) {
    values.put(bytes.to_vec());
}

impl Statement {
    pub async fn execute<R>(
        &self,
        connection: &mut SqliteConnection,
        rows: Vec<R>,
        bind: impl Fn(R, &mut Values),
    ) -> Result<()> {
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let (text, arguments) = self.take(&mut rows, &bind)?;
            sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut *connection).await?;
        }
        Ok(())
    }

    pub async fn fetch<R>(
        &self,
        connection: &mut SqliteConnection,
        rows: Vec<R>,
        bind: impl Fn(R, &mut Values),
    ) -> Result<Vec<SqliteRow>> {
        let mut found = Vec::new();
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let (text, arguments) = self.take(&mut rows, &bind)?;
            found.extend(sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(&mut *connection).await?);
        }
        Ok(found)
    }

    fn take<R>(
        &self,
        rows: &mut std::vec::IntoIter<R>,
        bind: &impl Fn(R, &mut Values),
    ) -> Result<(String, SqliteArguments)> {
        let width = rows.len().next_power_of_two().min(WIDEST);
        let mut values = Values::default();
        values.arguments.reserve(width * self.columns, 0);
        rows.take(width).for_each(|row| bind(row, &mut values));
        // What is not bound is NULL.
        values.refused.map_or(Ok((self.text(width), values.arguments)), |error| Err(sqlx::Error::Encode(error)))
    }

    fn text(&self, width: usize) -> String {
        let row = format!("(?{})", ",?".repeat(self.columns - 1));
        let mut text = String::with_capacity(self.head.len() + width * (row.len() + 1) + self.tail.len() + 10);
        text.push_str(self.head);
        text.push_str(" (VALUES ");
        for place in 0..width {
            text.push_str(if place == 0 { "" } else { "," });
            text.push_str(&row);
        }
        text.push_str(") ");
        text.push_str(self.tail);
        text
    }
}
