//! One queue: consumed, and taken up again whenever the broker ends that.

use super::pace::Pace;
use super::room::Ahead;
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
        let (acks, options) = (Arc::new(Acks::default()), &self.shared.options);
        let mut ahead = Ahead::new(options.prefetch.get());
        let mut pace = options.rate.map(|rate| Pace::new(rate, Instant::now()));
        let mut counted = None;
        loop {
            channel.basic_qos(ahead.messages(), BasicQosOptions::default()).await?;
            let (name, options) = (self.queue.name.as_str(), BasicConsumeOptions::default());
            let mut consumer = channel.basic_consume(name.into(), "".into(), options, FieldTable::default()).await?;
            counted.get_or_insert_with(|| self.shared.counted(|progress| &mut progress.consumers));
            if std::mem::take(failures) > 0 {
                tracing::info!(queue = name, "the queue is consumed again");
            }
            let goes_on = self.pass_on(&mut consumer, &acks, &mut ahead, &mut pace).await?;
            let tag = consumer.tag();
            if !goes_on {
                let giving_back = async {
                    channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
                    while let Some(delivery) = consumer.next().await {
                        self.inbound(delivery?, &acks).acker.release().await;
                    }
                    Ok::<_, lapin::Error>(())
                };
                let _ = timeout(CANCEL_TIMEOUT, giving_back).await;
                return Ok(channel);
            }
            // How many come ahead is said before a consumer begins. What is on its way to this one still comes.
            channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
            let mut goes_on = true;
            while let Some(delivery) = consumer.next().await {
                let delivery = delivery?;
                match goes_on {
                    true => goes_on = self.hand_over(delivery, &acks, &mut pace).await,
                    false => self.inbound(delivery, &acks).acker.release().await,
                }
            }
            if !goes_on {
                return Ok(channel);
            }
        }
    }

    /// Hands messages over until we are to stop, or until others of another size come: then it goes on.
    async fn pass_on(
        &self,
        consumer: &mut lapin::Consumer,
        acks: &Arc<Acks>,
        ahead: &mut Ahead,
        pace: &mut Option<Pace>,
    ) -> Result<bool, Ended> {
        let cancelled = &self.shared.cancelled;
        while let Some(delivery) = cancelled.run_until_cancelled(consumer.next()).await {
            let delivery = delivery.ok_or(Ended::ByBroker)??;
            let is_other = ahead.is_other(delivery.data.len());
            if !self.hand_over(delivery, acks, pace).await {
                return Ok(false);
            }
            if is_other {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// False where nothing more is to be taken.
    async fn hand_over(&self, delivery: Delivery, acks: &Arc<Acks>, pace: &mut Option<Pace>) -> bool {
        let inbound = self.inbound(delivery, acks);
        let cancelled = &self.shared.cancelled;
        let wait = pace.as_mut().map_or(Duration::ZERO, |pace| pace.wait(Instant::now()));
        // A stop that falls into it is seen just below.
        if !wait.is_zero() {
            cancelled.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        // One place in line per queue that has something: nobody's flood keeps another from being served.
        let place = async {
            let room = self.shared.options.room.take(inbound.raw.body.reveal_personal_data().len()).await?;
            Some((self.inbound.reserve().await.ok()?, room))
        };
        match cancelled.run_until_cancelled(place).await.flatten() {
            Some((place, room)) => place.send(Inbound { room: Some(room), ..inbound }),
            None => {
                inbound.acker.release().await;
                return false;
            }
        }
        true
    }

    fn inbound(&self, delivery: Delivery, acks: &Arc<Acks>) -> Inbound {
        let Delivery { properties, data, acker, delivery_tag, .. } = delivery;
        let raw = message::raw(&properties, data, self.queue.party.clone(), self.shared.options.max_body);
        let acker = Acker { acks: acks.clone(), delivery: Some((delivery_tag, acker)) };
        Inbound { queue: self.queue.name.clone(), raw, acker, room: None }
    }
}
