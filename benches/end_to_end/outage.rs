//! One recipient among others hangs: what the others notice of that. The same load, with that recipient well and then
//! saying nothing; rounds alternate.

use super::{DJI, GEMEENTE, Queue, confirming, drain, party, properties, release, sender};
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use ketenpoort::demo::World;
use ketenpoort::simulators::recipient::Behaviour;
use lapin::options::BasicPublishOptions;
use lapin::types::AMQPValue;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const SECONDS: u32 = 10;
/// One in so many is for the recipient that hangs.
const SHARE: usize = 10;
const PATH: &str = "/gemeente-0599";
const ROUNDS: usize = 2;

pub async fn rounds(world: &World, rate: f64) {
    for round in 0..ROUNDS {
        for (name, behaviour) in [("well", Behaviour::Take), ("down", Behaviour::Hang)] {
            world.webhooks.behave_at(PATH, behaviour, None);
            let others = latency(world, rate, &format!("{name}-{round}")).await;
            let ms = |quantile| others.value_at_quantile(quantile) as f64 / 1000.0;
            println!(
                "one recipient {name}, {rate:.0} messages/s: the others p50 {:.1} ms, p99 {:.1} ms",
                ms(0.5),
                ms(0.99)
            );
        }
    }
    world.webhooks.behave_at(PATH, Behaviour::Take, None);
}

/// Of the others, from published to received.
async fn latency(world: &World, rate: f64, round: &str) -> Histogram<u64> {
    let count = (rate * f64::from(SECONDS)) as usize;
    let mut inbox = drain(world, GEMEENTE, Queue::Out).await;
    let channel = confirming(&world.note.partners[&party(DJI)].url).await;
    let (exchange, user, source) = sender(world);
    let prefix = format!("{round}-");
    let publishing = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let started = Instant::now();
        let (mut sent, mut confirms) = (Vec::with_capacity(count), Vec::with_capacity(count));
        while sent.len() < count {
            ticks.tick().await;
            let wanted = ((started.elapsed().as_secs_f64() * rate) as usize).min(count);
            while sent.len() < wanted {
                let index = sent.len();
                let body = match index % SHARE {
                    0 => release(index, round).replace("<Gemeentecode>0606<", "<Gemeentecode>0599<"),
                    _ => release(index, round),
                };
                let properties = properties(&user, &source, &format!("{prefix}{index}"));
                sent.push(Instant::now());
                let options = BasicPublishOptions::default();
                let published =
                    channel.basic_publish(exchange.as_str().into(), "".into(), options, body.as_bytes(), properties);
                confirms.push(published.await.expect("published"));
            }
        }
        for confirm in confirms {
            confirm.await.expect("confirmed");
        }
        sent
    };
    let receiving = async {
        let mut received = HashMap::new();
        while received.len() < count - count.div_ceil(SHARE) {
            let delivery = inbox.next().await.expect("a delivery").expect("a delivery");
            let headers = delivery.properties.headers().clone().unwrap_or_default();
            let Some(AMQPValue::LongString(id)) = headers.inner().get("cloudEvents_correlationid") else { continue };
            if let Some(index) = id.to_string().strip_prefix(&prefix) {
                received.insert(index.parse::<usize>().expect("one of ours"), Instant::now());
            }
        }
        received
    };
    let (sent, received) = tokio::join!(publishing, receiving);
    let mut histogram = Histogram::new(3).expect("a histogram");
    for (index, at) in received {
        let age = at.duration_since(sent[index]).as_micros();
        histogram.record(u64::try_from(age).unwrap_or(u64::MAX)).expect("it grows");
    }
    histogram
}
