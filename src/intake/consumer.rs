//! One queue: consumed, and taken up again whenever the broker ends that.

use super::pace::Pace;
use super::{Acker, Acks, Inbound, Queue, Shared, message};
use crate::broker;
use crate::code::Code;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct Consumer {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    queue: Queue,
    inbound: mpsc::Sender<Inbound>,
}

/// How consuming ended, other than by us.
enum Ended {
    /// The queue was deleted, or the broker took the consumer off it.
    ByBroker,
    Failed(lapin::Error),
}

impl From<lapin::Error> for Ended {
    fn from(error: lapin::Error) -> Self {
        Ended::Failed(error)
    }
}

impl Consumer {
    pub(super) fn new(
        shared: Arc<Shared>,
        connection: Arc<Connection>,
        queue: Queue,
        inbound: mpsc::Sender<Inbound>,
    ) -> Consumer {
        Consumer { shared, connection, queue, inbound }
    }

    /// Until cancelled, or until the connection is gone. The channel must outlive what was received on it.
    pub(super) async fn run(self) -> Option<Channel> {
        let mut failures = 0;
        loop {
            let ended = match self.consume(&mut failures).await {
                Ok(channel) => return Some(channel),
                Err(ended) => ended,
            };
            if !self.connection.status().connected() {
                return None;
            }
            failures += 1;
            if failures == 1 {
                self.tell(&ended);
            }
            self.shared.cancelled.run_until_cancelled(tokio::time::sleep(broker::pause(failures))).await?;
        }
    }

    /// Once per trouble, not once per attempt.
    fn tell(&self, ended: &Ended) {
        let (queue, code) = (self.queue.name.as_str(), Code::QueueUnavailable);
        match ended {
            Ended::ByBroker => tracing::warn!(queue, %code, "the broker took us off a queue; trying again"),
            Ended::Failed(error) => tracing::warn!(queue, %code, %error, "a queue cannot be consumed; trying again"),
        }
    }

    async fn consume(&self, failures: &mut u32) -> Result<Channel, Ended> {
        let channel = self.connection.create_channel().await?;
        channel.basic_qos(self.shared.options.prefetch.get(), BasicQosOptions::default()).await?;
        let name = self.queue.name.as_str();
        let options = BasicConsumeOptions::default();
        let mut consumer = channel.basic_consume(name.into(), "".into(), options, FieldTable::default()).await?;
        let counted = self.shared.counted(|progress| &mut progress.consumers);
        if std::mem::take(failures) > 0 {
            tracing::info!(queue = name, "the queue is consumed again");
        }
        let acks = Arc::new(Acks::default());
        self.pass_on(&mut consumer, &acks).await?;
        let tag = consumer.tag();
        let giving_back = async {
            channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
            while let Some(delivery) = consumer.next().await {
                self.inbound(delivery?, &acks).acker.release().await;
            }
            Ok::<_, lapin::Error>(())
        };
        let _ = timeout(CANCEL_TIMEOUT, giving_back).await;
        drop(counted);
        Ok(channel)
    }

    /// Hands messages over until we are to stop.
    async fn pass_on(&self, consumer: &mut lapin::Consumer, acks: &Arc<Acks>) -> Result<(), Ended> {
        let cancelled = &self.shared.cancelled;
        let mut pace = self.shared.options.rate.map(|rate| Pace::new(rate, Instant::now()));
        while let Some(delivery) = cancelled.run_until_cancelled(consumer.next()).await {
            let inbound = self.inbound(delivery.ok_or(Ended::ByBroker)??, acks);
            let wait = pace.as_mut().map_or(Duration::ZERO, |pace| pace.wait(Instant::now()));
            // A stop that falls into it is seen just below.
            if !wait.is_zero() {
                cancelled.run_until_cancelled(tokio::time::sleep(wait)).await;
            }
            // One place in line per queue that has something: nobody's flood keeps another from being served.
            match cancelled.run_until_cancelled(self.inbound.reserve()).await {
                Some(Ok(place)) => place.send(inbound),
                Some(Err(_)) | None => {
                    inbound.acker.release().await;
                    break;
                }
            }
        }
        Ok(())
    }

    fn inbound(&self, delivery: Delivery, acks: &Arc<Acks>) -> Inbound {
        let Delivery { properties, data, acker, delivery_tag, .. } = delivery;
        let raw = message::raw(&properties, data, self.queue.party.clone(), self.shared.options.max_body);
        let acker = Acker { acks: acks.clone(), delivery: Some((delivery_tag, acker)) };
        Inbound { queue: self.queue.name.clone(), raw, acker }
    }
}
