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

/// What a broker made of our declarations.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The broker's owner keeps the topology: we may not, and what is needed is expected to be there.
    pub refused: bool,
    /// There, but otherwise than we would declare it: used as it is.
    pub different: Vec<String>,
}

/// Declares what is not there yet, as far as we may.
pub async fn declare(connection: &Connection, directory: &Directory) -> lapin::Result<Declared> {
    let mut declaring = Declaring { connection, channel: None, declared: Declared::default() };
    for queue in directory.queues() {
        declaring.queue(&queue).await?;
    }
    for (_, queue) in directory.inbound() {
        declaring.way_in(queue).await?;
    }
    Ok(declaring.declared)
}

struct Declaring<'a> {
    connection: &'a Connection,
    /// Whatever goes wrong on a channel closes it.
    channel: Option<Channel>,
    declared: Declared,
}

impl Declaring<'_> {
    async fn queue(&mut self, name: &str) -> lapin::Result<()> {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(LongString::from(QUEUE_TYPE)));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
        let Some(channel) = self.channel().await? else { return Ok(()) };
        let answer = channel.queue_declare(name.into(), options, arguments).await;
        self.judge(name, answer.map(drop))
    }

    async fn way_in(&mut self, queue: &str) -> lapin::Result<()> {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let none = FieldTable::default;
        let Some(channel) = self.channel().await? else { return Ok(()) };
        let answer = async {
            channel.exchange_declare(queue.into(), ExchangeKind::Fanout, options, none()).await?;
            channel.queue_bind(queue.into(), queue.into(), "".into(), QueueBindOptions::default(), none()).await
        };
        let answer = answer.await;
        self.judge(queue, answer)
    }

    /// None once we know that we may not declare.
    async fn channel(&mut self) -> lapin::Result<Option<Channel>> {
        if self.declared.refused {
            return Ok(None);
        }
        if self.channel.is_none() {
            self.channel = Some(self.connection.create_channel().await?);
        }
        Ok(self.channel.clone())
    }

    fn judge(&mut self, name: &str, answer: lapin::Result<()>) -> lapin::Result<()> {
        let Err(error) = answer else { return Ok(()) };
        match error.kind() {
            ErrorKind::ProtocolError(refusal) if error.is_amqp_soft_error() => match refusal.get_id() {
                ACCESS_REFUSED => self.declared.refused = true,
                _ => self.declared.different.push(name.to_owned()),
            },
            _ => return Err(error),
        }
        self.channel = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
