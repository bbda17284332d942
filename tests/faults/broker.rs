//! The broker fails: connections and queues go, the node stops and comes back, and it takes nothing for a while.

use crate::scene::{ROOT, Scene, Setting, broker, seed, until};
use crate::traffic::{Message, Traffic, release};
use std::path::Path;

const CONFIG: &str = r#"
    broker = { confirm_timeout = "2s" }
    delivery = { first_delay = "100ms", max_delay = "1s", webhook_timeout = "2s" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_closed_by_force_cost_nothing() {
    let mut rng = seed();
    let scene = Scene::start(Setting { config: CONFIG, ..Setting::default() }).await;
    let flow = scene.flow(rng.fork());
    let gateway = format!("{}.gateway", scene.vhost);
    for _ in 0..4 {
        scene.slips.until(scene.slips.count() + rng.usize(5..40)).await;
        scene.broker(&["ctl", "close_all_user_connections", &gateway, "a test"]).await;
    }
    let after = scene.slips.count() + 40;
    scene.slips.until(after).await;
    let sent = flow.stop().await;
    scene.settled(&sent).await;
    scene.close(sent).await.balance().assert_balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_that_go_are_missed_until_they_are_there_again() {
    let scene = Scene::start(Setting { config: CONFIG, ..Setting::default() }).await;
    let definitions = scene.world.home.join("definitions.json");
    let declare = async || scene.broker(&["import", &definitions.to_string_lossy()]).await;
    let mut senders = scene.senders();
    let mut sent = Vec::new();
    let mut send = async |messages: &[Message]| {
        senders.send_all(messages).await;
        sent.extend(messages.iter().map(|message| message.sent.clone()));
        sent.clone()
    };

    // The recipient's: it waits for its queue, and nobody waits for it.
    scene.ctl(&["delete_queue", "ketenpoort.out.gemeente.0606"]).await;
    let unroutable = release("DET-1", &["0606", "0344"]);
    send(std::slice::from_ref(&unroutable)).await;
    until("the reason is that there is no queue", async || {
        let rows = scene.waiting().await;
        rows.iter().any(|row| row["reason"]["code"] == "KP-5003" && row["recipient"] == "gemeente:0606").then_some(())
    })
    .await;
    scene.slips.until(1).await;
    declare().await;
    let all = send(&[]).await;
    scene.settled(&all).await;

    // The sender's: it is read again once it is there, and other senders are heard meanwhile.
    scene.ctl(&["delete_queue", "ketenpoort.in.dji"]).await;
    let request = request_of_0606();
    let all = send(std::slice::from_ref(&request)).await;
    scene.settled(&all).await;
    declare().await;
    let all = send(&[release("DET-2", &["0344"]), release("DET-3", &["0599"])]).await;
    scene.settled(&all).await;

    // The one for receipts.
    scene.ctl(&["delete_queue", "ketenpoort.receipts.dji"]).await;
    let silent = release("DET-4", &["0505"]);
    let all = send(std::slice::from_ref(&silent)).await;
    scene.webhook.until(|attempts| attempts.iter().any(|attempt| attempt.message == silent.event.id)).await;
    declare().await;
    scene.settled(&all).await;
    scene.close(sent).await.balance().assert_balanced();
}

fn request_of_0606() -> Message {
    let mut traffic = Traffic::new(fastrand::Rng::with_seed(1));
    std::iter::repeat_with(|| traffic.next()).find(|message| message.from == "gemeente:0606").unwrap()
}

/// A node of its own, which no other test sees stop. One of an earlier run that was cut short is replaced.
pub struct Node {
    pub environment: Vec<(String, String)>,
}

impl Node {
    pub fn new(name: &str) -> Node {
        // The same for each run, and another one for another checkout on this machine.
        let place =
            ROOT.bytes().chain(name.bytes()).fold(0u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let port = (5700 + place % 1000).to_string();
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker");
        let environment = [
            ("KETENPOORT_BROKER_HOME", home.to_string_lossy().into_owned()),
            ("KETENPOORT_BROKER_PORT", port.clone()),
            ("KETENPOORT_AMQP", String::new()),
        ];
        let node = Node { environment: environment.map(|(name, value)| (name.to_owned(), value)).into() };
        node.stop();
        let _ = std::fs::remove_dir_all(home.with_file_name(format!("broker-{port}")));
        node
    }

    fn stop(&self) {
        let script = Path::new(ROOT).join("deploy/broker.sh");
        let _ = std::process::Command::new(script).arg("stop").envs(self.environment.iter().cloned()).output();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stops_or_takes_nothing_is_waited_for() {
    let mut rng = seed();
    let node = Node::new("broker");
    let mut scene =
        Scene::start(Setting { config: CONFIG, broker: node.environment.clone(), ..Setting::default() }).await;

    // It stops in the middle.
    let flow = scene.flow(rng.fork());
    scene.slips.until(30).await;
    scene.broker(&["stop"]).await;
    until("not ready", async || (!scene.is_ready().await).then_some(())).await;
    scene.broker(&["start"]).await;
    scene.slips.until(scene.slips.count() + 60).await;
    let mut sent = flow.stop().await;
    scene.settled(&sent).await;

    // It comes up after the gateway.
    scene.world.stop_gateway().await.unwrap();
    scene.broker(&["stop"]).await;
    let (started, _) = tokio::join!(scene.world.start_gateway(), broker(&node.environment, &["start"]));
    started.unwrap();

    // It is out of memory: nobody may publish, and who does waits.
    scene.world.stop_gateway().await.unwrap();
    let messages: Vec<_> = (0..20).map(|n| release(&format!("DET-{n}"), &["0505", "0606"])).collect();
    scene.senders().send_all(&messages).await;
    sent.extend(messages.iter().map(|message| message.sent.clone()));
    let (receipts, attempts) = (scene.slips.count(), scene.webhook.attempts().len());
    scene.broker(&["ctl", "set_vm_memory_high_watermark", "0.00001"]).await;
    scene.world.start_gateway().await.unwrap();
    // Webhooks need no broker; the first publish that is not confirmed in time is tried again.
    scene.webhook.until(|all| all.len() >= attempts + messages.len()).await;
    until("publishes wait", async || {
        let rows = scene.waiting().await;
        rows.iter().any(|row| row["recipient"] == "gemeente:0606" && row["reason"]["code"] == "KP-5002").then_some(())
    })
    .await;
    assert_eq!(scene.slips.count(), receipts, "a blocked broker took a receipt");
    scene.broker(&["ctl", "set_vm_memory_high_watermark", "0.4"]).await;
    scene.settled(&sent).await;
    scene.close(sent).await.balance().assert_balanced();
}
