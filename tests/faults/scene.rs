//! A world with the partners of the demo, a webhook that can fail, and everybody who keeps the books. What the
//! gateway did is read off queues, webhooks and receipts; it is asked only what still waits.

use crate::books::{Arrival, Books, Sent, Slip};
use crate::proxy::Proxy;
use crate::webhook::Webhook;
use ketenpoort::demo::partner::{Access, Partner, Received};
use ketenpoort::demo::{Options, World};
use ketenpoort::envelope::digest_label;
use ketenpoort::party::PartyId;
use ketenpoort::receipt::keys::KeySet;
use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What does not come after so long does not come.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that cannot be awaited.
pub const LOOK: Duration = Duration::from_millis(50);

pub const GATEWAY: &str = env!("CARGO_BIN_EXE_ketenpoort");
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub struct Scene {
    pub world: World,
    pub webhook: Webhook,
    pub slips: Slips,
    pub vhost: String,
    /// Where the gateway's way to the broker goes through one.
    pub proxy: Option<Proxy>,
    /// What was taken off a queue before the end.
    early: Mutex<Vec<Arrival>>,
    broker: Vec<(String, String)>,
    collectors: JoinSet<()>,
    _folder: tempfile::TempDir,
}

/// How a scene differs from the usual.
#[derive(Default)]
pub struct Setting<'a> {
    /// Put over the gateway's configuration.
    pub config: &'a str,
    /// More partners, as TOML; `WEBHOOK` stands for the address of the webhook.
    pub partners: &'a str,
    /// Run instead of the gateway itself.
    pub program: Option<&'a Path>,
    /// For `deploy/broker.sh`.
    pub broker: Vec<(String, String)>,
    /// What goes between the gateway and the broker can be held and cut.
    pub proxied: bool,
    /// Of the gateway.
    pub environment: Vec<(String, String)>,
}

impl Scene {
    pub async fn start(setting: Setting<'_>) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let webhook = Webhook::start().await;
        let proxy = match setting.proxied {
            true => Some(Proxy::start(address(&broker(&setting.broker, &["start"]).await)).await),
            false => None,
        };
        let partners = folder.path().join("partners");
        std::fs::create_dir(&partners).unwrap();
        let demo = std::fs::read_to_string(Path::new(ROOT).join("deploy/demo/partners.toml")).unwrap();
        let all = demo.replace("http://127.0.0.1:0", "WEBHOOK") + setting.partners;
        std::fs::write(partners.join("partners.toml"), all.replace("WEBHOOK", &webhook.base())).unwrap();
        let options = Options {
            partners,
            config: setting.config.to_owned(),
            broker: setting.broker.clone(),
            broker_port: proxy.as_ref().map(Proxy::port),
            environment: setting.environment,
            ..Options::new(ROOT, folder.path().join("home"), setting.program.unwrap_or(Path::new(GATEWAY)))
        };
        let world = World::start(&options).await.unwrap();
        let keys = world.note.keys().await.unwrap();
        let slips = Slips::new(keys);
        let mut collectors = JoinSet::new();
        for access in world.note.partners.values() {
            collectors.spawn(slips.clone().collect(access.clone()));
        }
        let (vhost, broker) = (options.vhost, setting.broker);
        Scene { world, webhook, slips, vhost, proxy, early: Mutex::default(), broker, collectors, _folder: folder }
    }

    /// `deploy/broker.sh` on the broker of this scene.
    pub async fn broker(&self, arguments: &[&str]) -> String {
        broker(&self.broker, arguments).await
    }

    /// `rabbitmqctl` on the virtual host of this scene.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        self.broker(&[&["ctl", "--vhost", &self.vhost], arguments].concat()).await
    }

    /// Until everything that is owed has its receipt.
    pub async fn settled(&self, sent: &[Sent]) {
        let owed: Vec<_> = sent.iter().flat_map(Sent::obligations).collect();
        let missing = || {
            let has = self.slips.state();
            owed.iter().filter(|obligation| !has.settled.contains(obligation)).cloned().collect::<Vec<_>>()
        };
        let mut changes = self.slips.count.subscribe();
        while !missing().is_empty() {
            if timeout(PATIENCE, changes.changed()).await.is_err() {
                let (missing, waiting) = (missing(), self.waiting().await);
                panic!("no receipts for {missing:#?}; waiting: {waiting:#?}; {}", self.log_end());
            }
        }
    }

    /// It takes messages, and there are so many receipts more.
    pub async fn goes_on(&self, count: usize) {
        self.until_part("broker_intake", "up").await;
        let more = timeout(PATIENCE, self.slips.until(self.slips.count() + count)).await;
        if more.is_err() {
            panic!("it stands still; waiting: {:#?}; {}", self.waiting().await, self.log_end());
        }
    }

    pub fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.world.home.join("gateway.log")).unwrap_or_default();
        let tail: Vec<_> = log.lines().rev().take(20).collect();
        format!("the log ends, backwards:\n{}", tail.join("\n"))
    }

    /// Takes what there is for one recipient now.
    pub async fn collect(&self, party: &str) {
        let access = &self.world.note.partners[&PartyId::new(party)];
        let arrived = drain(access, access.out.as_ref().unwrap()).await;
        self.early.lock().unwrap().extend(arrived.iter().map(|arrived| arrival(party, arrived)));
    }

    /// What a second process says that waits.
    pub async fn waiting(&self) -> Vec<Value> {
        let list = self.parked(&["list", "--limit", "1000"]).await;
        let list: Value = serde_json::from_slice(&list.stdout).unwrap();
        list.as_array().unwrap().clone()
    }

    /// `ketenpoort parked ... --json`.
    pub async fn parked(&self, arguments: &[&str]) -> Output {
        let config = &self.world.note.config;
        let mut command = Command::new(GATEWAY);
        command.arg("parked").args(arguments).arg("--json").arg("--config").arg(config);
        command.output().await.unwrap()
    }

    pub async fn is_ready(&self) -> bool {
        let url = format!("{}/health/ready", self.world.note.http);
        reqwest::get(url).await.is_ok_and(|answer| answer.status().is_success())
    }

    /// The part that readiness names is up or down.
    pub async fn until_part(&self, part: &str, state: &str) {
        let url = format!("{}/health/ready", self.world.note.http);
        until(&format!("{part} {state}"), async || {
            let answer: Value = reqwest::get(&url).await.ok()?.json().await.ok()?;
            (find(&answer, part)? == state).then_some(())
        })
        .await;
    }

    /// The gateway stops, and everything that it ever put anywhere is counted.
    pub async fn close(mut self, sent: Vec<Sent>) -> Books {
        let waiting = self.waiting().await.iter().map(ToString::to_string).collect();
        self.world.stop_gateway().await.unwrap();
        self.collectors.shutdown().await;
        let mut arrivals = std::mem::take(&mut *self.early.lock().unwrap());
        for (party, access) in &self.world.note.partners {
            for left in drain(access, &access.receipts).await {
                self.slips.note(&left);
            }
            let Some(queue) = &access.out else { continue };
            for arrived in drain(access, queue).await {
                arrivals.push(arrival(party.as_str(), &arrived));
            }
        }
        for attempt in self.webhook.attempts() {
            arrivals.push(Arrival {
                recipient: attempt.path.trim_start_matches('/').replacen('-', ":", 1),
                taken: attempt.answer.takes(),
                refused: attempt.answer.is_refusal(),
                message: attempt.message,
                key: attempt.key,
                digest: attempt.digest,
            });
        }
        let slips = self.slips.all();
        Books { sent, arrivals, slips, waiting }
    }
}

/// Host and port of a broker that was just started.
fn address(said: &str) -> String {
    let url: reqwest::Url = said.lines().last().unwrap().parse().unwrap();
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672))
}

/// The text under a name, wherever it stands.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    match value {
        Value::Object(map) => {
            map.get(name).and_then(Value::as_str).or_else(|| map.values().find_map(|v| find(v, name)))
        }
        Value::Array(list) => list.iter().find_map(|value| find(value, name)),
        _ => None,
    }
}

pub async fn broker(environment: &[(String, String)], arguments: &[&str]) -> String {
    let mut command = Command::new(Path::new(ROOT).join("deploy/broker.sh"));
    let output = command.args(arguments).envs(environment.iter().cloned()).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "broker.sh {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Looks again and again, where nothing tells.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

fn arrival(party: &str, received: &Received) -> Arrival {
    let attribute = |name| received.attribute(name).unwrap_or_default().to_owned();
    Arrival {
        recipient: party.to_owned(),
        message: attribute("correlationid"),
        key: attribute("id"),
        digest: digest_label(received.body.reveal_personal_data()),
        taken: true,
        refused: false,
    }
}

/// All that is in a queue.
async fn drain(access: &Access, queue: &str) -> Vec<Received> {
    let connection = Connection::connect(&access.url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut all = Vec::new();
    while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap() {
        message.delivery.ack(BasicAckOptions::default()).await.unwrap();
        all.push(Received::from(message.delivery));
    }
    all
}

/// The receipts that came in so far.
#[derive(Clone)]
pub struct Slips {
    keys: Arc<KeySet>,
    state: Arc<Mutex<SlipsState>>,
    /// Of obligations with a receipt.
    count: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct SlipsState {
    all: Vec<Slip>,
    settled: HashSet<crate::books::Obligation>,
}

impl Slips {
    fn new(keys: KeySet) -> Slips {
        Slips { keys: Arc::new(keys), state: Arc::default(), count: Arc::new(watch::Sender::new(0)) }
    }

    fn state(&self) -> MutexGuard<'_, SlipsState> {
        self.state.lock().unwrap()
    }

    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    pub async fn until(&self, count: usize) {
        self.count.subscribe().wait_for(|now| *now >= count).await.unwrap();
    }

    pub fn settled(&self, sent: &Sent) -> bool {
        let state = self.state();
        sent.obligations().all(|obligation| state.settled.contains(&obligation))
    }

    pub fn all(&self) -> Vec<Slip> {
        self.state().all.clone()
    }

    /// The receipts of one message, in the order in which they came.
    pub fn of(&self, id: &str) -> Vec<Slip> {
        let is_its = |slip: &&Slip| slip.receipt.message.id.as_deref() == Some(id);
        self.state().all.iter().filter(is_its).cloned().collect()
    }

    fn note(&self, received: &Received) {
        let (receipt, text) = received.receipt(&self.keys).unwrap();
        let slip = Slip { receipt, text };
        let mut state = self.state();
        state.settled.insert(slip.obligation());
        state.all.push(slip);
        self.count.send_replace(state.settled.len());
    }

    /// For good, also where the broker goes and comes back.
    async fn collect(self, access: Access) {
        loop {
            if let Ok(partner) = Partner::connect(access.clone()).await
                && let Ok(mut inbox) = partner.receipts().await
            {
                while let Ok(received) = inbox.take().await {
                    self.note(&received);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// `KETENPOORT_SEED` for the same draw again.
pub fn seed() -> fastrand::Rng {
    let given = std::env::var("KETENPOORT_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("KETENPOORT_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
