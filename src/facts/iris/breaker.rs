//! The breaker before IRIS, shared by all who ask. A permit that is dropped leaves the next one to find out.

use crate::breaker::{self, Change, Leave};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Breaker(Mutex<breaker::Breaker>);

/// Leave to make one call, and the duty to tell how it went.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    given: Instant,
    leave: Leave,
}

impl Breaker {
    pub fn new(failures: NonZeroU32, rest: Duration) -> Breaker {
        Breaker(Mutex::new(breaker::Breaker::new(failures, rest)))
    }

    pub fn admit(&self, now: Instant) -> Option<Permit<'_>> {
        let leave = self.state().admit(now)?;
        Some(Permit { breaker: self, given: now, leave })
    }

    pub fn is_open(&self, now: Instant) -> bool {
        self.state().is_open(now)
    }

    fn state(&self) -> MutexGuard<'_, breaker::Breaker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    pub fn succeeded(mut self) -> Change {
        let leave = self.used();
        self.breaker.state().succeeded(leave)
    }

    pub fn failed(mut self, now: Instant) -> Change {
        let leave = self.used();
        self.breaker.state().failed(leave, now, None)
    }

    /// So that dropping it means nothing any more.
    fn used(&mut self) -> Leave {
        std::mem::replace(&mut self.leave, Leave::Call)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.breaker.state().given_up(self.leave, self.given);
    }
}
