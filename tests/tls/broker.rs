//! A real broker over TLS, where a certificate is the login: RabbitMQ with its mechanism EXTERNAL, on a node of its own.

use crate::authority::{Authority, Folder, Issued, Wanted};
use ketenpoort::directory::Directory;
use ketenpoort::intake::{self, Inbound, Intake};
use ketenpoort::party::PartyId;
use ketenpoort::{broker, config, topology};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Confirmation, Connection};
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SOON: Duration = Duration::from_secs(30);
/// After this long a connection that was not refused would be there.
const REFUSED: Duration = Duration::from_secs(4);

pub const DJI: &str = "00000099000000000001";
/// As the broker writes the subjects of the certificates below.
pub const GATEWAY: &str = "CN=ketenpoort,C=NL";

/// A node that asks everybody for a certificate of its own authority. Tests share it as long as one of them is there;
/// one of an earlier run that was cut short is replaced.
pub struct Node {
    pub environment: Vec<(String, String)>,
    pub tls_port: u16,
    pub authority: Authority,
    number: u64,
    _files: Folder,
}

/// Held while a node is started or stopped; the number of the one that runs.
static RUNNING: Mutex<u64> = Mutex::new(0);

impl Node {
    pub fn shared() -> Arc<Node> {
        static NODE: Mutex<Weak<Node>> = Mutex::new(Weak::new());
        let mut shared = NODE.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let node = Arc::new(Node::start());
            *shared = Arc::downgrade(&node);
            node
        })
    }

    fn start() -> Node {
        // The same for each run, and another one for another checkout on this machine.
        let place = ROOT.bytes().fold(0u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 1000;
        let (port, tls_port) = (7700 + place, 8700 + place);
        let (authority, files) = (Authority::new("broker"), Folder::new());
        let own = authority.issue(&Wanted { name: "broker", ..Wanted::default() });
        files.put(&own);
        files.write("ca.pem", &authority.pem());
        let path = |name| files.path(name).to_string_lossy().into_owned();
        let settings = format!(
            "listeners.ssl.1 = 127.0.0.1:{tls_port}\n\
             ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n\
             ssl_options.versions.1 = tlsv1.3\nssl_options.versions.2 = tlsv1.2\n\
             auth_mechanisms.1 = EXTERNAL\nauth_mechanisms.2 = PLAIN\n\
             ssl_cert_login_from = distinguished_name\n",
            path("ca.pem"),
            path("cert.pem"),
            path("key.pem"),
        );
        let settings = files.write("rabbitmq.conf", &settings);
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker-tls");
        let environment = [
            ("KETENPOORT_BROKER_HOME", home.to_string_lossy().into_owned()),
            ("KETENPOORT_BROKER_PORT", port.to_string()),
            ("KETENPOORT_BROKER_CONF", settings.to_string_lossy().into_owned()),
            ("KETENPOORT_BROKER_PLUGINS", "rabbitmq_auth_mechanism_ssl".to_owned()),
            ("KETENPOORT_AMQP", String::new()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        let mut node = Node { environment, tls_port, authority, number: 0, _files: files };
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        node.number = *running;
        let _ = node.command(&["stop"]).output();
        let _ = std::fs::remove_dir_all(home.with_file_name(format!("broker-tls-{port}")));
        node.script(&["start"]);
        node
    }

    pub fn script(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(ROOT).join("deploy/broker.sh"));
        command.args(arguments).envs(self.environment.iter().cloned());
        command
    }

    /// Everything that the directory asks for, on a virtual host of its own. `user` is the gateway.
    pub fn import(&self, directory: &Directory, vhost: &str, user: &str) {
        let options = topology::Options { vhost, user, password: &|_| Some("geheim".to_owned()) };
        let definitions = topology::definitions(directory, &options).to_string();
        let file = Folder::new();
        self.script(&["import", &file.write("definitions.json", &definitions).to_string_lossy()]);
    }

    pub fn issue(&self, name: &str, oin: Option<&str>) -> Issued {
        self.authority.issue(&Wanted { name, oin, ..Wanted::default() })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Another test may have started the next one already, in its place.
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if *running == self.number {
            let _ = self.command(&["stop"]).output();
        }
    }
}

struct Scene {
    node: Arc<Node>,
    vhost: String,
    directory: Arc<Directory>,
}

impl Scene {
    fn new(test: &str) -> Scene {
        let node = Node::shared();
        let vhost = format!("kp-tls-{test}-{}", std::process::id());
        let directory = directory(r"CN=keten\, dji,SERIALNUMBER=00000099000000000001,C=NL");
        node.import(&directory, &vhost, GATEWAY);
        Scene { node, vhost, directory: Arc::new(directory) }
    }

    /// A way in for who has this certificate, and what it is read from.
    fn way_in(&self, own: Option<&Issued>, host: &str) -> (broker::Options, Folder) {
        let folder = Folder::new();
        folder.write("ca.pem", &self.node.authority.pem());
        own.iter().for_each(|own| folder.put(own));
        let settings = folder.settings(true, own.is_some());
        let url = format!("amqps://{host}:{}/{}", self.node.tls_port, self.vhost);
        let config: config::Broker = toml::from_str(&format!("urls = [{url:?}]\n{settings}")).unwrap();
        (broker::Options::new(&config).unwrap(), folder)
    }

    async fn connect(&self, own: &Issued) -> Arc<Connection> {
        next(&self.way_in(Some(own), "localhost").0, SOON).await.unwrap()
    }

    /// Who is connected, as the broker says.
    fn users(&self) -> Vec<String> {
        let listed = self.node.script(&["ctl", "list_connections", "user", "vhost"]);
        let ours = listed.lines().filter_map(|line| line.split_once('\t').filter(|(_, vhost)| *vhost == self.vhost));
        let mut users: Vec<String> = ours.map(|(user, _)| user.to_owned()).collect();
        users.sort();
        users
    }
}

fn directory(dji: &str) -> Directory {
    let text = format!(
        r#"
        [[role]]
        name = "dji"
        [[role]]
        name = "gemeente-college"
        [[party]]
        id = "dji"
        name = "DJI"
        oin = "{DJI}"
        users = ['{dji}']
        roles = ["dji"]
        [[party]]
        id = "gemeente:0363"
        name = "Amsterdam"
        oin = "00000099000000000363"
        users = ["kp-tls-amsterdam"]
        roles = ["gemeente-college"]
        endpoint = [{{ kind = "amqp" }}]
        "#
    );
    Directory::load(&BTreeMap::from([("partners.toml".to_owned(), text)])).unwrap()
}

async fn next(options: &broker::Options, within: Duration) -> Option<Arc<Connection>> {
    let mut supply = broker::Supply::new(options.clone(), "test");
    timeout(within, supply.next(&CancellationToken::new())).await.ok().flatten()
}

async fn publish(connection: &Connection, party: &str, user: &str) -> lapin::Result<Confirmation> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default().with_user_id(user.into()));
    channel.basic_publish(format!("ketenpoort.in.{party}").into(), "".into(), options, b"{}", properties).await?.await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_is_known_by_the_oin_in_its_certificate() {
    let scene = Scene::new("oin");
    let gateway = scene.node.issue("ketenpoort", None);
    let (broker, _files) = scene.way_in(Some(&gateway), "localhost");
    let (sender, mut inbound) = mpsc::channel::<Inbound>(8);
    let prefetch = NonZeroU16::new(8).unwrap();
    let options = intake::Options { broker, prefetch, max_body: 1024, rate: None, room: intake::Room::of(1 << 20) };
    let intake = Intake::start(options, scene.directory.clone(), &sender);
    let mut came = async || {
        let inbound = timeout(SOON, inbound.recv()).await.unwrap().unwrap();
        let user = inbound.raw.user_id.clone().unwrap();
        inbound.acker.ack().await;
        (scene.directory.by_user(&user).map(|party| party.id.clone()), user)
    };
    let dji = Some(PartyId::new("dji"));

    let listed = r"CN=keten\, dji,SERIALNUMBER=00000099000000000001,C=NL";
    let partner = scene.connect(&scene.node.issue("keten, dji", Some(DJI))).await;
    assert_eq!(publish(&partner, "dji", listed).await, Ok(Confirmation::Ack(None)));
    assert_eq!(came().await, (dji.clone(), listed.to_owned()));

    // A name that is not its own is refused by the broker, and so is another's queue.
    assert!(publish(&partner, "dji", "kp-tls-amsterdam").await.is_err());
    assert!(publish(&partner, "gemeente.0363", listed).await.is_err());

    // The next certificate has another name in it; the broker knows that, and the directory does not yet.
    let renewed = r"CN=\ S\C3\BAdwest #2\; \+1,SERIALNUMBER=00000099000000000001,C=NL";
    scene.node.import(&directory(renewed), &scene.vhost, GATEWAY);
    let partner = scene.connect(&scene.node.issue(" Súdwest #2; +1", Some(DJI))).await;
    assert_eq!(publish(&partner, "dji", renewed).await, Ok(Confirmation::Ack(None)));
    assert_eq!(came().await, (dji, renewed.to_owned()));

    // Who writes the OIN of another into his name stays who he is.
    let pretender = r"CN=x\,SERIALNUMBER=00000099000000000001,SERIALNUMBER=00000099000000000363,C=NL";
    assert_eq!(scene.directory.by_user(pretender).map(|party| &party.id), None, "it comes with passwords only");
    intake.close().await;
    assert!(scene.users().iter().any(|user| user == listed));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_good_certificate_is_not_let_in_and_a_broker_without_one_is_not_used() {
    let scene = Scene::new("refused");
    let (node, others) = (scene.node.clone(), Authority::new("others"));
    let of = |from, until| node.authority.issue(&Wanted { name: "ketenpoort", from, until, ..Wanted::default() });
    let good = node.issue("ketenpoort", None);
    let cases = [
        ("good", Some(&good), "localhost", true),
        ("no certificate", None, "localhost", false),
        (
            "another authority",
            Some(&others.issue(&Wanted { name: "ketenpoort", ..Wanted::default() })),
            "localhost",
            false,
        ),
        ("expired", Some(&of((2020, 1, 1), (2021, 1, 1))), "localhost", false),
        ("not yet valid", Some(&of((2098, 1, 1), (2099, 1, 1))), "localhost", false),
        ("nobody that the broker knows", Some(&node.issue("iemand", None)), "localhost", false),
        ("a broker of another name", Some(&good), "127.0.0.1", false),
        ("a user with a wrong password", Some(&good), "kp-tls-amsterdam:fout@localhost", false),
        ("a user with a password", Some(&good), "kp-tls-amsterdam:geheim@localhost", true),
    ];
    let tried = cases.map(|(name, own, host, is_good)| {
        let (options, files) = scene.way_in(own, host);
        async move {
            let connection = next(&options, if is_good { SOON } else { REFUSED }).await;
            assert_eq!(connection.is_some(), is_good, "{name}");
            drop(files);
            connection
        }
    });
    let connections = futures_util::future::join_all(tried).await;
    assert_eq!(scene.users(), [GATEWAY, "kp-tls-amsterdam"]);
    drop(connections);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_connection_comes_with_the_new_certificate() {
    let scene = Scene::new("reload");
    let named = |name: &str| format!("CN={name},SERIALNUMBER={DJI},C=NL");
    for name in ["een", "twee"] {
        scene.node.import(&directory(&named(name)), &scene.vhost, GATEWAY);
    }
    let (options, files) = scene.way_in(Some(&scene.node.issue("een", Some(DJI))), "localhost");
    let first = next(&options, SOON).await.unwrap();
    files.put(&scene.node.issue("twee", Some(DJI)));
    options.certificates().unwrap().renew(true);
    let second = next(&options, SOON).await.unwrap();
    assert_eq!(scene.users(), [named("een"), named("twee")]);
    // The old one goes on until it ends.
    assert!(first.status().connected() && second.status().connected());
}
