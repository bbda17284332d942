//! The whole gateway, with a certificate on every way in and out, which are replaced while it runs.

use crate::authority::{Authority, Folder, Issued, Wanted};
use crate::broker::{GATEWAY, Node};
use crate::outgoing::{OTHERS, OWN};
use crate::server::{self, Caller, Callers};
use jiff::{Timestamp, ToSpan};
use ketenpoort::demo::partner::Access;
use ketenpoort::demo::{Options, World};
use ketenpoort::directory::Directory;
use ketenpoort::facts::dutch_day;
use ketenpoort::simulators::Server;
use ketenpoort::simulators::iris::{People, Simulator};
use ketenpoort::simulators::recipient::Recipient;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BINARY: &str = env!("CARGO_BIN_EXE_ketenpoort");
const RELEASE: &str = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";
const WITHIN: Duration = Duration::from_secs(40);
const DJI: &str = "00000099000900000001";
/// Not as the directory has it: it knows DJI by the OIN.
const SUBJECT: &str = "CN=keten.dji.example,SERIALNUMBER=00000099000900000001,C=NL";

struct Scene {
    world: World,
    node: Arc<Node>,
    ours: Authority,
    /// What the gateway shows to webhooks.
    own: Folder,
    /// Behind Rotterdam's own certificate, and behind another's in Dordrecht's place.
    recipient: Recipient,
    callers: Callers,
    misled: Recipient,
    iris_callers: Callers,
    to_iris: Issued,
    _rest: (Vec<Server>, Vec<Folder>, tempfile::TempDir),
}

impl Scene {
    async fn start() -> Scene {
        let (node, ours) = (tokio::task::block_in_place(Node::shared), Authority::new("chain"));
        let server = |oin| ours.issue(&Wanted { oin: Some(oin), ..Wanted::default() });
        let (recipient, misled) = (Recipient::default(), Recipient::default());
        let (webhook, callers) = server::start(recipient.router(), &server(OWN), Some(&ours)).await;
        let (wrong, _) = server::start(misled.router(), &server(OTHERS), Some(&ours)).await;
        let people = std::fs::read_to_string(Path::new(ROOT).join("deploy/demo/iris.json")).unwrap();
        let people = People::read("iris.json", &people, dutch_day(Timestamp::now())).unwrap();
        let iris = Simulator::new(people, None);
        let (iris, iris_callers) = server::start(iris.router(), &ours.issue(&Wanted::default()), Some(&ours)).await;

        // It ends within the month.
        let end = dutch_day(Timestamp::now()) + 20.days();
        let until = (end.year().into(), end.month().unsigned_abs(), end.day().unsigned_abs());
        let to_iris = ours.issue(&Wanted { until, ..Wanted::default() });
        let [own, for_iris, for_broker] = [(); 3].map(|()| Folder::new());
        own.put(&ours.issue(&Wanted::default()));
        for_iris.put(&to_iris);
        for_broker.put(&node.issue("ketenpoort", None));
        for folder in [&own, &for_iris] {
            folder.write("ca.pem", &ours.pem());
        }
        for_broker.write("ca.pem", &node.authority.pem());

        let folder = tempfile::tempdir().unwrap();
        let partners = folder.path().join("partners");
        std::fs::create_dir(&partners).unwrap();
        let text = std::fs::read_to_string(Path::new(ROOT).join("deploy/demo/partners.toml")).unwrap();
        let at = |server: &Server| format!("https://localhost:{}/", server.address().port());
        let text = text
            .replace(r#"users = ["dji"]"#, &format!(r#"users = ["CN=dji,SERIALNUMBER={DJI}"]"#))
            .replace(
                r#"url = "http://127.0.0.1:0/gemeente-0599""#,
                &format!("url = \"{}\", oin_in_certificate = true", at(&webhook)),
            )
            .replace(
                r#"url = "http://127.0.0.1:0/gemeente-0505""#,
                &format!("url = \"{}\", oin_in_certificate = true", at(&wrong)),
            );
        std::fs::write(partners.join("partners.toml"), &text).unwrap();

        let mut options = Options::new(ROOT, folder.path().join("home"), BINARY);
        let url = format!("amqps://localhost:{}/{}", node.tls_port, options.vhost);
        options.config = format!(
            "[broker]\nurls = [\"{url}\"]\n{}[iris]\nbase_url = \"{}\"\n{}[delivery]\nfirst_delay = \"100ms\"\n{}",
            for_broker.settings(true, true),
            at(&iris),
            for_iris.settings(true, true),
            own.settings(true, true),
        );
        options.partners = partners;
        options.broker = node.environment.clone();
        // Who comes with a certificate must be known to the broker.
        let known = text.replace(&format!("CN=dji,SERIALNUMBER={DJI}"), SUBJECT);
        let directory = Directory::load(&BTreeMap::from([("partners.toml".to_owned(), known)])).unwrap();
        node.import(&directory, &options.vhost, GATEWAY);
        let world = World::start(&options).await.unwrap();
        let rest = (vec![webhook, wrong, iris], vec![for_iris, for_broker], folder);
        Scene { world, node, ours, own, recipient, callers, misled, iris_callers, to_iris, _rest: rest }
    }

    fn access(&self) -> &Access {
        &self.world.note.partners[&ketenpoort::party::PartyId::new("dji")]
    }

    /// From DJI, which comes with its certificate.
    async fn send(&self, sequence: i64, municipality: &str) -> String {
        let files = Folder::new();
        files.write("ca.pem", &self.node.authority.pem());
        files.put(&self.node.issue("keten.dji.example", Some(DJI)));
        let vhost = self.world.broker.rsplit('/').next().unwrap();
        let url = format!("amqps://localhost:{}/{vhost}", self.node.tls_port);
        let config = toml::from_str(&format!("urls = [{url:?}]\n{}", files.settings(true, true))).unwrap();
        let mut supply = ketenpoort::broker::Supply::new(ketenpoort::broker::Options::new(&config).unwrap(), "test");
        let connection =
            timeout(WITHIN, supply.next(&tokio_util::sync::CancellationToken::new())).await.unwrap().unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();

        let xml = std::fs::read_to_string(Path::new(ROOT).join("tests/fixtures/invrijheidstelling.xml")).unwrap();
        let xml = xml.replace("0363", municipality).replace("0344", municipality);
        let id = Uuid::new_v4().to_string();
        let mut headers = FieldTable::default();
        for (name, value) in [
            ("id", id.as_str()),
            ("source", &self.access().source),
            ("type", RELEASE),
            ("specversion", "1.0"),
            ("sequence", &sequence.to_string()),
        ] {
            headers.insert(format!("cloudEvents_{name}").into(), AMQPValue::LongString(value.into()));
        }
        let properties = BasicProperties::default()
            .with_content_type("application/xml".into())
            .with_delivery_mode(2)
            .with_user_id(SUBJECT.into())
            .with_headers(headers);
        let exchange = self.access().inbound.as_str().into();
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = channel.basic_publish(exchange, "".into(), options, xml.as_bytes(), properties).await.unwrap();
        assert_eq!(sent.await.unwrap(), Confirmation::Ack(None));
        id
    }

    async fn delivered(&self, count: usize) {
        let all = timeout(WITHIN, self.recipient.received_at_least(count)).await;
        assert!(all.is_ok(), "not delivered; the log is:\n{}", self.log());
    }

    async fn metrics(&self) -> String {
        reqwest::get(format!("{}/metrics", self.world.note.http)).await.unwrap().text().await.unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.world.home.join("gateway.log")).unwrap()
    }

    /// Returns once the gateway has counted it.
    async fn reload(&self, line: &str) {
        self.world.reload_gateway().await.unwrap();
        self.until(line, async || self.metrics().await.contains(line).then_some(())).await;
    }

    async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(seen) = look().await {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(WITHIN, looking).await.unwrap_or_else(|_| panic!("{what}; the log is:\n{}", self.log()))
    }

    async fn waiting(&self) -> Vec<Value> {
        let mut command = tokio::process::Command::new(BINARY);
        command.args(["parked", "list", "--json", "--config"]).arg(&self.world.note.config);
        serde_json::from_slice(&command.output().await.unwrap().stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_by_certificate_and_new_ones_are_used_without_a_restart() {
    let mut scene = Scene::start().await;
    let show = async |number: usize, issued: &Issued| {
        scene.send(i64::try_from(number).unwrap(), "0599").await;
        scene.delivered(number).await;
        assert_eq!(scene.callers.all().last(), Some(&Caller::With(issued.serial)), "delivery {number}");
    };
    let [first, second] = [(); 2].map(|()| scene.ours.issue(&Wanted::default()));
    scene.own.put(&first);
    scene.reload(r#"ketenpoort_certificate_reloads_total{result="ok",use="webhooks"} 1"#).await;
    show(1, &first).await;
    assert_eq!(scene.iris_callers.all().last(), Some(&Caller::With(scene.to_iris.serial)));

    // When each ends is in the metrics, and of what ends soon the log tells, once.
    let metrics = scene.metrics().await;
    let end = jiff::civil::date(2099, 1, 1).at(0, 0, 0, 0).in_tz("UTC").unwrap().timestamp().as_second();
    for (part, usage) in [("own", "webhooks"), ("own", "broker")] {
        let line = format!("ketenpoort_certificate_expires_seconds{{part=\"{part}\",use=\"{usage}\"}} {end}");
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }
    assert!(metrics.contains(r#"ketenpoort_certificate_expires_seconds{part="authority",use="iris"}"#), "{metrics}");
    let log = scene.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("KP-7011")).collect();
    assert!(told.len() == 1 && told[0].contains("iris"), "{told:?}");

    scene.own.put(&second);
    scene.reload(r#"ketenpoort_certificate_reloads_total{result="ok",use="webhooks"} 2"#).await;
    show(2, &second).await;
    scene.own.write("cert.pem", "broken");
    scene.reload(r#"ketenpoort_certificate_reloads_total{result="refused",use="webhooks"} 1"#).await;
    let log = scene.log();
    assert!(log.lines().any(|line| line.contains("KP-7010") && line.contains("cert.pem")), "{log}");
    show(3, &second).await;

    // Where another party's certificate is, valid as it may be, nothing goes; and it is told why.
    let id = scene.send(4, "0505").await;
    let reason = scene
        .until("it waits", async || {
            let waiting = scene.waiting().await;
            let ours = waiting.iter().find(|row| row["id"] == id.as_str() && row["recipient"] == "gemeente:0505")?;
            (ours["reason"]["code"] == "KP-5002").then(|| ours["reason"]["detail"].to_string())
        })
        .await;
    assert!(reason.contains("certificate"), "{reason}");
    assert!(scene.misled.received().is_empty());
    scene.world.stop_gateway().await.unwrap();
}
