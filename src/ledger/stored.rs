//! How values lie in the tables: the one place that writes and reads their stored forms.

use super::Order;
use super::store::{Found, Storable};
use crate::outcome::Outcome;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) type Result<T, E = sqlx::Error> = std::result::Result<T, E>;

pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what the ledger keeps as JSON has text keys only")
}

/// The columns of a row, one after the other.
pub(super) struct Columns<'r> {
    row: &'r Found,
    next: usize,
}

impl<'r> Columns<'r> {
    pub fn of(row: &'r Found) -> Self {
        Columns { row, next: 0 }
    }

    pub fn take<T: Storable<'r>>(&mut self) -> Result<T> {
        self.next += 1;
        self.row.get(self.next - 1)
    }

    pub fn count(&mut self) -> Result<u32> {
        u32::try_from(self.take::<i64>()?).map_err(undecodable)
    }

    pub fn timestamp(&mut self) -> Result<Timestamp> {
        timestamp(self.take()?)
    }

    pub fn outcome(&mut self) -> Result<Outcome> {
        outcome(self.take()?)
    }

    pub fn order(&mut self) -> Result<Option<Order>> {
        let (key, sequence) = (self.bytes_or_null()?, self.take::<Option<i64>>()?);
        Ok(key.zip(sequence).map(|(key, sequence)| Order { key, sequence }))
    }

    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        serde_json::from_str(self.take()?).map_err(undecodable)
    }

    pub fn json_or_null<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let text: Option<&str> = self.take()?;
        text.map(serde_json::from_str).transpose().map_err(undecodable)
    }

    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take::<&[u8]>()?.try_into().map_err(undecodable)
    }

    pub fn bytes_or_null<const N: usize>(&mut self) -> Result<Option<[u8; N]>> {
        self.take::<Option<&[u8]>>()?.map(<[u8; N]>::try_from).transpose().map_err(undecodable)
    }
}

pub(super) fn timestamp(microseconds: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(microseconds).map_err(undecodable)
}

pub(super) fn outcome(name: &str) -> Result<Outcome> {
    Outcome::parse(name).ok_or_else(|| sqlx::Error::Decode("an outcome that this version does not know".into()))
}

pub(super) fn undecodable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

pub(super) fn bounded(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
