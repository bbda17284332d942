//! A lane: one channel with many messages on their way at once, each with its own answer.
//!
//! Many at once, because a broker confirms them in batches: half the work for it compared with one message at a
//! time on many channels. The price is that a return must be matched to its message. The broker sends a return
//! before the confirmation of the same message, but lapin hands it out with whichever confirmation completes next,
//! first come, first served. So the message that a return came with says nothing; the id in it does, and:
//!
//! 1. A confirmation that came without a return found no return waiting. If its own message had been returned, that
//!    return was handed out before, with a confirmation that was therefore complete before.
//! 2. With each return there is one more message that the broker has yet to confirm, and each confirmation hands
//!    out one return as long as there are any. So once nothing is pending, every return has been handed out.
//!
//! Hence: as long as no return was seen, a confirmation counts once all others have been looked at after it came
//! (by 1 a return of it would have been seen by then). From the first return on, nothing is sent and nothing
//! counts until nothing is pending any more; then all returns are known (by 2).

use super::super::Failure;
use super::{Publication, properties};
use crate::broker;
use futures_util::future::BoxFuture;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, Connection};
use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

/// Messages on their way at once, per lane.
const WINDOW: usize = 128;
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// What a lane with an overdue message gives the others before it takes another channel.
const GRACE: Duration = Duration::from_secs(1);

type Answer = Result<(), Failure>;

/// A message and who waits to hear of it.
#[derive(Debug)]
pub(super) struct Job {
    publication: Publication,
    answer: oneshot::Sender<Answer>,
}

impl Job {
    pub(super) fn new(publication: Publication) -> (Job, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        (Job { publication, answer }, receiver)
    }
}

/// The way into a lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) jobs: mpsc::Sender<Job>,
    /// Somebody gave up waiting.
    pub(super) overdue: Arc<Notify>,
}

impl Lane {
    /// The lane, and what makes it move.
    pub(super) fn new(connection: Arc<Connection>) -> (Lane, impl Future<Output = ()>) {
        let (jobs, queue) = mpsc::channel(WINDOW);
        let overdue = Arc::new(Notify::new());
        let carrier = Carrier { connection, queue, overdue: overdue.clone() };
        (Lane { jobs, overdue }, carrier.run())
    }
}

struct Carrier {
    connection: Arc<Connection>,
    queue: mpsc::Receiver<Job>,
    overdue: Arc<Notify>,
}

impl Carrier {
    /// On one channel after the other, as long as the connection lives.
    async fn run(mut self) {
        let mut failures = 0;
        while self.connection.status().connected() && !self.queue.is_closed() {
            match self.channel().await {
                Some(channel) => {
                    failures = 0;
                    self.carry(channel).await;
                }
                None => {
                    failures += 1;
                    tokio::time::sleep(broker::pause(failures)).await;
                }
            }
        }
    }

    async fn channel(&self) -> Option<Channel> {
        // A broker in trouble opens no channel, and lapin would keep each that was asked for.
        if self.connection.status().blocked() {
            return None;
        }
        let opening = async {
            let channel = self.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>(channel)
        };
        timeout(OPEN_TIMEOUT, opening).await.ok()?.ok()
    }

    /// Until the channel must not be used any longer. Whoever has no answer by then is told that there is none.
    async fn carry(&mut self, channel: Channel) {
        let mut flight = Flight::default();
        let mut leave_at = None;
        while leave_at.is_none() || !flight.pending.is_empty() {
            let room = flight.pending.len() < WINDOW && flight.returned.is_empty() && leave_at.is_none();
            tokio::select! {
                biased;
                looked = poll_fn(|cx| flight.poll(cx)) => if let Err(error) = looked {
                    if !self.connection.status().connected() {
                        return flight.give_up(Failure::Disconnected);
                    }
                    tracing::warn!(%error, "the broker closed a channel of delivery");
                    return flight.give_up(Failure::Unconfirmed);
                },
                () = self.overdue.notified(), if leave_at.is_none() => {
                    // While the broker blocks us, another channel would fare no better.
                    if !self.connection.status().blocked() {
                        leave_at = Some(Instant::now() + GRACE);
                    }
                }
                () = sleep_until(leave_at.unwrap_or_else(Instant::now)), if leave_at.is_some() => {
                    return flight.give_up(Failure::Unconfirmed);
                }
                job = self.queue.recv(), if room => match job {
                    None => return,
                    Some(job) if job.answer.is_closed() => {}
                    Some(job) => flight.send(&channel, job),
                },
            }
        }
    }
}

/// What is on its way on one channel.
#[derive(Default)]
struct Flight {
    pending: Vec<Pending>,
    /// Confirmed, but a return may still tell otherwise.
    confirmed: Vec<Confirmed>,
    /// Ids of messages that came back, since the last time that nothing was pending.
    returned: HashSet<String>,
}

struct Pending {
    confirmation: BoxFuture<'static, lapin::Result<Confirmation>>,
    id: String,
    answer: oneshot::Sender<Answer>,
}

struct Confirmed {
    outcome: Answer,
    id: String,
    answer: oneshot::Sender<Answer>,
}

impl Flight {
    fn send(&mut self, channel: &Channel, job: Job) {
        let Ok(queue) = ShortString::try_new(job.publication.to.as_str()) else {
            let _ = job.answer.send(Err(Failure::Unroutable));
            return;
        };
        let properties = properties(&job.publication);
        let Publication { body, message_id, .. } = job.publication;
        let channel = channel.clone();
        let confirmation = async move {
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let body = body.reveal_personal_data();
            channel.basic_publish("".into(), queue, options, body, properties).await?.await
        };
        self.pending.push(Pending { confirmation: Box::pin(confirmation), id: message_id, answer: job.answer });
    }

    /// Looks at everything that is pending; ready when something came, or when the channel is broken.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<lapin::Result<()>> {
        let mut progress = false;
        loop {
            let looked_at_before = self.confirmed.len();
            let mut index = 0;
            while index < self.pending.len() {
                match self.pending[index].confirmation.as_mut().poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(confirmation)) => {
                        self.confirm(index, confirmation);
                        progress = true;
                    }
                }
            }
            if self.pending.is_empty() {
                self.settle(self.confirmed.len());
                self.returned.clear();
            } else if self.returned.is_empty() {
                self.settle(looked_at_before);
            }
            // Whatever was found in this look needs one more.
            if self.returned.is_empty() && !self.confirmed.is_empty() {
                continue;
            }
            return if progress { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
    }

    fn confirm(&mut self, index: usize, confirmation: Confirmation) {
        let Pending { id, answer, .. } = self.pending.swap_remove(index);
        let outcome = if confirmation.is_ack() { Ok(()) } else { Err(Failure::Nacked) };
        let returned = confirmation.take_message();
        self.confirmed.push(Confirmed { outcome, id, answer });
        if let Some(message) = returned {
            let id = message.properties.message_id().as_ref().map(ToString::to_string);
            self.returned.insert(id.unwrap_or_default());
        }
    }

    /// Answers the first of those that are confirmed.
    fn settle(&mut self, count: usize) {
        for Confirmed { outcome, id, answer } in self.confirmed.drain(..count) {
            let outcome = if self.returned.contains(&id) { Err(Failure::Unroutable) } else { outcome };
            // Nobody may be waiting any more.
            let _ = answer.send(outcome);
        }
    }

    fn give_up(self, failure: Failure) {
        let pending = self.pending.into_iter().map(|pending| pending.answer);
        for answer in pending.chain(self.confirmed.into_iter().map(|confirmed| confirmed.answer)) {
            let _ = answer.send(Err(failure.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
