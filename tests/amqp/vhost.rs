//! A vhost for one test: set up from exported definitions, gone afterwards.

use ketenpoort::config::{self, Secret};
use ketenpoort::directory::Directory;
use ketenpoort::{broker, topology};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub const GATEWAY: &str = "kp-test-gateway";
pub const DJI: &str = "kp-test-dji";
pub const AMSTERDAM: &str = "kp-test-amsterdam";

const PARTNERS: &str = r#"
    [[role]]
    name = "dji"
    [[role]]
    name = "gemeente-college"
    [[party]]
    id = "dji"
    name = "DJI"
    oin = "00000099000000000001"
    users = ["kp-test-dji"]
    roles = ["dji"]
    endpoint = [{ kind = "amqp" }]
    [[party]]
    id = "gemeente:0363"
    name = "Amsterdam"
    oin = "00000099000000000363"
    users = ["kp-test-amsterdam"]
    roles = ["gemeente-college"]
    endpoint = [{ kind = "amqp" }]
"#;

/// Long enough for anything that happens at all.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it should have happened by now")
}

fn script(port: Option<u16>, arguments: &[&str]) -> Command {
    let mut command = Command::new("deploy/broker.sh");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).stdin(Stdio::null());
    if let Some(port) = port {
        command.env("KETENPOORT_BROKER_PORT", port.to_string());
    }
    command
}

fn output(mut command: Command) -> String {
    let output = command.output().expect("deploy/broker.sh runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// One broker node. `port` is that of a node of one's own.
#[derive(Clone)]
pub struct Node {
    port: Option<u16>,
    /// Host and port.
    pub address: String,
}

impl Node {
    pub fn start(port: Option<u16>) -> Node {
        let started = output(script(port, &["start"]));
        let url = started.lines().last().expect("it prints the URL");
        let address = url.rsplit('@').next().unwrap().split('/').next().unwrap();
        Node { port, address: address.to_owned() }
    }

    fn shared() -> Node {
        static NODE: OnceLock<Node> = OnceLock::new();
        NODE.get_or_init(|| Node::start(None)).clone()
    }

    pub fn ctl(&self, arguments: &[&str]) -> String {
        output(script(self.port, &[&["ctl"], arguments].concat()))
    }

    pub fn stop(&self) {
        output(script(self.port, &["stop"]));
    }
}

pub struct Vhost {
    pub name: String,
    pub node: Node,
    pub directory: Arc<Directory>,
}

impl Vhost {
    pub fn new(test: &str) -> Vhost {
        Vhost::on(Node::shared(), test)
    }

    pub fn on(node: Node, test: &str) -> Vhost {
        let files = BTreeMap::from([("partners.toml".to_owned(), PARTNERS.to_owned())]);
        let directory = Arc::new(Directory::load(&files).unwrap());
        let name = format!("kp-test-{test}-{}", std::process::id());
        let vhost = Vhost { name, node, directory };
        let options = topology::Options {
            vhost: &vhost.name,
            user: GATEWAY,
            password: &|user| Some(format!("geheim van {user}")),
        };
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{}", topology::definitions(&vhost.directory, &options)).unwrap();
        output(script(vhost.node.port, &["import", file.path().to_str().unwrap()]));
        vhost
    }

    pub fn url(&self, user: &str) -> String {
        format!("amqp://{user}:geheim%20van%20{user}@{}/{}", self.node.address, self.name)
    }

    /// As the gateway itself.
    pub fn broker(&self) -> broker::Options {
        broker_at([self.url(GATEWAY)])
    }

    pub async fn connect(&self, user: &str) -> Connection {
        Connection::connect(&self.url(user), ConnectionProperties::default()).await.unwrap()
    }

    /// How many messages wait in a queue.
    pub async fn waiting(&self, queue: &str) -> u32 {
        let channel = self.connect(GATEWAY).await.create_channel().await.unwrap();
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap().message_count()
    }

    pub fn close_connections(&self) {
        self.node.ctl(&["close_all_connections", "--vhost", &self.name, "test"]);
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        let _ = script(self.node.port, &["ctl", "delete_vhost", &self.name]).output();
    }
}

pub fn broker_at(urls: impl IntoIterator<Item = String>) -> broker::Options {
    let urls = urls.into_iter().map(Secret::new).collect();
    broker::Options::new(&config::Broker { urls, ..config::Broker::default() }).unwrap()
}

/// Publishes as a partner would: to an exchange, on a channel of its own.
pub async fn publish(
    connection: &Connection,
    exchange: &str,
    routing_key: &str,
    properties: BasicProperties,
    body: &[u8],
) -> lapin::Result<Confirmation> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    channel.basic_publish(exchange.into(), routing_key.into(), options, body, properties).await?.await
}

/// To its own exchange, as itself.
pub async fn send(connection: &Connection, party: &str, body: &[u8]) {
    let properties = BasicProperties::default().with_user_id(connection.status().username().as_str().into());
    let exchange = format!("ketenpoort.in.{party}");
    assert_eq!(publish(connection, &exchange, "", properties, body).await, Ok(Confirmation::Ack(None)));
}
