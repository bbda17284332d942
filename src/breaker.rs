//! Breaker: leaves somebody alone for a while after failures in a row, then lets one call find out. Tells no time
//! itself, holds no lock and does no IO.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Breaker {
    failures: NonZeroU32,
    rest: Duration,
    state: State,
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

/// Leave to make one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    Call,
    Probe,
}

/// What a call changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    Opened,
    Closed,
}

impl Breaker {
    pub fn new(failures: NonZeroU32, rest: Duration) -> Breaker {
        Breaker { failures, rest, state: State::Closed { failures: 0 } }
    }

    pub fn admit(&mut self, now: Instant) -> Option<Leave> {
        match self.state {
            State::Closed { .. } => Some(Leave::Call),
            State::Open { until } if until <= now => {
                self.state = State::Probing;
                Some(Leave::Probe)
            }
            State::Open { .. } | State::Probing => None,
        }
    }

    /// Would a call be refused?
    pub fn is_open(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::Probing => true,
        }
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    pub fn succeeded(&mut self, leave: Leave) -> Change {
        match (self.state, leave) {
            (State::Closed { .. }, _) => {
                self.state = State::Closed { failures: 0 };
                Change::None
            }
            (State::Probing, Leave::Probe) => {
                self.state = State::Closed { failures: 0 };
                Change::Closed
            }
            // A call from before it opened: what it tells is older than what opened it.
            (State::Open { .. } | State::Probing, _) => Change::None,
        }
    }

    /// `asked` is how long the other side wants to be left alone, where it said so: then one failure is enough.
    pub fn failed(&mut self, leave: Leave, now: Instant, asked: Option<Duration>) -> Change {
        let until = now + asked.unwrap_or(self.rest);
        match (self.state, leave) {
            (State::Closed { failures }, _) if asked.is_none() && failures + 1 < self.failures.get() => {
                self.state = State::Closed { failures: failures + 1 };
                Change::None
            }
            (State::Closed { .. }, _) => {
                self.state = State::Open { until };
                Change::Opened
            }
            (State::Probing, Leave::Probe) => {
                self.state = State::Open { until };
                Change::None
            }
            (State::Open { until: known }, _) if asked.is_some() => {
                self.state = State::Open { until: known.max(until) };
                Change::None
            }
            // A call from before it opened: that it fails too is no news.
            (State::Open { .. } | State::Probing, _) => Change::None,
        }
    }

    /// A probe that nobody waited for tells nothing: the next call finds out.
    pub fn given_up(&mut self, leave: Leave, now: Instant) {
        if leave == Leave::Probe && self.state == State::Probing {
            self.state = State::Open { until: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(10);

    fn breaker() -> Breaker {
        Breaker::new(NonZeroU32::new(2).unwrap(), REST)
    }

    /// Opened by two failures in a row.
    fn opened(now: Instant) -> Breaker {
        let mut breaker = breaker();
        assert_eq!(breaker.failed(Leave::Call, now, None), Change::None);
        assert_eq!(breaker.failed(Leave::Call, now, None), Change::Opened);
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = breaker();
        for _ in 0..3 {
            breaker.failed(Leave::Call, now, None);
            breaker.succeeded(Leave::Call);
        }
        assert!(!breaker.is_open(now));
        let mut breaker = opened(now);
        assert!(breaker.is_open(now) && breaker.admit(now).is_none());
        assert!(breaker.admit(now + REST - Duration::from_millis(1)).is_none());
    }

    #[test]
    fn after_its_rest_one_call_finds_out() {
        let now = Instant::now();
        let later = now + REST;
        let mut breaker = opened(now);
        assert!(!breaker.is_open(later));
        assert_eq!(breaker.admit(later), Some(Leave::Probe));
        assert!(breaker.is_open(later) && breaker.admit(later).is_none(), "one call, not two");
        assert_eq!(breaker.succeeded(Leave::Probe), Change::Closed);
        assert_eq!([breaker.admit(later), breaker.admit(later)], [Some(Leave::Call); 2]);
    }

    #[test]
    fn a_probe_that_fails_opens_it_for_another_rest() {
        let now = Instant::now();
        let later = now + REST;
        let mut breaker = opened(now);
        let probe = breaker.admit(later).unwrap();
        assert_eq!(breaker.failed(probe, later, None), Change::None, "it was open already");
        assert!(breaker.admit(later + REST - Duration::from_millis(1)).is_none());
        assert!(breaker.admit(later + REST).is_some());
    }

    #[test]
    fn a_call_from_before_it_opened_does_not_speak_for_the_probe() {
        let now = Instant::now();
        let later = now + REST;
        let mut breaker = opened(now);
        let probe = breaker.admit(later).unwrap();
        assert_eq!(breaker.failed(Leave::Call, later, None), Change::None);
        assert_eq!(breaker.succeeded(Leave::Call), Change::None);
        assert!(breaker.is_open(later));
        assert_eq!(breaker.succeeded(probe), Change::Closed);
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_room_for_the_next() {
        let now = Instant::now();
        let later = now + REST;
        let mut breaker = opened(now);
        let probe = breaker.admit(later).unwrap();
        breaker.given_up(probe, later);
        assert_eq!(breaker.admit(later), Some(Leave::Probe));
    }

    #[test]
    fn whoever_asks_to_be_left_alone_is_at_once_and_for_so_long() {
        let now = Instant::now();
        let (hour, second) = (Duration::from_secs(3600), Duration::from_secs(1));
        let mut breaker = breaker();
        assert_eq!(breaker.failed(Leave::Call, now, Some(hour)), Change::Opened);
        // What was on its way by then shortens nothing.
        breaker.failed(Leave::Call, now, Some(second));
        breaker.succeeded(Leave::Call);
        assert!(breaker.admit(now + hour - second).is_none());
        let probe = breaker.admit(now + hour).unwrap();
        breaker.failed(probe, now + hour, Some(second));
        assert!(breaker.admit(now + hour + second).is_some(), "less than the usual rest, if that is what it says");
    }
}
