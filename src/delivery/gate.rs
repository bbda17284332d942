//! Gate: one before each recipient. Lets so many deliveries through at once, none while the recipient is down, and
//! what waited in an order and at a pace that it can bear. Does no IO, and is told the time.

use super::pace::Pace;
use crate::breaker::{Breaker, Change, Leave};
use crate::party::PartyId;
use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Each probe that fails is followed by one with another delivery, of so many: that one delivery is never taken
/// does not mean that the recipient is down.
const PROBED: u32 = 8;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// In a row, after which a recipient is left alone.
    pub failures: NonZeroU32,
    pub rest: Duration,
    /// Until it is known how a recipient is reached.
    pub at_once: NonZeroUsize,
    /// Deliveries a second, at the most, to one that is back.
    pub drain_rate: NonZeroU32,
}

/// What an attempt says about the recipient, whatever becomes of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    /// With how long it wants to be left alone, where it said so.
    Down {
        asked: Option<Duration>,
    },
    /// It is our own broker that failed.
    Unknown,
}

#[derive(Debug)]
pub struct Gates {
    options: Options,
    gates: Mutex<HashMap<PartyId, Arc<Gate>>>,
    /// What waits may find room.
    freed: Arc<Notify>,
}

#[derive(Debug)]
pub struct Gate {
    party: PartyId,
    drain_rate: NonZeroU32,
    state: Mutex<State>,
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    at_once: usize,
    on_their_way: usize,
    /// Probes that failed since it opened.
    probes: u32,
    /// Something waits in the ledger: whatever comes goes behind it.
    waiting: bool,
    /// How often it was said that something waits.
    said: u64,
    /// As long as there is something left from when it was down.
    pace: Option<Pace>,
}

/// Leave for one delivery to go to this recipient now. It is on its way until this is settled or dropped.
#[derive(Debug)]
#[must_use]
pub struct Pass {
    gate: Arc<Gate>,
    leave: Leave,
    given: Instant,
}

/// Passes for the first of those that wait.
#[derive(Debug)]
pub struct Draw {
    pub passes: Vec<Pass>,
    /// So many are passed over, where there are so many.
    pub skip: u32,
    said: u64,
}

/// How it stands after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub change: Change,
    /// It is left alone: its failures say nothing about a single delivery.
    pub is_down: bool,
}

impl Gates {
    pub fn new(options: Options) -> Gates {
        Gates { options, gates: Mutex::default(), freed: Arc::default() }
    }

    pub fn gate(&self, party: &PartyId) -> Arc<Gate> {
        let mut gates = self.gates();
        if let Some(gate) = gates.get(party) {
            return gate.clone();
        }
        let state = State {
            breaker: Breaker::new(self.options.failures, self.options.rest),
            at_once: self.options.at_once.get(),
            on_their_way: 0,
            probes: 0,
            waiting: false,
            said: 0,
            pace: None,
        };
        let gate = Arc::new(Gate {
            party: party.clone(),
            drain_rate: self.options.drain_rate,
            state: Mutex::new(state),
            freed: self.freed.clone(),
        });
        gates.insert(party.clone(), gate.clone());
        gate
    }

    pub fn all(&self) -> Vec<Arc<Gate>> {
        self.gates().values().cloned().collect()
    }

    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    fn gates(&self) -> MutexGuard<'_, HashMap<PartyId, Arc<Gate>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    pub fn party(&self) -> &PartyId {
        &self.party
    }

    /// For a delivery that has not waited, of which there may be `at_once` on their way. None: it is to wait.
    pub fn enter(self: &Arc<Self>, at_once: NonZeroUsize, now: Instant) -> Option<Pass> {
        let mut state = self.state();
        state.at_once = at_once.get();
        if state.waiting || state.on_their_way >= state.at_once {
            return None;
        }
        let leave = state.breaker.admit(now)?;
        state.on_their_way += 1;
        Some(Pass { gate: self.clone(), leave, given: now })
    }

    /// For as many of those that wait as may go now, and no more than there is room for elsewhere.
    pub fn draw(self: &Arc<Self>, most: usize, now: Instant) -> Draw {
        let mut state = self.state();
        let (said, skip) = (state.said, state.probes % PROBED);
        let mut passes = Vec::new();
        if !state.waiting {
            return Draw { passes, skip, said };
        }
        let room = state.at_once.saturating_sub(state.on_their_way).min(most);
        let allowed = state.pace.as_mut().map_or(room, |pace| pace.allowed(now).min(room));
        while passes.len() < allowed
            && let Some(leave) = state.breaker.admit(now)
        {
            passes.push(Pass { gate: self.clone(), leave, given: now });
        }
        state.on_their_way += passes.len();
        if let Some(pace) = &mut state.pace {
            pace.went(passes.len());
        }
        Draw { passes, skip, said }
    }

    /// Something waits in the ledger, or is about to.
    pub fn waits(&self) {
        let mut state = self.state();
        (state.waiting, state.said) = (true, state.said + 1);
    }

    /// There was nothing left for a draw. It is over, unless something came since.
    pub fn emptied(&self, draw: &Draw) {
        let mut state = self.state();
        if state.said == draw.said {
            (state.waiting, state.pace) = (false, None);
        }
    }

    pub fn is_down(&self) -> bool {
        !self.state().breaker.is_closed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    pub fn is_for(&self, party: &PartyId) -> bool {
        self.gate.party == *party
    }

    pub fn settle(mut self, health: Health, now: Instant) -> Standing {
        // Dropping it then means only that it is not on its way any more.
        let leave = std::mem::replace(&mut self.leave, Leave::Call);
        let mut state = self.gate.state();
        let change = match health {
            Health::Up => state.breaker.succeeded(leave),
            Health::Unknown if leave == Leave::Call && state.pace.is_none() => Change::None,
            Health::Unknown => state.failed(leave, now, None),
            Health::Down { asked } => state.failed(leave, now, asked),
        };
        if change == Change::Closed {
            state.probes = 0;
            state.pace = state.waiting.then(|| Pace::new(self.gate.drain_rate, now));
        }
        let standing = Standing { change, is_down: !state.breaker.is_closed() };
        let may_go = state.waiting && !standing.is_down;
        drop(state);
        let gate = self.gate.clone();
        drop(self);
        if may_go {
            gate.freed.notify_one();
        }
        standing
    }
}

impl State {
    fn failed(&mut self, leave: Leave, now: Instant, asked: Option<Duration>) -> Change {
        if let Some(pace) = &mut self.pace {
            pace.failed(now);
        }
        if leave == Leave::Probe {
            self.probes = self.probes.wrapping_add(1);
        }
        self.breaker.failed(leave, now, asked)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.on_their_way -= 1;
        state.breaker.given_up(self.leave, self.given);
    }
}

#[cfg(test)]
mod tests;
