//! Acknowledgements of one channel, many in one frame: the ledger makes messages safe in batches, and the broker's
//! work is per frame. Never acknowledges a message that was not settled here.

use lapin::options::{BasicAckOptions, BasicNackOptions};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

const ANSWER_WITHIN: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(5) };

/// What was received on the channel and is not yet acknowledged to the broker.
#[derive(Debug, Default)]
pub(super) struct Acks(Mutex<Window<lapin::Acker>>);

/// Tags count from one, in the order in which the broker sent them.
#[derive(Debug)]
struct Window<A> {
    /// Every tag up to here is settled with the broker.
    settled: u64,
    /// Of later tags: `None` if it is settled already, otherwise how to acknowledge it.
    later: BTreeMap<u64, Option<A>>,
    /// Somebody is sending what gathers here.
    sending: bool,
}

/// One frame.
#[derive(Debug, PartialEq, Eq)]
struct Frame<A> {
    ack: A,
    /// This one and all before it.
    multiple: bool,
}

impl Acks {
    /// It is acknowledged together with what others settle meanwhile: once nobody does this any more, all was sent.
    pub(super) async fn ack(&self, tag: u64, acker: lapin::Acker) {
        if self.with(|window| window.add(tag, Some(acker))) {
            // Whoever is ready to run may have something to add.
            tokio::task::yield_now().await;
            while let Some(frames) = self.with(Window::take) {
                send(frames).await;
            }
        }
    }

    pub(super) async fn release(&self, tag: u64, acker: lapin::Acker) {
        told(acker.nack(BasicNackOptions { requeue: true, multiple: false })).await;
        self.with(|window| window.settle(tag));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Window<lapin::Acker>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn send(frames: Vec<Frame<lapin::Acker>>) {
    for Frame { ack, multiple } in frames {
        told(ack.ack(BasicAckOptions { multiple })).await;
    }
}

/// A connection that is lost at the wrong moment answers never; what was to be told is then of no use any more.
async fn told(telling: impl Future<Output = lapin::Result<bool>>) {
    if !matches!(timeout(ANSWER_WITHIN, telling).await, Ok(Ok(true))) {
        tracing::debug!("the channel of a message is gone: the broker gives it again");
    }
}

impl<A> Default for Window<A> {
    fn default() -> Self {
        Window { settled: 0, later: BTreeMap::new(), sending: false }
    }
}

impl<A> Window<A> {
    /// Whether the caller is now the one to send.
    fn add(&mut self, tag: u64, ack: Option<A>) -> bool {
        self.later.insert(tag, ack);
        !std::mem::replace(&mut self.sending, true)
    }

    fn settle(&mut self, tag: u64) {
        self.later.insert(tag, None);
    }

    /// What there is to send; `None` ends the sending.
    fn take(&mut self) -> Option<Vec<Frame<A>>> {
        let frames = self.frames();
        self.sending = !frames.is_empty();
        self.sending.then_some(frames)
    }

    /// One frame for all that follow each other without a gap, and one for each that stands alone: the messages
    /// in the gap are not safe yet.
    fn frames(&mut self) -> Vec<Frame<A>> {
        let mut frames = Vec::new();
        let mut last = None;
        while let Some(next) = self.later.first_entry().filter(|entry| *entry.key() == self.settled + 1) {
            self.settled = *next.key();
            last = next.remove().or(last);
        }
        frames.extend(last.map(|ack| Frame { ack, multiple: true }));
        let alone = self.later.values_mut().filter_map(Option::take);
        frames.extend(alone.map(|ack| Frame { ack, multiple: false }));
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(window: &mut Window<u64>) -> Vec<(u64, bool)> {
        window.frames().into_iter().map(|frame| (frame.ack, frame.multiple)).collect()
    }

    #[tokio::test]
    async fn a_connection_that_never_answers_is_not_waited_for() {
        let never = told(std::future::pending());
        assert!(timeout(ANSWER_WITHIN * 500, never).await.is_ok());
    }

    #[test]
    fn what_follows_without_a_gap_goes_in_one_frame_and_never_over_a_gap() {
        let mut window = Window::default();
        for tag in [2, 1, 3, 6, 5] {
            window.add(tag, Some(tag));
        }
        assert_eq!(sent(&mut window), [(3, true), (5, false), (6, false)]);
        assert_eq!(sent(&mut window), []);
        window.add(7, Some(7));
        window.add(4, Some(4));
        assert_eq!(sent(&mut window), [(7, true)], "5 and 6 were acknowledged before");
    }

    #[test]
    fn what_was_given_back_closes_a_gap_and_is_not_acknowledged() {
        let mut window = Window::default();
        window.settle(1);
        assert_eq!(sent(&mut window), []);
        window.add(2, Some(2));
        window.settle(3);
        assert_eq!(sent(&mut window), [(2, true)]);
        assert_eq!(window.settled, 3);
    }

    #[test]
    fn one_sends_until_there_is_nothing_left() {
        let mut window = Window::default();
        assert!(window.add(1, Some(1)));
        assert!(!window.add(2, Some(2)));
        assert_eq!(window.take().map(|frames| frames.len()), Some(1));
        assert!(!window.add(3, Some(3)), "the one who sends looks again");
        assert_eq!(window.take().map(|frames| frames.len()), Some(1));
        assert_eq!(window.take(), None);
        assert!(window.add(4, Some(4)));
    }
}
