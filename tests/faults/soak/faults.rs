//! What happens to everything around the gateway, one thing at a time, while messages flow. Each returns once it was
//! seen to have happened, and is over.

use super::Soak;
use super::kills::{STAGES, Stage};
use crate::disk::room;
use crate::proxy::Stop;
use crate::scene::{Scene, until};
use crate::traffic::{refused, release};
use crate::webhook::{Answer, MOODS};
use ketenpoort::directory::Directory;
use ketenpoort::simulators::iris::Behaviour;
use ketenpoort::topology;
use lapin::options::QueueDeleteOptions;
use lapin::{Connection, ConnectionProperties};
use std::path::Path;
use tokio::process::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill(Stage),
    /// As an operator stops it.
    Stop,
    BrokerStops,
    /// Killed.
    BrokerDies,
    Cut(Stop),
    /// The connections are there, and nothing comes.
    Silence,
    /// The broker is out of memory and lets nobody publish.
    Blocked,
    Nack,
    Unroutable,
    /// The queue that we consume goes.
    ConsumerCancelled,
    Recipient(Answer),
    Iris(Behaviour),
    DiskFull,
    /// In seconds.
    ClockJumps(i64),
    Reload(Change),
}

/// What is different in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Partners,
    Rules,
    /// It does not load.
    Mistake,
}

const HEALTHY: &str = "/gemeente-0505";
/// Nobody but these faults sends to it or for it, so that its queues are empty when they go.
const QUIET: &str = "0014";
const DAY: i64 = 24 * 3600;

impl Fault {
    /// Each kind of them once.
    pub fn all() -> Vec<Fault> {
        let kills = STAGES.into_iter().chain([Stage::Random, Stage::Receipts, Stage::Starting]).map(Fault::Kill);
        let cuts = [Stop::HalfDelivery, Stop::Ack, Stop::HalfPublish("ketenpoort."), Stop::Confirm("ketenpoort.")];
        let iris = [
            Behaviour::Down,
            Behaviour::Slow { millis: 1500 },
            Behaviour::NotJson,
            Behaviour::WrongShape,
            Behaviour::TooFew,
            Behaviour::TooLarge,
        ];
        let others = [
            Fault::Stop,
            Fault::BrokerStops,
            Fault::BrokerDies,
            Fault::Silence,
            Fault::Blocked,
            Fault::Nack,
            Fault::Unroutable,
            Fault::ConsumerCancelled,
            Fault::DiskFull,
            Fault::ClockJumps(DAY),
            Fault::ClockJumps(-3600),
            Fault::Reload(Change::Partners),
            Fault::Reload(Change::Rules),
            Fault::Reload(Change::Mistake),
        ];
        let cuts = cuts.into_iter().map(Fault::Cut);
        let recipients = MOODS.into_iter().map(Fault::Recipient);
        kills.chain(cuts).chain(others).chain(recipients).chain(iris.into_iter().map(Fault::Iris)).collect()
    }

    pub fn is_kill(self) -> bool {
        matches!(self, Fault::Kill(_))
    }

    pub fn is_restart(self) -> bool {
        matches!(self, Fault::BrokerStops | Fault::BrokerDies)
    }

    pub fn name(self) -> String {
        match self {
            Fault::Kill(stage) => return format!("kill -9, {}", stage.name()),
            Fault::Stop => "gateway stopped and started",
            Fault::BrokerStops => "broker stopped and started",
            Fault::BrokerDies => "broker killed and started",
            Fault::Cut(stop) => return format!("connection cut, {}", stop.name()),
            Fault::Silence => "connections that go silent",
            Fault::Blocked => "broker alarm, publishing blocked",
            Fault::Nack => "broker refuses (nack)",
            Fault::Unroutable => "no queue for the recipient",
            Fault::ConsumerCancelled => "consumer cancelled",
            Fault::Recipient(answer) => return format!("recipient: {answer:?}"),
            Fault::Iris(behaviour) => return format!("IRIS: {behaviour:?}"),
            Fault::DiskFull => "disk full",
            Fault::ClockJumps(seconds) if seconds > 0 => "clock a day ahead",
            Fault::ClockJumps(_) => "clock an hour back",
            Fault::Reload(Change::Partners) => "reload, other partners",
            Fault::Reload(Change::Rules) => "reload, other rules",
            Fault::Reload(Change::Mistake) => "reload of what does not load",
        }
        .to_owned()
    }
}

impl Soak {
    pub async fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(stage) => self.kill(stage).await,
            Fault::Stop => {
                self.scene.world.stop_gateway().await.unwrap();
                self.scene.world.start_gateway().await.unwrap();
            }
            Fault::BrokerStops => {
                self.scene.broker(&["stop"]).await;
                self.scene.broker(&["start"]).await;
            }
            Fault::BrokerDies => {
                let pid = self.scene.broker(&["ctl", "eval", "list_to_integer(os:getpid())."]).await;
                let killed = Command::new("kill").args(["-KILL", pid.trim()]).status().await.unwrap();
                assert!(killed.success());
                self.scene.broker(&["start"]).await;
            }
            Fault::Cut(stop) => {
                self.proxy().stop_at(stop);
                self.proxy().caught().await;
                self.proxy().cut();
                self.proxy().go_on();
            }
            Fault::Silence => {
                let log = Log::now(&self.scene);
                self.proxy().stop_at(Stop::Everything);
                log.says("did not confirm in time").await;
                self.proxy().cut();
                self.proxy().go_on();
            }
            Fault::Blocked => self.blocked().await,
            Fault::Nack => self.nack().await,
            Fault::Unroutable => self.unroutable().await,
            Fault::ConsumerCancelled => self.consumer_cancelled().await,
            Fault::Recipient(answer) => {
                let before = self.scene.webhook.attempts().len();
                let times = self.rng.usize(1..6);
                self.scene.webhook.plan(HEALTHY, &vec![answer; times], Answer::Take);
                let all = |attempts: &[crate::webhook::Attempt]| {
                    let ours = attempts[before..].iter().filter(|a| a.path == HEALTHY && a.answer == answer);
                    ours.count() >= times
                };
                self.scene.webhook.until(all).await;
            }
            Fault::Iris(behaviour) => {
                let iris = &self.scene.world.iris;
                let asked = iris.seen().facts_requests;
                let times = self.rng.u32(1..12);
                iris.behave(behaviour.times(times));
                let enough = async || (iris.seen().facts_requests >= asked + u64::from(times)).then_some(());
                until("IRIS is asked so often", enough).await;
            }
            Fault::DiskFull => {
                room(&self.scene, "0").await;
                self.scene.until_part("ledger", "down").await;
                room(&self.scene, "unlimited").await;
                self.scene.until_part("ledger", "up").await;
            }
            Fault::ClockJumps(seconds) => {
                self.clock.jump(seconds);
                // While it runs, or before it starts.
                if self.rng.bool() {
                    self.kill(Stage::Random).await;
                }
            }
            Fault::Reload(change) => self.reload(change).await,
        }
    }

    /// What comes in then owes a receipt, which cannot be sent.
    async fn blocked(&mut self) {
        self.proxy().stop_at(Stop::HalfDelivery);
        self.proxy().caught().await;
        self.scene.broker(&["ctl", "set_vm_memory_high_watermark", "0.00001"]).await;
        let log = Log::now(&self.scene);
        self.proxy().go_on();
        log.says("did not confirm in time").await;
        self.scene.broker(&["ctl", "set_vm_memory_high_watermark", "0.4"]).await;
    }

    async fn nack(&mut self) {
        let log = Log::now(&self.scene);
        let full = r#"{"max-length":0,"overflow":"reject-publish"}"#;
        let queue = "^ketenpoort[.]out[.]gemeente[.]0606$";
        self.scene.ctl(&["set_policy", "--apply-to", "queues", "full", queue, full]).await;
        log.says("the broker refused the message").await;
        self.scene.ctl(&["clear_policy", "full"]).await;
    }

    async fn unroutable(&mut self) {
        self.delete(&format!("ketenpoort.out.gemeente.{QUIET}")).await;
        let log = Log::now(&self.scene);
        let message = release(&format!("soak-{}", self.rng.u32(..)), &[QUIET]);
        self.send(&message).await;
        log.says("the broker has no such queue").await;
        self.declare().await;
        self.scene.settled(&[message.sent]).await;
        // It is kept for the end, and the queue may go again.
        self.scene.collect(&format!("gemeente:{QUIET}")).await;
    }

    async fn consumer_cancelled(&mut self) {
        let log = Log::now(&self.scene);
        self.delete(&format!("ketenpoort.in.gemeente.{QUIET}")).await;
        log.says("the broker took us off a queue").await;
        self.declare().await;
        let message = refused("gemeente:0014", self.rng.u32(..));
        self.send(&message).await;
        self.scene.settled(&[message.sent]).await;
    }

    /// As the gateway may; it would do so itself, but for a queue that goes while it runs.
    async fn declare(&self) {
        let directory = Directory::read(&self.scene.world.home.join("partners")).unwrap();
        topology::declare(&self.connect().await, &directory).await.unwrap();
    }

    async fn delete(&self, queue: &str) {
        let channel = self.connect().await.create_channel().await.unwrap();
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    }

    async fn connect(&self) -> Connection {
        Connection::connect(&self.scene.world.broker, ConnectionProperties::default()).await.unwrap()
    }

    async fn reload(&mut self, change: Change) {
        self.changes += 1;
        let partners = self.scene.world.home.join("partners/partners.toml");
        let policy = self.rules.path().join("policies/detentie.cedar");
        match change {
            Change::Partners => append(&partners, &format!("# {}\n", self.changes)),
            Change::Rules => append(&policy, &format!("// {}\n", self.changes)),
            Change::Mistake => append(&policy, "permit (\n"),
        }
        let told = if change == Change::Mistake { "the rules stay as they are" } else { "new rules" };
        let log = Log::now(&self.scene);
        self.scene.world.reload_gateway().await.unwrap();
        log.says(told).await;
        if change == Change::Mistake {
            let text = std::fs::read_to_string(&policy).unwrap();
            std::fs::write(&policy, text.trim_end_matches("permit (\n")).unwrap();
        }
    }
}

fn append(path: &Path, text: &str) {
    let before = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, before + text).unwrap();
}

/// What the gateway logs from now on.
struct Log {
    path: std::path::PathBuf,
    from: usize,
}

impl Log {
    fn now(scene: &Scene) -> Log {
        let path = scene.world.home.join("gateway.log");
        let from = std::fs::metadata(&path).unwrap().len();
        Log { path, from: usize::try_from(from).unwrap() }
    }

    async fn says(&self, text: &str) {
        let look = async || {
            let log = std::fs::read(&self.path).unwrap();
            String::from_utf8_lossy(&log[self.from..]).contains(text).then_some(())
        };
        until(&format!("the log says `{text}`"), look).await;
    }
}
