//! Pace: how fast a recipient that is back gets what waited for it. Begins slowly and doubles each second in which
//! nothing failed. Tells no time itself.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Deliveries a second.
const FIRST: f64 = 10.0;
const RISES_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Pace {
    highest: f64,
    rate: f64,
    /// Deliveries that may go now; never more than those of one second.
    allowed: f64,
    counted: Instant,
    risen: Instant,
}

impl Pace {
    pub fn new(highest: NonZeroU32, now: Instant) -> Pace {
        let highest = f64::from(highest.get());
        Pace { highest, rate: FIRST.min(highest), allowed: 1.0, counted: now, risen: now }
    }

    /// How many may go now.
    pub fn allowed(&mut self, now: Instant) -> usize {
        while now.saturating_duration_since(self.risen) >= RISES_EVERY && self.rate < self.highest {
            self.count(self.risen + RISES_EVERY);
            self.rate = (self.rate * 2.0).min(self.highest);
            self.risen += RISES_EVERY;
        }
        self.count(now);
        self.allowed as usize
    }

    pub fn went(&mut self, count: usize) {
        self.allowed -= count as f64;
    }

    pub fn failed(&mut self, now: Instant) {
        self.rate = (self.rate / 2.0).max(FIRST.min(self.highest));
        self.risen = now;
    }

    fn count(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.allowed = (self.allowed + passed * self.rate).min(self.rate.max(1.0));
        self.counted = self.counted.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many go in each second, taken a hundred times a second.
    fn in_each_second(pace: &mut Pace, start: Instant, seconds: u32) -> Vec<usize> {
        let in_second = |second: u32| {
            let looks = (0..100).map(|look| start + Duration::from_millis(u64::from(second) * 1000 + look * 10));
            let taken = looks.map(|now| {
                let allowed = pace.allowed(now);
                pace.went(allowed);
                allowed
            });
            taken.sum()
        };
        (0..seconds).map(in_second).collect()
    }

    #[test]
    fn doubles_each_second_up_to_the_highest_and_falls_back_on_failure() {
        let start = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(50).unwrap(), start);
        for (gone, rate) in in_each_second(&mut pace, start, 5).into_iter().zip([10, 20, 40, 50, 50]) {
            assert!(gone.abs_diff(rate) <= 1, "{gone} instead of {rate}");
        }
        let then = start + Duration::from_secs(5);
        pace.failed(then);
        let gone = in_each_second(&mut pace, then, 1)[0];
        assert!(gone.abs_diff(25) <= 1, "{gone}");
    }

    #[test]
    fn saves_up_no_more_than_one_second() {
        let start = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(50).unwrap(), start);
        assert_eq!(pace.allowed(start + Duration::from_secs(3600)), 50);
        assert_eq!(Pace::new(NonZeroU32::MIN, start).allowed(start + Duration::from_secs(60)), 1);
    }
}
