//! The bare relay: one in, two out, confirmed, acknowledged. The yardstick, so it does nothing else.

use super::{Round, confirming, consume, counted, rate};
use futures_util::StreamExt;
use ketenpoort::demo::World;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};

const QUEUES: [&str; 3] = ["ketenpoort.bench.in", "ketenpoort.bench.out", "ketenpoort.bench.receipts"];
const PREFETCH: u16 = 256;

pub async fn round(world: &World, count: usize) -> Round {
    let url = world.broker.as_str();
    let channel = confirming(url).await;
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    for queue in QUEUES {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), options, quorum.clone()).await.expect("a queue");
    }
    let body = super::release(0, "relay");
    let mut confirms = Vec::with_capacity(count);
    for _ in 0..count {
        confirms.push(publish(&channel, QUEUES[0], body.as_bytes()).await);
    }
    for confirm in confirms {
        confirm.await.expect("confirmed");
    }
    let (out, receipts) =
        (consume(&confirming(url).await, QUEUES[1]).await, consume(&confirming(url).await, QUEUES[2]).await);
    let relay = tokio::spawn(relay(confirming(url).await, count));
    let (out, receipts) = tokio::join!(counted(out, count), counted(receipts, count));
    relay.await.expect("the relay ends well");
    Round { rate: rate(count, out.0.min(receipts.0), out.1.max(receipts.1)), cpu_per_message: None }
}

async fn relay(channel: Channel, count: usize) {
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.expect("prefetch");
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(QUEUES[0].into(), "".into(), options, FieldTable::default()).await;
    let consumer = consumer.expect("a consumer").take(count);
    let each = consumer.for_each_concurrent(usize::from(PREFETCH), |delivery| {
        let channel = channel.clone();
        async move {
            let delivery = delivery.expect("a delivery");
            let (one, other) = tokio::join!(
                publish(&channel, QUEUES[1], &delivery.data),
                publish(&channel, QUEUES[2], &delivery.data)
            );
            one.await.expect("confirmed");
            other.await.expect("confirmed");
            delivery.ack(BasicAckOptions::default()).await.expect("acknowledged");
        }
    });
    each.await;
}

async fn publish(
    channel: &Channel,
    queue: &str,
    body: &[u8],
) -> impl Future<Output = lapin::Result<lapin::Confirmation>> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish("".into(), queue.into(), options, body, properties).await.expect("published")
}
