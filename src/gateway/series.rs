//! One delivery at a time within a series (a person and a detention), so that an older notification never
//! overtakes a newer one on its way out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The highest sequence that went out, behind the lock that a delivery holds while it is on its way.
type Line = tokio::sync::Mutex<i64>;

#[derive(Debug, Default)]
pub struct Series {
    lines: Mutex<HashMap<[u8; 32], Weak<Line>>>,
}

impl Series {
    /// Held from before a message is accepted until its deliveries are over: as long as anybody holds it,
    /// everybody gets the same line.
    pub fn line(&self, key: [u8; 32]) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(&key).and_then(Weak::upgrade) {
            return line;
        }
        if lines.len() >= 4096 {
            lines.retain(|_, line| line.strong_count() > 0);
        }
        let line = Arc::new(Line::new(0));
        lines.insert(key, Arc::downgrade(&line));
        line
    }
}
