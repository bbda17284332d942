//! The rows under way, as they lie in the tables: what is accepted now is asked for again in a moment. Good as long
//! as nobody else writes, which the database tells.

use super::store::Connection;
use super::work::Row;
use std::collections::HashMap;

/// More than can be in flight; beyond it, rows are read again.
const MOST: usize = 8192;

#[derive(Default)]
pub(super) struct Memory {
    /// Changes when another connection has written: SQLite's `data_version`, or the turns that a server counted.
    version: i64,
    rows: HashMap<i64, Row>,
}

impl Memory {
    pub fn check(&mut self, version: i64) {
        if version != self.version || self.rows.len() > MOST {
            self.rows.clear();
        }
        self.version = version;
    }

    pub fn forget(&mut self) {
        self.rows.clear();
    }

    /// What this batch changed, nobody else did.
    pub fn wrote(&mut self, connection: &Connection) {
        self.version = connection.next_version(self.version);
    }

    pub fn take(&mut self, key: i64) -> Option<Row> {
        self.rows.remove(&key)
    }

    /// As they were written just now.
    pub fn keep(&mut self, rows: Vec<Row>) {
        for mut row in rows {
            // INVARIANT: what was written replaces what was remembered, also where nothing is remembered of it.
            self.rows.remove(&row.key);
            if row.is_under_way() {
                row.before = Some(row.progress.clone());
                self.rows.insert(row.key, row);
            }
        }
    }
}
