//! Breaker: leaves IRIS alone for a while after failures in a row, then lets one call find out. Tells no time
//! itself and does no IO.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Breaker {
    failures: NonZeroU32,
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One call is on its way to find out.
    Probing,
}

/// Leave to make one call, and the duty to tell how it went.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    given: Instant,
    probe: bool,
}

impl Breaker {
    pub fn new(failures: NonZeroU32, rest: Duration) -> Breaker {
        Breaker { failures, rest, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    pub fn admit(&self, now: Instant) -> Option<Permit<'_>> {
        let mut state = self.state();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if until <= now => true,
            State::Open { .. } | State::Probing => return None,
        };
        if probe {
            *state = State::Probing;
        }
        Some(Permit { breaker: self, given: now, probe })
    }

    /// Would a call be refused?
    pub fn is_open(&self, now: Instant) -> bool {
        match *self.state() {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::Probing => true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    Opened,
    Closed,
}

impl Permit<'_> {
    pub fn succeeded(mut self) -> Change {
        self.probe = false;
        let mut state = self.breaker.state();
        let before = std::mem::replace(&mut *state, State::Closed { failures: 0 });
        if matches!(before, State::Closed { .. }) { Change::None } else { Change::Closed }
    }

    pub fn failed(mut self, now: Instant) -> Change {
        let probe = std::mem::take(&mut self.probe);
        let mut state = self.breaker.state();
        let failures = match *state {
            State::Closed { failures } => failures + 1,
            State::Probing if probe => self.breaker.failures.get(),
            // A call from before it opened: that it fails too is no news.
            State::Open { .. } | State::Probing => return Change::None,
        };
        if failures < self.breaker.failures.get() {
            *state = State::Closed { failures };
            return Change::None;
        }
        *state = State::Open { until: now + self.breaker.rest };
        if probe { Change::None } else { Change::Opened }
    }
}

impl Drop for Permit<'_> {
    /// A probe that nobody waited for tells nothing: the next call finds out.
    fn drop(&mut self) {
        if self.probe {
            *self.breaker.state() = State::Open { until: self.given };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(10);

    /// Opened by two failures in a row.
    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new(NonZeroU32::new(2).unwrap(), REST);
        assert_eq!(breaker.admit(now).unwrap().failed(now), Change::None);
        assert_eq!(breaker.admit(now).unwrap().failed(now), Change::Opened);
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let breaker = Breaker::new(NonZeroU32::new(2).unwrap(), REST);
        for _ in 0..3 {
            breaker.admit(now).unwrap().failed(now);
            breaker.admit(now).unwrap().succeeded();
        }
        assert!(!breaker.is_open(now));
        let breaker = opened(now);
        assert!(breaker.is_open(now) && breaker.admit(now).is_none());
        assert!(breaker.admit(now + REST - Duration::from_millis(1)).is_none());
    }

    #[test]
    fn after_its_rest_one_call_finds_out() {
        let now = Instant::now();
        let later = now + REST;
        let breaker = opened(now);
        assert!(!breaker.is_open(later));
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.is_open(later) && breaker.admit(later).is_none(), "one call, not two");
        assert_eq!(probe.succeeded(), Change::Closed);
        assert!(breaker.admit(later).is_some() && breaker.admit(later).is_some());
    }

    #[test]
    fn a_probe_that_fails_opens_it_for_another_rest() {
        let now = Instant::now();
        let later = now + REST;
        let breaker = opened(now);
        assert_eq!(breaker.admit(later).unwrap().failed(later), Change::None, "it was open already");
        assert!(breaker.admit(later + REST - Duration::from_millis(1)).is_none());
        assert!(breaker.admit(later + REST).is_some());
    }

    #[test]
    fn a_call_from_before_it_opened_does_not_speak_for_the_probe() {
        let now = Instant::now();
        let later = now + REST;
        let breaker = Breaker::new(NonZeroU32::new(2).unwrap(), REST);
        let old = breaker.admit(now).unwrap();
        breaker.admit(now).unwrap().failed(now);
        breaker.admit(now).unwrap().failed(now);
        let probe = breaker.admit(later).unwrap();
        assert_eq!(old.failed(later), Change::None);
        assert_eq!(probe.succeeded(), Change::Closed);
    }

    #[test]
    fn a_probe_that_is_dropped_leaves_room_for_the_next() {
        let now = Instant::now();
        let later = now + REST;
        let breaker = opened(now);
        drop(breaker.admit(later).unwrap());
        assert!(breaker.admit(later).is_some());
    }
}
