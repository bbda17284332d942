//! Intake: consumers on the partners' queues. Takes bytes off the broker and believes nothing about them.

mod acks;
mod consumer;
mod message;
mod pace;
mod room;

use crate::broker;
use crate::directory::Directory;
use crate::envelope::RawMessage;
use crate::party::PartyId;
use crate::topology;
use acks::Acks;
use consumer::Consumer;
use lapin::{Channel, Connection};
pub use room::{Room, Taken};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const PURPOSE: &str = "intake";
/// Each consumer has a channel of its own, so that a refusal on one queue leaves the others alone. Brokers allow
/// some 2000 channels on a connection; beyond this many queues there is another connection.
const QUEUES_PER_CONNECTION: usize = 1000;

/// A message off a queue, to be acknowledged once it is safe.
#[derive(Debug)]
pub struct Inbound {
    pub queue: String,
    pub raw: RawMessage,
    pub acker: Acker,
    /// For as long as it is in memory.
    pub room: Option<Taken>,
}

/// Ends the broker's responsibility for one message, once. Does nothing if the connection is gone: the broker then
/// gives the message again, and the ledger recognises it.
#[derive(Debug)]
pub struct Acker {
    acks: Arc<Acks>,
    delivery: Option<(u64, lapin::Acker)>,
}

impl Acker {
    /// It is safe with us.
    pub async fn ack(mut self) {
        if let Some((tag, acker)) = self.delivery.take() {
            self.acks.ack(tag, acker).await;
        }
    }

    /// It is not: the broker gives it again. Only when stopping or when nothing could be recorded.
    pub async fn release(mut self) {
        if let Some((tag, acker)) = self.delivery.take() {
            self.acks.release(tag, acker).await;
        }
    }
}

impl Drop for Acker {
    fn drop(&mut self) {
        if self.delivery.is_some() {
            tracing::debug!("a message was dropped: the broker gives it again when the connection ends");
        }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    pub broker: broker::Options,
    /// Per queue, at the most: of large messages fewer come ahead.
    pub prefetch: NonZeroU16,
    /// For what was taken in and is not over.
    pub room: Room,
    pub max_body: usize,
    /// Messages a second of each queue; as fast as it goes where absent.
    pub rate: Option<NonZeroU32>,
}

/// How far intake is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub connections: usize,
    pub consumers: usize,
    /// As many consumers as there should be.
    pub queues: usize,
}

/// Each ends with the channel that it consumed on.
type Consumers = JoinSet<Option<Channel>>;

#[derive(Clone, Debug)]
struct Queue {
    name: String,
    party: PartyId,
}

/// What the tasks of intake share.
#[derive(Debug)]
struct Shared {
    options: Options,
    directory: Arc<Directory>,
    progress: watch::Sender<Progress>,
    /// No more messages.
    cancelled: CancellationToken,
    /// And no more acknowledgements.
    closed: CancellationToken,
}

/// Running consumers. Stopping takes two steps, so that what was taken in can still be acknowledged in between.
#[derive(Debug)]
pub struct Intake {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Intake {
    /// Starts to consume every partner's queue into `inbound`, and keeps at it until cancelled.
    pub fn start(options: Options, directory: Arc<Directory>, inbound: &mpsc::Sender<Inbound>) -> Intake {
        let queues: Vec<Queue> =
            directory.inbound().map(|(party, name)| Queue { name: name.to_owned(), party: party.clone() }).collect();
        let progress = Progress { queues: queues.len(), ..Progress::default() };
        let shared = Arc::new(Shared {
            options,
            directory,
            progress: watch::Sender::new(progress),
            cancelled: CancellationToken::new(),
            closed: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        for (index, queues) in queues.chunks(QUEUES_PER_CONNECTION).enumerate() {
            let (shared, queues, inbound) = (shared.clone(), queues.to_vec(), inbound.clone());
            tasks.spawn(async move { shared.keep_consuming(&queues, index == 0, inbound).await });
        }
        tasks.close();
        Intake { shared, tasks }
    }

    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.subscribe()
    }

    /// Takes no more messages. What was handed out can still be acknowledged; what was not goes back.
    pub async fn cancel(&self) {
        self.shared.cancelled.cancel();
        let _ = self.progress().wait_for(|progress| progress.consumers == 0).await;
    }

    /// Ends the connection: whatever is not acknowledged by now, the broker gives again.
    pub async fn close(self) {
        self.shared.cancelled.cancel();
        self.shared.closed.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.shared.cancelled.cancel();
        self.shared.closed.cancel();
    }
}

impl Shared {
    /// On one connection after the other. Nothing of an old one is used again: the next one starts from scratch,
    /// with its own channels, prefetch and consumers.
    async fn keep_consuming(self: Arc<Self>, queues: &[Queue], declares: bool, inbound: mpsc::Sender<Inbound>) {
        let mut supply = broker::Supply::new(self.options.broker.clone(), PURPOSE);
        while let Some(connection) = supply.next(&self.cancelled).await {
            let _connected = self.counted(|progress| &mut progress.connections);
            if declares {
                self.declare(&connection).await;
            }
            let consumers = self.consume(&connection, queues, &inbound);
            tokio::select! {
                () = broker::lost(&connection, PURPOSE) => {}
                () = self.cancelled.cancelled() => {
                    // Whoever listens learns that nothing more comes.
                    drop(inbound);
                    return self.wind_down(&connection, consumers).await;
                }
            }
        }
    }

    /// As far as it goes: what is missing in the end shows when it is consumed or published to.
    async fn declare(&self, connection: &Connection) {
        let declaring = topology::declare(connection, &self.directory);
        match self.cancelled.run_until_cancelled(declaring).await {
            Some(Ok(declared)) if declared.refused => {
                tracing::info!("no permission to declare queues and exchanges: they are expected to be there");
            }
            Some(Ok(declared)) if !declared.different.is_empty() => {
                let names = declared.different.join(", ");
                tracing::warn!(names, "the broker has these otherwise than the gateway would declare them");
            }
            Some(Err(error)) => tracing::warn!(%error, "queues and exchanges could not be declared"),
            Some(Ok(_)) | None => {}
        }
    }

    fn consume(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        queues: &[Queue],
        inbound: &mpsc::Sender<Inbound>,
    ) -> Consumers {
        let consumer = |queue: &Queue| Consumer::new(self.clone(), connection.clone(), queue.clone(), inbound.clone());
        queues.iter().map(|queue| consumer(queue).run()).collect()
    }

    /// Acknowledgements still go out, on the channels that the consumers leave.
    async fn wind_down(&self, connection: &Connection, consumers: Consumers) {
        tokio::select! {
            () = broker::lost(connection, PURPOSE) => {}
            () = self.closed.cancelled() => broker::close(connection).await,
        }
        drop(consumers);
    }

    fn counted(self: &Arc<Self>, which: fn(&mut Progress) -> &mut usize) -> Counted {
        self.progress.send_modify(|progress| *which(progress) += 1);
        Counted { shared: self.clone(), which }
    }
}

/// Counts in the progress for as long as it lives, however that ends.
struct Counted {
    shared: Arc<Shared>,
    which: fn(&mut Progress) -> &mut usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.progress.send_modify(|progress| *(self.which)(progress) -= 1);
    }
}

#[cfg(test)]
mod tests;
