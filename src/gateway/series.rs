//! One delivery at a time per recipient within a series (a person and a detention), so that an older notification
//! never overtakes a newer one on its way out.

use crate::party::PartyId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The highest sequence that went out to one recipient, behind the lock that a delivery holds while on its way.
pub type Turn = tokio::sync::Mutex<i64>;

/// The turns of one series.
#[derive(Debug, Default)]
pub struct Line {
    turns: Mutex<HashMap<PartyId, Arc<Turn>>>,
}

impl Line {
    pub fn turn(&self, recipient: &PartyId) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(recipient.clone()).or_default().clone()
    }
}

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
        let line = Arc::new(Line::default());
        lines.insert(key, Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_a_line_shares_it_and_it_goes_with_its_last_holder() {
        let series = Series::default();
        let (held, again) = (series.line([1; 32]), series.line([1; 32]));
        assert!(Arc::ptr_eq(&held, &again));
        assert!(!Arc::ptr_eq(&held, &series.line([2; 32])));
        let known = Arc::downgrade(&held);
        drop((held, again));
        assert!(known.upgrade().is_none());
    }

    #[test]
    fn recipients_of_one_series_do_not_wait_for_each_other() {
        let line = Line::default();
        let (dordrecht, delft) = (PartyId::new("gemeente:0505"), PartyId::new("gemeente:0503"));
        let held = line.turn(&dordrecht);
        let _guard = held.try_lock().unwrap();
        assert!(line.turn(&dordrecht).try_lock().is_err());
        assert!(line.turn(&delft).try_lock().is_ok());
    }
}
