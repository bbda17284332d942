//! How fast one queue is taken from. Only reckons: who waits, waits elsewhere.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// So many messages a second, and after a pause as many at once. The rest stays in the partner's own queue.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    /// When the next message is due if none came early.
    due: Instant,
}

const AT_ONCE: Duration = Duration::from_secs(1);

impl Pace {
    pub(super) fn new(per_second: NonZeroU32, now: Instant) -> Pace {
        Pace { gap: Duration::from_secs(1) / per_second.get(), due: now }
    }

    /// How long the message that is there now has to wait.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        self.due = self.due.max(now) + self.gap;
        self.due.saturating_duration_since(now + AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_worth_so_many_and_a_pause_no_more() {
        let start = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(4).unwrap(), start);
        let (none, gap) = (Duration::ZERO, Duration::from_millis(250));
        assert_eq!([(); 6].map(|()| pace.wait(start)), [none, none, none, none, gap, gap * 2]);
        let later = start + Duration::from_secs(3600);
        assert_eq!([(); 5].map(|()| pace.wait(later)), [none, none, none, none, gap]);
        // Who keeps to it never waits.
        let steady = (1..20).map(|n| pace.wait(later + Duration::from_secs(1) + gap * n));
        assert_eq!(steady.max(), Some(none));
    }
}
