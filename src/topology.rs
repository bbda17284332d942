//! Topology: the exchanges and queues that the directory asks for, declared on a broker or written as RabbitMQ
//! definitions. Reads the directory only; no message passes here.
//!
//! A party publishes to a fanout exchange of its own, named like the queue behind it. It may not write to the
//! default exchange, where whoever may write can reach every queue.

mod definitions;

pub use definitions::{Options, definitions};

use crate::directory::Directory;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

/// The ledger counts attempts, so the broker must not. RabbitMQ 4 drops a message after 20 returns by default, and
/// its word for "never", -1, makes 3.10 refuse the declaration: so many as nobody counts to, in every version.
const DELIVERY_LIMIT: i32 = i32::MAX;
const QUEUE_TYPE: &str = "quorum";

const ACCESS_REFUSED: u16 = 403;

/// Declares what is not there yet, as far as we may. Where the broker's owner keeps the topology we may not, and
/// then this finds out with its first question.
pub async fn declare(connection: &Connection, directory: &Directory) -> lapin::Result<()> {
    let mut declaring = Declaring { connection, channel: None };
    for queue in directory.queues() {
        if !declaring.queue(&queue).await? {
            tracing::info!("no permission to declare: exchanges and queues are expected to be there");
            return Ok(());
        }
    }
    for (_, queue) in directory.inbound() {
        declaring.way_in(queue).await?;
    }
    Ok(())
}

struct Declaring<'a> {
    connection: &'a Connection,
    /// A refusal closes the channel.
    channel: Option<Channel>,
}

impl Declaring<'_> {
    /// False where we have no permission.
    async fn queue(&mut self, name: &str) -> lapin::Result<bool> {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(LongString::from(QUEUE_TYPE)));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
        let channel = self.channel().await?;
        let declared = channel.queue_declare(name.into(), options, arguments).await;
        self.judge(name, declared.map(drop))
    }

    async fn way_in(&mut self, queue: &str) -> lapin::Result<bool> {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let channel = self.channel().await?;
        let none = FieldTable::default;
        let declared = async {
            channel.exchange_declare(queue.into(), ExchangeKind::Fanout, options, none()).await?;
            channel.queue_bind(queue.into(), queue.into(), "".into(), QueueBindOptions::default(), none()).await
        };
        let declared = declared.await;
        self.judge(queue, declared)
    }

    async fn channel(&mut self) -> lapin::Result<Channel> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let channel = self.connection.create_channel().await?;
        Ok(self.channel.insert(channel).clone())
    }

    fn judge(&mut self, name: &str, declared: lapin::Result<()>) -> lapin::Result<bool> {
        let Err(error) = declared else { return Ok(true) };
        let ErrorKind::ProtocolError(refusal) = error.kind() else { return Err(error) };
        if !error.is_amqp_soft_error() {
            return Err(error);
        }
        self.channel = None;
        if refusal.get_id() == ACCESS_REFUSED {
            return Ok(false);
        }
        tracing::warn!(name, %error, "the broker has this otherwise than we would declare it; it is used as it is");
        Ok(true)
    }
}
