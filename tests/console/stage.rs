//! A gateway with its console on, among simulated partners, with one user of each role.

use crate::messages::{Person, case_file, release, request, supervised};
use crate::visitor::Visitor;
use ketenpoort::console::access::Role;
use ketenpoort::demo::partner::Event;
use ketenpoort::demo::{Options, World};
use ketenpoort::simulators::recipient::Behaviour;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

const BINARY: &str = env!("CARGO_BIN_EXE_ketenpoort");
pub const PASSWORD: &str = "een lang wachtwoord 42";
const WITHIN: Duration = Duration::from_secs(40);

/// One for all tests: the world that they share outlives each of them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

pub fn run(test: impl Future<Output = ()>) {
    RUNTIME.block_on(test);
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub struct Stage {
    pub world: World,
    pub url: String,
    pub users: PathBuf,
    _folder: tempfile::TempDir,
}

/// The one that tests share that break nothing in it.
pub async fn shared() -> &'static Stage {
    static SHARED: OnceCell<Stage> = OnceCell::const_new();
    SHARED.get_or_init(|| Stage::start("shared", |_| String::new())).await
}

pub fn name(role: Role) -> String {
    format!("test.{role}")
}

/// That stays free until the gateway takes it: none of those that the system gives to whoever asks for any.
fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| fastrand::u16(20_000..32_000));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

impl Stage {
    /// `more` is put into the section of the console; it is given where the gateway answers.
    pub async fn start(name: &str, more: impl FnOnce(&str) -> String) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let (users, port) = (folder.path().join("users"), free_port());
        for role in Role::ALL {
            add_user(&users, &self::name(*role), *role);
        }
        let url = format!("http://127.0.0.1:{port}");
        let config = format!(
            "delivery.first_delay = \"200ms\"\ndelivery.max_delay = \"1s\"\ndelivery.recheck = \"500ms\"\n[console]\n\
             public_url = \"{url}\"\nusers_file = \"{}\"\ntrace_url = \"http://127.0.0.1:9/trace/{{trace_id}}\"\n{}",
            users.display(),
            more(&url)
        );
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("console-{name}"));
        let partners = root().join("tests/gateway");
        let options = Options { partners, config, port: Some(port), ..Options::new(root(), home, BINARY) };
        let world = World::start(&options).await.unwrap();
        Stage { world, url, users, _folder: folder }
    }

    /// Somebody of a role, logged in.
    pub async fn visitor(&self, role: Role) -> Visitor {
        let mut visitor = Visitor::new(&self.url);
        let answer = visitor.log_in(&name(role), PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        visitor
    }

    pub async fn send(&self, from: &str, event: &Event) {
        self.world.note.partner(from).await.unwrap().publish(event).await.unwrap();
    }

    /// Releases to a municipality that is not connected: a person must decide.
    pub async fn park(&self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..count {
            let event = release(&Person::new().notice("0622"));
            self.send("dji", &event).await;
            events.push(event);
        }
        for event in &events {
            self.waits(&event.id, "parked").await;
        }
        events
    }

    /// A release that arrives.
    pub async fn deliver(&self) -> Event {
        let event = release(&Person::new().notice("0606"));
        self.send("dji", &event).await;
        self.until("a receipt", async || self.receipt(&event.id).await).await;
        event
    }

    /// A request that a person must judge first.
    pub async fn ask_for_judgement(&self) -> Event {
        let person = Person::new();
        self.world.iris.know(person.on_file(supervised(), case_file()));
        let event = request(&person.request("0606", "43_4", "toezicht"));
        self.send("gemeente:0606", &event).await;
        self.waits(&event.id, "awaiting_assessment").await;
        event
    }

    /// A municipality that takes nothing for now, and a release that waits for it.
    pub async fn fail(&self, municipality: &str) {
        let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
        let path = format!("/gemeente-{municipality}");
        self.world.webhooks.behave_at(&path, Behaviour::Answer { status, retry_after: None }, None);
        for _ in 0..6 {
            self.send("dji", &release(&Person::new().notice(municipality))).await;
        }
        let down = format!("ketenpoort_recipient_breaker_open{{party=\"gemeente:{municipality}\"}} 1");
        self.until("a breaker that is open", async || self.metrics().await.contains(&down).then_some(())).await;
    }

    async fn metrics(&self) -> String {
        reqwest::get(format!("{}/metrics", self.url)).await.unwrap().text().await.unwrap()
    }

    /// The delivery of a message that waits so, once it does.
    pub async fn waits(&self, id: &str, outcome: &str) -> i64 {
        let found = async || {
            let rows = self.rows(&["parked", "list", "--json", "--limit", "1000", "--outcome", outcome]);
            rows.iter().find(|row| row["id"] == id).and_then(|row| row["delivery"].as_i64())
        };
        self.until(&format!("{id} that waits as {outcome}"), found).await
    }

    async fn receipt(&self, id: &str) -> Option<String> {
        let query = "SELECT hex(r.id) FROM message AS m JOIN receipt AS r \
                     ON r.delivery BETWEEN m.first_delivery AND m.last_delivery WHERE m.id = $1";
        sqlx::query_scalar(query).bind(id).fetch_optional(&mut self.ledger().await).await.unwrap()
    }

    /// What became of a message that has one recipient.
    pub async fn outcome(&self, id: &str) -> Option<String> {
        let query = "SELECT d.outcome FROM message AS m JOIN delivery AS d \
                     ON d.key BETWEEN m.first_delivery AND m.last_delivery WHERE m.id = $1";
        sqlx::query_scalar(query).bind(id).fetch_optional(&mut self.ledger().await).await.unwrap()
    }

    async fn ledger(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.world.home.join("ledger.db")).read_only(true);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    pub fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let mut command = Command::new(BINARY);
        let output = command.args(arguments).arg("--config").arg(&self.world.note.config).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What persons did, as it is on record.
    pub async fn actions(&self) -> Vec<(String, String, String)> {
        let query = sqlx::query_as("SELECT who, what, why FROM action ORDER BY key");
        query.fetch_all(&mut self.ledger().await).await.unwrap()
    }

    /// There is no event for what another process keeps to itself; asked again until it is so.
    pub async fn until<T>(&self, what: &str, found: impl AsyncFn() -> Option<T>) -> T {
        let looked = async {
            loop {
                if let Some(found) = found().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let Ok(found) = tokio::time::timeout(WITHIN, looked).await else {
            panic!("{what}: not within {WITHIN:?}; see {}", self.world.home.display())
        };
        found
    }
}

pub fn add_user(users: &Path, name: &str, role: Role) {
    let mut command = Command::new(BINARY);
    command.args(["users", "add"]).arg(users).arg(name).args(["--role", role.as_str()]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
