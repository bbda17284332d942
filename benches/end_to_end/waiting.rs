//! What the gateway takes of memory where a hundred thousand messages wait, and where partners flood it with bodies as
//! large as they may be: `cargo bench --bench end_to_end -- waiting`.
//!
//! `KETENPOORT_BENCH_WAITING` (100000) is how many, `KETENPOORT_BENCH_FLOOD` (200) how many large ones of each of three.

use super::{DJI, GEMEENTE, confirming, party, pid, release, setting, status};
use axum::http::StatusCode;
use ketenpoort::demo::World;
use ketenpoort::simulators::recipient::Behaviour;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation};
use std::time::{Duration, Instant};

const PATH: &str = "/gemeente-0599";
const FLOODING: [&str; 3] = [DJI, GEMEENTE, "gemeente:0344"];
const LARGE: usize = 1024 * 1024;
/// Of confirmations that are awaited together.
const AT_ONCE: usize = 1000;

pub async fn run(world: &mut World) {
    let count = setting("KETENPOORT_BENCH_WAITING", 100_000);
    told(world, "at rest");
    world.stop_gateway().await.expect("the gateway ends well");
    let down = Behaviour::Answer { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: None };
    world.webhooks.behave_at(PATH, down, None);
    let dji = Sender::of(world, DJI).await;
    let to_rotterdam =
        |index| release(index, "waits").replace("<Gemeentecode>0606<", "<Gemeentecode>0599<").into_bytes();
    dji.send(count, to_rotterdam).await;
    println!("{count} in the inbound queue");
    world.start_gateway().await.expect("the gateway starts");
    let started = Instant::now();
    until(world, &format!("ketenpoort_recipient_waiting{{party=\"gemeente:0599\"}} {count}")).await;
    told(world, &format!("{count} wait for a recipient that is down, after {:.0} s", started.elapsed().as_secs_f64()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    told(world, "a while later");
    world.stop_gateway().await.expect("the gateway ends well");
    world.start_gateway().await.expect("the gateway starts");
    tokio::time::sleep(Duration::from_secs(10)).await;
    told(world, "started anew with all that waiting");

    let flood = setting("KETENPOORT_BENCH_FLOOD", 200);
    world.stop_gateway().await.expect("the gateway ends well");
    for partner in FLOODING {
        Sender::of(world, partner).await.send(flood, large).await;
    }
    world.start_gateway().await.expect("the gateway starts");
    let mut most = 0;
    loop {
        let text = metrics(world).await;
        let of = |name: &str| {
            let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
            values.filter_map(|value| value.parse::<f64>().ok()).sum::<f64>() as usize
        };
        most = most.max(of("ketenpoort_in_flight_bytes"));
        if of("ketenpoort_receipts_sent_total") >= flood * FLOODING.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    told(
        world,
        &format!(
            "{} bodies of 1 MiB from {} partners, at most {} KiB of them in flight",
            flood * FLOODING.len(),
            FLOODING.len(),
            most / 1024
        ),
    );
}

/// Well formed as long as it is not read to its end.
fn large(index: usize) -> Vec<u8> {
    let mut body = format!("<Invrijheidstelling><a>{index}").into_bytes();
    body.resize(LARGE, b'x');
    body
}

fn told(world: &World, when: &str) {
    let of = |field| status(pid(world), field).unwrap_or_default() / 1024;
    println!("memory {:>4} MB now, {:>4} MB at most: {when}", of("VmRSS"), of("VmHWM"));
}

async fn metrics(world: &World) -> String {
    match reqwest::get(format!("{}/metrics", world.note.http)).await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}

async fn until(world: &World, line: &str) {
    while !metrics(world).await.lines().any(|said| said.starts_with(line)) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

struct Sender {
    channel: Channel,
    exchange: String,
    user: String,
    source: String,
    name: String,
}

impl Sender {
    async fn of(world: &World, id: &str) -> Sender {
        let access = &world.note.partners[&party(id)];
        let channel = confirming(&access.url).await;
        let (exchange, user, source) = (access.inbound.clone(), access.user.clone(), access.source.clone());
        Sender { channel, exchange, user, source, name: uuid::Uuid::new_v4().to_string() }
    }

    async fn send(&self, count: usize, body: impl Fn(usize) -> Vec<u8>) {
        let mut confirms = Vec::new();
        for index in 0..count {
            let properties = self.properties(&format!("{}-{index}", self.name));
            let options = BasicPublishOptions::default();
            let exchange = self.exchange.as_str().into();
            let sent = self.channel.basic_publish(exchange, "".into(), options, &body(index), properties).await;
            confirms.push(sent.expect("published"));
            if confirms.len() == AT_ONCE || index + 1 == count {
                for confirm in confirms.drain(..) {
                    assert!(matches!(confirm.await, Ok(Confirmation::Ack(_))), "confirmed");
                }
            }
        }
    }

    fn properties(&self, id: &str) -> BasicProperties {
        super::properties(&self.user, &self.source, id)
    }
}
