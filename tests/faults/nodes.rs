//! Two gateways on one broker and one PostgreSQL, while neighbouring messages about the same persons flow: one is killed,
//! then the other, and then the database.

use crate::books::Sent;
use crate::scene::{GATEWAY, PATIENCE, ROOT, Scene, Setting, until};
use crate::traffic::{Message, moving};
use ketenpoort::demo::process::{Process, Program};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use uuid::Uuid;

/// A server of these tests alone, as it is killed.
const PORT: &str = "5443";
/// Off a queue, and by webhook.
const TO: [&str; 4] = ["0344", "0505", "0606", "0599"];
/// Of each person.
const OFTEN: i64 = 4;
/// Persons in each act.
const PERSONS: usize = 24;

async fn postgres(what: &str) -> String {
    let mut script = Command::new(Path::new(ROOT).join("deploy/postgres.sh"));
    let output = script.arg(what).env("KETENPOORT_POSTGRES_PORT", PORT).env_remove("KETENPOORT_POSTGRES");
    let output = output.stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "postgres.sh {what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().lines().last().unwrap().to_owned()
}

/// The URL of a schema of one's own.
async fn database() -> String {
    let url = postgres("start").await;
    let schema = format!("test_{}", Uuid::new_v4().simple());
    let mut connection = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
    let made = sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut connection).await;
    made.unwrap();
    format!("{url}&options[search_path]={schema}")
}

/// How the second gateway is run: as the first, under a name and an address of its own.
fn second(scene: &Scene) -> Program {
    let home = &scene.world.home;
    let mut config: toml::Table = std::fs::read_to_string(&scene.world.note.config).unwrap().parse().unwrap();
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (section, key, value) in [("http", "listen", &listen), ("ledger", "node", &"twee".to_owned())] {
        config[section].as_table_mut().unwrap().insert(key.to_owned(), value.as_str().into());
    }
    let file = home.join("tweede.toml");
    std::fs::write(&file, config.to_string()).unwrap();
    Program {
        binary: GATEWAY.into(),
        config: file,
        log: home.join("tweede.log"),
        environment: Vec::new(),
        http: format!("http://{listen}"),
    }
}

/// How many messages it took in.
async fn received(http: &str) -> u64 {
    let text = reqwest::get(format!("{http}/metrics")).await.unwrap().text().await.unwrap();
    let counts = text.lines().filter(|line| line.starts_with("ketenpoort_messages_received_total"));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Persons who move several times, told without a pause; the messages of one lie beside each other in the queue, so that
/// both gateways have some of them.
fn act(name: &str) -> Vec<Message> {
    (0..PERSONS).flat_map(|person| moving(&format!("{name}-{person}"), TO[person % TO.len()], OFTEN)).collect()
}

/// One in so many of what was sent has its receipts.
async fn until_settled(scene: &Scene, messages: &[Message], part: usize) {
    let is_open = |message: &&Message| !scene.slips.settled(&message.sent);
    let settled = until_or("receipts", async || {
        let open = messages.iter().filter(is_open).count();
        (messages.len() - open >= messages.len() / part).then_some(())
    });
    if settled.await.is_none() {
        let open: Vec<_> = messages.iter().filter(is_open).map(|message| &message.sent).collect();
        let tail = |name: &str| {
            let log = std::fs::read_to_string(scene.world.home.join(name)).unwrap_or_default();
            log.lines().rev().take(12).collect::<Vec<_>>().join("\n")
        };
        panic!(
            "{} of {} have no receipt: {open:#?}\nwaiting: {:#?}\none, backwards:\n{}\ntwo, backwards:\n{}",
            open.len(),
            messages.len(),
            scene.waiting().await,
            tail("gateway.log"),
            tail("tweede.log")
        );
    }
}

async fn until_or(what: &str, look: impl AsyncFnMut() -> Option<()>) -> Option<()> {
    let looking = tokio::time::timeout(PATIENCE - Duration::from_secs(5), until(what, look));
    looking.await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_lose_double_and_overtake_nothing_while_either_and_their_database_are_killed() {
    let config = format!(
        r#"
        ledger = {{ url = "{}", node = "een", lease = "2s" }}
        broker = {{ confirm_timeout = "2s", prefetch = 8 }}
        delivery = {{ first_delay = "100ms", max_delay = "1s", webhook_timeout = "2s", max_attempts = 200 }}
        "#,
        database().await
    );
    let mut scene = Scene::start(Setting { config: &config, ..Setting::default() }).await;
    let program = second(&scene);
    let mut other = Process::start(&program).await.unwrap();
    let mut senders = scene.senders();
    let mut sent: Vec<Message> = Vec::new();

    let quiet = act("rust");
    senders.send_all(&quiet).await;
    until_settled(&scene, &quiet, 1).await;
    for http in [&scene.world.note.http, &program.http] {
        assert!(received(http).await > 0, "both take messages");
    }
    sent.extend(quiet);

    let first = act("eerste");
    senders.send_all(&first).await;
    until_settled(&scene, &first, 4).await;
    scene.world.kill_gateway().await.unwrap();
    // Everything ends although it stays away.
    until_settled(&scene, &first, 1).await;
    scene.world.start_gateway().await.unwrap();
    sent.extend(first);

    let second = act("tweede");
    senders.send_all(&second).await;
    until_settled(&scene, &second, 4).await;
    other.kill().await.unwrap();
    // Who is back under its name need not wait until its own time is over.
    other = Process::start(&program).await.unwrap();
    until_settled(&scene, &second, 1).await;
    sent.extend(second);

    let third = act("derde");
    senders.send_all(&third).await;
    until_settled(&scene, &third, 4).await;
    postgres("restart").await;
    until_settled(&scene, &third, 1).await;
    sent.extend(third);

    let sent: Vec<Sent> = sent.into_iter().map(|message| message.sent).collect();
    scene.settled(&sent).await;
    other.stop().await.unwrap();
    let tally = scene.close(sent).await.balance();
    println!("two gateways: {tally}");
    tally.assert_balanced();
}

/// Each would take what the other has in hand for what it left behind itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_under_the_same_name_does_not_start() {
    let config = format!(r#"ledger = {{ url = "{}", node = "een" }}"#, database().await);
    let scene = Scene::start(Setting { config: &config, ..Setting::default() }).await;
    let run = Command::new(GATEWAY).arg("run").arg("--config").arg(&scene.world.note.config).output();
    let output = tokio::time::timeout(Duration::from_secs(30), run).await.unwrap().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("KP-6010"), "{output:?}");
    scene.close(Vec::new()).await.balance().assert_balanced();
}
