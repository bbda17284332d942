//! The gateway on a real broker beside a bare relay, in one run: `cargo bench --bench end_to_end`.
//!
//! The relay takes a message off one quorum queue and puts it on two, persistent and confirmed, and does nothing else.
//! The gateway takes release notifications off DJI's queue: parsed, checked, looked up in IRIS, decided, minimised,
//! recorded, delivered to the municipality and answered with a signed receipt. Rounds alternate; medians count.
//!
//! `KETENPOORT_BENCH_MESSAGES` (10000) and `KETENPOORT_BENCH_ROUNDS` (3) set its size, `KETENPOORT_BENCH_CONFIG` other
//! settings of the gateway, as TOML, `KETENPOORT_BENCH_PARTNERS` another folder of partners.

mod outage;
mod relay;
mod waiting;

use futures_util::StreamExt;
use hdrhistogram::Histogram;
use ketenpoort::demo::{Options, World};
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const KIND: &str = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";
const TEMPLATE: &str = include_str!("../../tests/fixtures/invrijheidstelling.xml");
const DJI: &str = "dji";
/// Takes JSON off a queue.
const GEMEENTE: &str = "gemeente:0606";

/// What one round gave.
struct Round {
    rate: f64,
    cpu_per_message: Option<Duration>,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let count = setting("KETENPOORT_BENCH_MESSAGES", 10_000);
    let rounds = setting("KETENPOORT_BENCH_ROUNDS", 3);
    let home = tempfile::tempdir().expect("a temporary folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut options = Options::new(root, home.path().join("world"), env!("CARGO_BIN_EXE_ketenpoort"));
    let settings = std::env::var("KETENPOORT_BENCH_CONFIG").unwrap_or_default();
    options.config = format!("telemetry = {{ sample_ratio = 0.0, log_filter = \"warn\" }}\n{settings}");
    if let Ok(partners) = std::env::var("KETENPOORT_BENCH_PARTNERS") {
        options.partners = partners.into();
    }
    let mut world = World::start(&options).await.expect("a world");
    if std::env::args().any(|argument| argument == "waiting") {
        return waiting::run(&mut world).await;
    }

    let (mut relays, mut gateways) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        relays.push(relay::round(&world, count).await);
        gateways.push(gateway_round(&mut world, round, count).await);
        let (relay, gateway) = (&relays[round], &gateways[round]);
        println!("round {}: relay {:.0}/s, gateway {:.0}/s", round + 1, relay.rate, gateway.rate);
    }
    let (relay, gateway) = (median(&relays), median(&gateways));
    let cpu = gateways.iter().filter_map(|round| round.cpu_per_message).min().unwrap_or_default();
    println!("{count} messages a round, {rounds} rounds, medians");
    println!("bare relay            {relay:>8.0} messages/s (one in, two out, confirmed)");
    println!("gateway               {gateway:>8.0} messages/s (delivery and signed receipt)");
    println!("ratio                 {:>8.2}", gateway / relay);
    println!("CPU of the gateway    {:>8.0} µs/message", cpu.as_secs_f64() * 1e6);

    let half = latency(&world, gateway / 2.0).await;
    let ms = |quantile: f64| half.value_at_quantile(quantile) as f64 / 1000.0;
    println!("at half load, to the municipality: p50 {:.1} ms, p99 {:.1} ms", ms(0.5), ms(0.99));
    outage::rounds(&world, gateway / 4.0).await;
    let peak = status(pid(&world), "VmHWM").unwrap_or_default();
    println!("peak memory           {:>8} MB", peak / 1024);
    world.stop_gateway().await.expect("the gateway ends well");
}

fn pid(world: &World) -> u32 {
    world.pid().expect("the gateway runs")
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn median(rounds: &[Round]) -> f64 {
    let mut rates: Vec<f64> = rounds.iter().map(|round| round.rate).collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// The queue is filled while the gateway is down; the clock runs from the first message that comes out to the last.
async fn gateway_round(world: &mut World, round: usize, count: usize) -> Round {
    world.stop_gateway().await.expect("the gateway ends well");
    let channel = confirming(&world.note.partners[&party(DJI)].url).await;
    publish_all(&channel, world, &format!("r{round}"), count).await;
    let deliveries = drain(world, GEMEENTE, Queue::Out).await;
    let receipts = drain(world, DJI, Queue::Receipts).await;
    world.start_gateway().await.expect("the gateway starts");
    let (out, receipts) = tokio::join!(counted(deliveries, count), counted(receipts, count));
    let started = out.0.min(receipts.0);
    let cpu = cpu_time(pid(world)).map(|used| used / u32::try_from(count).unwrap_or(1));
    Round { rate: rate(count, started, out.1.max(receipts.1)), cpu_per_message: cpu }
}

fn rate(count: usize, first: Instant, last: Instant) -> f64 {
    count as f64 / last.duration_since(first).as_secs_f64()
}

/// At a steady rate: from published to received.
async fn latency(world: &World, rate: f64) -> Histogram<u64> {
    let seconds = 10.0;
    let count = (rate * seconds) as usize;
    let mut inbox = drain(world, GEMEENTE, Queue::Out).await;
    let sent: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let channel = confirming(&world.note.partners[&party(DJI)].url).await;
    let published = sent.clone();
    let (exchange, user, source) = sender(world);
    let publisher = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let started = Instant::now();
        let mut confirms = Vec::with_capacity(count);
        let mut done = 0;
        while done < count {
            ticks.tick().await;
            let wanted = ((started.elapsed().as_secs_f64() * rate) as usize).min(count);
            while done < wanted {
                let properties = properties(&user, &source, &format!("half-{done}"));
                published.lock().await.push(Instant::now());
                let body = release(done, "half");
                let options = BasicPublishOptions::default();
                let sent =
                    channel.basic_publish(exchange.as_str().into(), "".into(), options, body.as_bytes(), properties);
                confirms.push(sent.await.expect("published"));
                done += 1;
            }
        }
        // The channel goes with this task, so nothing may be on its way any more.
        for confirm in confirms {
            confirm.await.expect("confirmed");
        }
    });
    let mut histogram = Histogram::new(3).expect("a histogram");
    for _ in 0..count {
        let delivery = inbox.next().await.expect("a delivery").expect("a delivery");
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        let Some(AMQPValue::LongString(id)) = headers.inner().get("cloudEvents_correlationid") else { continue };
        let index: usize = id.to_string().trim_start_matches("half-").parse().expect("one of ours");
        let age = sent.lock().await[index].elapsed();
        histogram.record(u64::try_from(age.as_micros()).unwrap_or(u64::MAX)).expect("it grows");
    }
    publisher.await.expect("the publisher ends well");
    histogram
}

async fn publish_all(channel: &Channel, world: &World, round: &str, count: usize) {
    let (exchange, user, source) = sender(world);
    let mut confirms = Vec::with_capacity(count);
    for index in 0..count {
        let properties = properties(&user, &source, &format!("{round}-{index}"));
        let body = release(index, round);
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(exchange.as_str().into(), "".into(), options, body.as_bytes(), properties);
        confirms.push(sent.await.expect("published"));
    }
    for confirm in confirms {
        confirm.await.expect("confirmed");
    }
}

fn sender(world: &World) -> (String, String, String) {
    let dji = &world.note.partners[&party(DJI)];
    (dji.inbound.clone(), dji.user.clone(), dji.source.clone())
}

fn properties(user: &str, source: &str, id: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    let attributes = [("id", id), ("source", source), ("specversion", "1.0"), ("type", KIND), ("sequence", "1")];
    for (name, value) in attributes {
        headers.insert(format!("cloudEvents_{name}").into(), AMQPValue::LongString(value.into()));
    }
    BasicProperties::default()
        .with_content_type("application/xml".into())
        .with_user_id(user.into())
        .with_delivery_mode(2)
        .with_headers(headers)
}

/// Another detention each time, so that none supersedes another, of somebody whom IRIS does not know: one recipient.
fn release(index: usize, round: &str) -> String {
    TEMPLATE
        .replace("DET-2025-118204", &format!("DET-{round}-{index}"))
        .replace("<Gemeentecode>0363<", "<Gemeentecode>0606<")
        .replace("<Gemeentecode>0344<", "<Gemeentecode>0606<")
        .replace("999993653", "999990007")
        .replace("2048113", "7700001")
}

fn party(id: &str) -> ketenpoort::party::PartyId {
    ketenpoort::party::PartyId::new(id)
}

enum Queue {
    Out,
    Receipts,
}

/// Takes everything off a partner's queue, unacknowledged: the counting must cost little.
async fn drain(world: &World, of: &str, queue: Queue) -> lapin::Consumer {
    let access = &world.note.partners[&party(of)];
    let queue = match queue {
        Queue::Out => access.out.clone().expect("takes its messages off a queue"),
        Queue::Receipts => access.receipts.clone(),
    };
    consume(&confirming(&access.url).await, &queue).await
}

async fn consume(channel: &Channel, queue: &str) -> lapin::Consumer {
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.expect("a consumer")
}

async fn confirming(url: &str) -> Channel {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    // Lives as long as the benchmark does.
    std::mem::forget(connection);
    channel
}

async fn counted(mut consumer: lapin::Consumer, count: usize) -> (Instant, Instant) {
    let mut first = None;
    for _ in 0..count {
        consumer.next().await.expect("a message").expect("a message");
        first.get_or_insert_with(Instant::now);
    }
    (first.unwrap_or_else(Instant::now), Instant::now())
}

/// A field of /proc/PID/status, in kB.
fn status(pid: u32, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.trim_matches([':', '\t', ' ']).split(' ').next()?.parse().ok())
}

/// User and system time of the process so far.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // Linux counts these in hundredths of a second.
    Some(Duration::from_millis(ticks * 10))
}
