//! The soak: everything that can break does, in an order drawn from a seed, while messages of every kind flow. Every
//! message that the broker took is an obligation, and at the end the books must balance.
//!
//! A short one runs with the tests, every fault once. The long one is `tests/soak.sh`.

mod aging;
mod clock;
mod faults;
mod kills;

use crate::books::{Sent, Tally};
use crate::broker::Node;
use crate::disk;
use crate::flow::Senders;
use crate::proxy::Proxy;
use crate::scene::{PATIENCE, ROOT, Scene, Setting, seed};
use crate::traffic::{Message, release};
use crate::webhook::Answer;
use clock::Clock;
use faults::Fault;
use kills::{STAGES, Stage};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// What fails is given up soon and tried again soon.
const CONFIG: &str = r#"
    broker = { confirm_timeout = "2s" }
    delivery = { first_delay = "100ms", max_delay = "1s", webhook_timeout = "1s", breaker_open = "500ms", max_attempts = 1000 }
    iris = { timeout = "1s", attempts = 1, breaker_open = "500ms" }
    stop = { grace = "5s" }
"#;
const MOODY: &str = "/gemeente-0599";
/// Takes its messages off a queue, and gets none but for some of the faults.
const QUIET: &str = r#"
[[party]]
id = "gemeente:0014"
name = "Gemeente Groningen"
oin = "00000099000000000014"
users = ["gemeente-0014"]
roles = ["gemeente-college", "gemeente-gemandateerde"]
gemeentecode = "0014"
endpoint = [{ kind = "amqp" }]
"#;
/// Receipts between two faults, so that the gateway is seen to go on.
const BETWEEN: usize = 5;

struct Soak {
    scene: Scene,
    senders: Senders,
    /// What the faults sent themselves.
    sent: Vec<Sent>,
    rng: fastrand::Rng,
    clock: Clock,
    /// Policies and mappings that may change.
    rules: tempfile::TempDir,
    changes: usize,
    // Last, so that it outlives what is on it.
    _node: Node,
}

struct Report {
    faults: Vec<(String, usize)>,
    tally: Tally,
    purged: usize,
    fresh: Duration,
}

impl Soak {
    /// On a node of this name.
    async fn start(name: &str, rng: fastrand::Rng) -> Soak {
        let node = Node::new(name);
        let rules = tempfile::tempdir().unwrap();
        for folder in ["policies", "mappings"] {
            let from = Path::new(ROOT).join(folder);
            assert!(Command::new("cp").arg("-r").arg(from).arg(rules.path()).status().unwrap().success());
        }
        let folder = |name: &str| rules.path().join(name).to_string_lossy().into_owned();
        let (policies, mappings) = (folder("policies"), folder("mappings"));
        let config = format!("{CONFIG}\nfiles = {{ policies = \"{policies}\", mappings = \"{mappings}\" }}");
        let clock = Clock::new(rules.path());
        let program = disk::program(rules.path());
        let setting = Setting {
            config: &config,
            partners: QUIET,
            program: Some(&program),
            broker: node.environment.clone(),
            proxied: true,
            environment: clock.environment(),
        };
        let scene = Scene::start(setting).await;
        let senders = scene.senders();
        Soak { scene, senders, sent: Vec::new(), rng, clock, rules, changes: 0, _node: node }
    }

    fn proxy(&self) -> &Proxy {
        self.scene.proxy.as_ref().unwrap()
    }

    async fn send(&mut self, message: &Message) {
        self.senders.send(message).await;
        self.sent.push(message.sent.clone());
    }

    async fn run(mut self, plan: Vec<Fault>, until: Instant) -> Report {
        self.scene.webhook.moody(MOODY, self.rng.fork());
        let flow = self.scene.flow(self.rng.fork());
        let (started, all) = (Instant::now(), Fault::all());
        let mut counts: Vec<(String, usize)> = all.iter().map(|fault| (fault.name(), 0)).collect();
        let mut plan = plan.into_iter();
        let mut number = 0;
        while let Some(fault) = plan.next().or_else(|| (Instant::now() < until).then(|| self.any(&all))) {
            number += 1;
            let (seconds, receipts) = (started.elapsed().as_secs(), self.scene.slips.count());
            println!("{seconds:>5} s  {receipts:>6} receipts  {number:>4}: {}", fault.name());
            if timeout(PATIENCE * 2, self.inject(fault)).await.is_err() {
                panic!("{fault:?} does not come about; {}", self.scene.log_end());
            }
            counts.iter_mut().filter(|(name, _)| *name == fault.name()).for_each(|(_, count)| *count += 1);
            self.scene.goes_on(BETWEEN).await;
        }
        self.sent.extend(flow.stop().await);
        self.scene.webhook.plan(MOODY, &[], Answer::Take);
        self.scene.settled(&self.sent).await;
        let purged = self.age().await;
        counts.push(("kill -9, while it forgets".to_owned(), aging::KILLS));
        let fresh = self.fresh().await;
        let tally = self.scene.close(self.sent).await.balance();
        Report { faults: counts, tally, purged, fresh }
    }

    fn any(&mut self, all: &[Fault]) -> Fault {
        all[self.rng.usize(..all.len())]
    }

    /// From sent until its receipt is there.
    async fn fresh(&mut self) -> Duration {
        let message = release("soak-fresh", &["0606"]);
        let started = Instant::now();
        self.send(&message).await;
        self.scene.settled(std::slice::from_ref(&message.sent)).await;
        started.elapsed()
    }
}

impl Report {
    fn show(&self) {
        println!("\n{:<52} {:>8}", "fault", "injected");
        self.faults.iter().for_each(|(name, count)| println!("{name:<52} {count:>8}"));
        let Tally { sent, obligations, delivered, repeated, receipts, outcomes, .. } = &self.tally;
        println!("\nmessages sent {sent}, obligations {obligations}, delivered {delivered}, ended as {outcomes:?}");
        println!(
            "arrivals repeated under the same key {repeated}, receipts {receipts}, messages forgotten in time {}",
            self.purged
        );
        let Tally { lost, doubled, unknown, missing, different, wrong, .. } = &self.tally;
        for (what, count) in [
            ("lost", *lost),
            ("doubled", *doubled),
            ("unknown", *unknown),
            ("receipts missing", *missing),
            ("receipts different", *different),
            ("otherwise wrong", wrong.len()),
        ] {
            println!("{what:<52} {count:>8}");
        }
        println!("a fresh message passed in {} ms", self.fresh.as_millis());
        self.tally.assert_balanced();
        // Otherwise nothing was ever under way when something broke.
        assert!(*repeated > 0);
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_whatever_breaks() {
    let mut rng = seed();
    let mut plan = Fault::all();
    if let Ok(only) = std::env::var("KETENPOORT_SOAK_ONLY") {
        plan.retain(|fault| fault.name().contains(&only));
    }
    rng.shuffle(&mut plan);
    Soak::start("soak", rng).await.run(plan, Instant::now()).await.show();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: tests/soak.sh"]
async fn for_long() {
    let mut rng = seed();
    let (kills, restarts) = (number("KETENPOORT_SOAK_KILLS", 100), number("KETENPOORT_SOAK_RESTARTS", 20));
    let (others, minutes) = (number("KETENPOORT_SOAK_OTHERS", 5), number("KETENPOORT_SOAK_MINUTES", 0));
    // Half of the kills at a stage that is named, the others at any moment.
    let at_any = [Stage::Random, Stage::Receipts, Stage::Random, Stage::Starting];
    let staged = STAGES.into_iter().cycle().take(kills.div_ceil(2));
    let mut plan: Vec<Fault> = staged.chain(at_any.into_iter().cycle().take(kills / 2)).map(Fault::Kill).collect();
    plan.extend([Fault::BrokerStops, Fault::BrokerDies].into_iter().cycle().take(restarts));
    let rest = Fault::all().into_iter().filter(|fault| !fault.is_kill() && !fault.is_restart());
    plan.extend(rest.flat_map(|fault| std::iter::repeat_n(fault, others)));
    rng.shuffle(&mut plan);
    let until = Instant::now() + Duration::from_secs(60 * minutes as u64);
    Soak::start("long-soak", rng).await.run(plan, until).await.show();
}
