//! Room in memory for what comes in, by the byte and over all queues: who finds none waits, and takes nothing more.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Smaller messages count as so much: their properties take room too.
const UNIT: usize = 1024;
/// Of one queue, what the broker may send ahead. It counts messages, so this is by what they are like.
const AHEAD: usize = 4 * 1024 * 1024;
/// Whatever their size, so that not each one is asked for alone.
const LEAST: u16 = 4;

#[derive(Clone, Debug)]
pub struct Room {
    free: Arc<Semaphore>,
    units: u32,
}

/// Taken until it is dropped.
pub type Taken = OwnedSemaphorePermit;

impl Room {
    pub fn of(bytes: usize) -> Room {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 4);
        Room { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Returns once there is room. One that is larger than all of it takes all of it. `None` where nobody works any more.
    pub async fn take(&self, bytes: usize) -> Option<Taken> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        self.free.clone().acquire_many_owned(units).await.ok()
    }

    /// In bytes.
    pub fn taken(&self) -> usize {
        (self.units as usize).saturating_sub(self.free.available_permits()) * UNIT
    }
}

/// How many messages of one queue the broker may send ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    most: u16,
    now: u16,
    /// The largest of this many, the last ones.
    largest: usize,
    seen: u16,
}

impl Ahead {
    pub fn new(most: u16) -> Ahead {
        Ahead { most, now: LEAST.min(most), largest: 0, seen: 0 }
    }

    pub fn messages(&self) -> u16 {
        self.now
    }

    /// Whether it is now to be another number: less at once where one is large, more once as many as may come ahead
    /// were all small enough.
    pub fn is_other(&mut self, bytes: usize) -> bool {
        (self.largest, self.seen) = (self.largest.max(bytes), self.seen.saturating_add(1));
        let wanted = Ahead::for_size(self.largest, self.most);
        let other = wanted < self.now || self.seen >= self.now;
        if other {
            (self.largest, self.seen) = (0, 0);
        }
        let differs = other && wanted != self.now;
        if other {
            self.now = wanted;
        }
        differs
    }

    fn for_size(bytes: usize, most: u16) -> u16 {
        let fits = AHEAD / bytes.max(1);
        u16::try_from(fits).unwrap_or(u16::MAX).max(LEAST).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn there_is_room_for_so_many_bytes_and_for_one_that_is_larger_than_all_of_it() {
        let room = Room::of(8 * 1024);
        let taken = room.take(6000).now_or_never().unwrap();
        assert_eq!(room.taken(), 6 * 1024);
        assert!(room.take(2049).now_or_never().is_none());
        let small = room.take(0).now_or_never().unwrap();
        assert_eq!(room.taken(), 7 * 1024);
        drop((taken, small));
        assert!(room.take(1 << 40).now_or_never().is_some());
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn large_messages_come_ahead_in_small_numbers_at_once_and_small_ones_in_large_numbers_after_a_while() {
        let mut ahead = Ahead::new(512);
        assert_eq!(ahead.messages(), LEAST);
        assert_eq!((1..LEAST).filter(|_| ahead.is_other(2000)).count(), 0);
        assert!(ahead.is_other(2000));
        assert_eq!(ahead.messages(), 512);
        assert!(ahead.is_other(1 << 20));
        assert_eq!(ahead.messages(), LEAST);
        // One small one among them does not make them small.
        for size in [2000, 1 << 20, 2000, 2000, 1 << 20, 2000, 2000, 2000] {
            assert!(!ahead.is_other(size), "{size}");
        }
        assert_eq!((0..4).map(|_| ahead.is_other(2000)).collect::<Vec<_>>(), [false, false, false, true]);
        assert_eq!(ahead.messages(), 512);
        // Where fewer are set, it is never more.
        assert_eq!(Ahead::new(3).messages(), 3);
    }
}
