//! Values on their way into a statement, in the form that either database takes. Knows no statement.

use super::stored::Result;
use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

/// A value on its way into a statement.
#[derive(Debug)]
pub(super) enum Value {
    Int(Option<i64>),
    Bool(bool),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

pub(super) fn for_file(values: Vec<Value>) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        let added = match value {
            Value::Int(value) => arguments.add(value),
            Value::Bool(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

pub(super) fn for_server(values: Vec<Value>, columns: Option<usize>) -> Result<PgArguments> {
    let Some(columns) = columns else {
        let mut arguments = PgArguments::default();
        for value in values {
            let added = match value {
                Value::Int(value) => arguments.add(value),
                Value::Bool(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value.map(without_nul)),
                Value::Bytes(value) => arguments.add(value),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        return Ok(arguments);
    };
    let mut lists: Vec<List> = Vec::with_capacity(columns);
    for (place, value) in values.into_iter().enumerate() {
        match lists.get_mut(place % columns) {
            Some(list) => list.push(value)?,
            None => lists.push(List::of(value)),
        }
    }
    let mut arguments = PgArguments::default();
    for list in lists {
        let added = match list {
            List::Int(values) => arguments.add(values),
            List::Bool(values) => arguments.add(values),
            List::Text(values) => arguments.add(values),
            List::Bytes(values) => arguments.add(values),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

enum List {
    Int(Vec<Option<i64>>),
    Bool(Vec<bool>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl List {
    fn of(value: Value) -> List {
        match value {
            Value::Int(value) => List::Int(vec![value]),
            Value::Bool(value) => List::Bool(vec![value]),
            Value::Text(value) => List::Text(vec![value.map(without_nul)]),
            Value::Bytes(value) => List::Bytes(vec![value]),
        }
    }

    fn push(&mut self, value: Value) -> Result<()> {
        match (self, value) {
            (List::Int(list), Value::Int(value)) => list.push(value),
            (List::Bool(list), Value::Bool(value)) => list.push(value),
            (List::Text(list), Value::Text(value)) => list.push(value.map(without_nul)),
            (List::Bytes(list), Value::Bytes(value)) => list.push(value),
            _ => return Err(sqlx::Error::Encode("a column of two types".into())),
        }
        Ok(())
    }
}

/// PostgreSQL takes no NUL in a text. What partners call their messages may hold one; a message is told from others by
/// the digest of its name as it came.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

macro_rules! values {
    ($($kind:ty => $variant:ident($value:ident) $made:expr;)+) => {
        $(impl From<$kind> for Value {
            fn from($value: $kind) -> Value {
                Value::$variant($made)
            }
        })+
    };
}
values! {
    i64 => Int(value) Some(value);
    Option<i64> => Int(value) value;
    bool => Bool(value) value;
    &str => Text(value) Some(value.to_owned());
    String => Text(value) Some(value);
    Option<&str> => Text(value) value.map(str::to_owned);
    Option<String> => Text(value) value;
    Vec<u8> => Bytes(value) Some(value);
    Option<Vec<u8>> => Bytes(value) value;
}
