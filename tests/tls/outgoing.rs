//! What we send to and ask from: webhooks and IRIS. Nothing leaves for the wrong one, and the right one learns who we are.

use crate::authority::{Authority, Folder, Issued, Wanted, localhost};
use crate::server::{self, Caller};
use jiff::civil::date;
use ketenpoort::config;
use ketenpoort::delivery::amqp::Publication;
use ketenpoort::delivery::{Failure, webhook};
use ketenpoort::facts::{Person, Unavailable, iris};
use ketenpoort::party::Oin;
use ketenpoort::personal::Personal;
use ketenpoort::simulators::iris::{People, Simulator};
use ketenpoort::simulators::recipient::Recipient;
use ketenpoort::tls::Renewed;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

pub const OWN: &str = "00000099000000000599";
pub const OTHERS: &str = "00000099000000000363";
const KNOWN: &str = "999993653";

fn webhooks(folder: &Folder, own: bool) -> webhook::Client {
    let config: config::Delivery = toml::from_str(&folder.settings(true, own)).unwrap();
    webhook::Client::new(&config).unwrap()
}

fn event(host: &str) -> Publication {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let id = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
    Publication {
        to: format!("https://{host}/ketenpoort"),
        body: Personal::new(b"{}".to_vec()),
        content_type: "application/json".to_owned(),
        message_id: id.clone(),
        attributes: vec![
            ("id", id),
            ("source", "urn:nld:oin:00000099000900000000:systeem:ketenpoort".to_owned()),
            ("specversion", "1.0".to_owned()),
            ("type", "nl.ketenpoort.detentie.verlof-aangekondigd.v1".to_owned()),
        ],
        traceparent: None,
    }
}

fn oin(oin: &str) -> Oin {
    Oin::parse(oin).unwrap()
}

/// Certificates that the other side may come with, and whether what is personal may go there.
fn cast(ours: &Authority, others: &Authority) -> Vec<(&'static str, Issued, bool)> {
    let good = || Wanted { oin: Some(OWN), ..Wanted::default() };
    vec![
        ("good", ours.issue(&good()), true),
        ("another authority", others.issue(&good()), false),
        ("expired", ours.issue(&Wanted { until: (2021, 1, 1), ..good() }), false),
        ("not yet valid", ours.issue(&Wanted { from: (2098, 1, 1), ..good() }), false),
        ("another host", ours.issue(&Wanted { host: "elders.example", ..good() }), false),
    ]
}

#[tokio::test]
async fn a_webhook_gets_something_only_if_it_is_the_right_one() {
    let (ours, others, folder) = (Authority::new("ours"), Authority::new("others"), Folder::new());
    folder.write("ca.pem", &ours.pem());
    let client = webhooks(&folder, false);
    for (name, certificate, is_good) in cast(&ours, &others) {
        let recipient = Recipient::default();
        let (server, _) = server::start(recipient.router(), &certificate, None).await;
        let sent = client.post(event(&localhost(server.address())), false, None).await;
        assert_eq!(sent, if is_good { Ok(()) } else { Err(Failure::Mistrusted) }, "{name}");
        assert_eq!(recipient.received().len(), usize::from(is_good), "{name}");
    }
}

#[tokio::test]
async fn where_the_directory_asks_for_an_oin_no_other_party_gets_anything() {
    let (ours, folder) = (Authority::new("ours"), Folder::new());
    folder.write("ca.pem", &ours.pem());
    let client = webhooks(&folder, false);
    for (name, holder, is_good) in [
        ("its own", Some(OWN), true),
        ("another party's", Some(OTHERS), false),
        ("none", None, false),
        ("something else", Some("34100000"), false),
    ] {
        let certificate = ours.issue(&Wanted { oin: holder, name: OWN, ..Wanted::default() });
        let recipient = Recipient::default();
        let (server, _) = server::start(recipient.router(), &certificate, None).await;
        let host = localhost(server.address());
        // For a party that asks for nothing: a connection is there, and may not serve for one that does.
        client.post(event(&host), false, None).await.unwrap();
        let sent = client.post(event(&host), false, Some(&oin(OWN))).await;
        assert_eq!(sent, if is_good { Ok(()) } else { Err(Failure::Mistrusted) }, "{name}");
        assert_eq!(recipient.received().len(), 1 + usize::from(is_good), "{name}");
        assert_eq!(client.post(event(&host), false, Some(&oin(OTHERS))).await.is_ok(), holder == Some(OTHERS));
    }
}

#[tokio::test]
async fn a_webhook_can_tell_that_it_is_us() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let recipient = Recipient::default();
    let own = ours.issue(&Wanted::default());
    let (server, callers) = server::start(recipient.router(), &own, Some(&ours)).await;
    let mut received = 0;
    for (name, certificate, is_good) in cast(&ours, &others)
        .into_iter()
        .filter(|(name, ..)| *name != "another host")
        .map(|(n, c, g)| (n, Some(c), g))
        .chain([("none", None, false)])
    {
        let folder = Folder::new();
        folder.write("ca.pem", &ours.pem());
        certificate.iter().for_each(|issued| folder.put(issued));
        let client = webhooks(&folder, certificate.is_some());
        let sent = client.post(event(&localhost(server.address())), false, None).await;
        assert_eq!(sent.is_ok(), is_good, "{name}: {sent:?}");
        received += usize::from(is_good);
        assert_eq!(recipient.received().len(), received, "{name}");
        let expected = certificate.filter(|_| is_good).map_or(Caller::Refused, |issued| Caller::With(issued.serial));
        assert_eq!(callers.all().last(), Some(&expected), "{name}");
    }
}

/// The client of an IRIS at this address, and whether it gets an answer.
async fn asked(host: &str, folder: &Folder, own: bool) -> Result<bool, Unavailable> {
    let settings = format!("base_url = \"https://{host}\"\nattempts = 1\n{}", folder.settings(true, own));
    let config: config::Iris = toml::from_str(&settings).unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let [schemas, policies, mappings] = ["schemas", "policies", "mappings"].map(|name| root.join(name));
    let schemas = ketenpoort::catalogue::Sources::read(&schemas, &policies, &mappings).unwrap().schemas;
    let client = iris::Client::new(&config, iris::Schemas::compile(&schemas).unwrap()).unwrap();
    let person = Person { bsn: Some(Personal::new(KNOWN.to_owned())), skn: None };
    client.facts(person, None).await.map(|facts| facts.bekend)
}

fn simulator() -> Simulator {
    let people =
        format!(r#"{{"personen": [{{"bsn": "{KNOWN}", "feiten": {{"bekend": true, "organisatie": "SVG"}}}}]}}"#);
    Simulator::new(People::read("test", &people, date(2026, 11, 24)).unwrap(), None)
}

#[tokio::test]
async fn only_the_right_iris_is_asked_about_anybody() {
    let (ours, others, folder) = (Authority::new("ours"), Authority::new("others"), Folder::new());
    folder.write("ca.pem", &ours.pem());
    for (name, certificate, is_good) in cast(&ours, &others) {
        let iris = simulator();
        let (server, _) = server::start(iris.router(), &certificate, None).await;
        let answer = asked(&localhost(server.address()), &folder, false).await;
        assert_eq!(answer, if is_good { Ok(true) } else { Err(Unavailable::Mistrusted) }, "{name}");
        assert_eq!(iris.seen().persons, u64::from(is_good), "{name}");
    }
}

#[tokio::test]
async fn iris_answers_nobody_but_us() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let iris = simulator();
    let (server, callers) = server::start(iris.router(), &ours.issue(&Wanted::default()), Some(&ours)).await;
    let host = localhost(server.address());
    let folder = Folder::new();
    folder.write("ca.pem", &ours.pem());
    assert_eq!(asked(&host, &folder, false).await, Err(Unavailable::Unreachable), "no certificate");
    folder.put(&others.issue(&Wanted::default()));
    assert_eq!(asked(&host, &folder, true).await, Err(Unavailable::Unreachable), "another authority");
    assert_eq!(iris.seen().persons, 0);
    let own = ours.issue(&Wanted::default());
    folder.put(&own);
    assert_eq!(asked(&host, &folder, true).await, Ok(true));
    assert_eq!(callers.all(), [Caller::Refused, Caller::Refused, Caller::With(own.serial)]);
}

#[tokio::test]
async fn new_certificates_are_used_from_the_next_connection_on_and_broken_ones_are_not() {
    let (ours, others, folder) = (Authority::new("ours"), Authority::new("others"), Folder::new());
    let recipient = Recipient::default();
    let (server, callers) = server::start(recipient.router(), &ours.issue(&Wanted::default()), Some(&ours)).await;
    let host = localhost(server.address());
    let [first, second] = [(); 2].map(|()| ours.issue(&Wanted::default()));
    folder.write("ca.pem", &ours.pem());
    folder.put(&first);
    let client = webhooks(&folder, true);
    let files = client.certificates();
    let send = async |holder: Option<&Oin>| client.post(event(&host), false, holder).await;

    send(None).await.unwrap();
    send(None).await.unwrap();
    assert_eq!(callers.all(), [Caller::With(first.serial)], "one connection for both");
    assert!(matches!(files.renew(false), Renewed::Same));

    folder.put(&second);
    assert!(matches!(files.renew(false), Renewed::Changed));
    send(None).await.unwrap();
    assert_eq!(callers.all().last(), Some(&Caller::With(second.serial)));

    // Each of these is told once, or again where somebody asks, and changes nothing.
    let broken = [
        ("cert.pem", "no certificate".to_owned(), "cert_file"),
        ("cert.pem", first.certificate.clone(), "cert_file"),
        ("key.pem", "no key".to_owned(), "key_file"),
        ("key.pem", first.key.clone(), "cert_file"),
        ("ca.pem", String::new(), "ca_file"),
    ];
    for (file, text, named) in broken {
        let good = std::fs::read_to_string(folder.path(file)).unwrap();
        folder.write(file, &text);
        let Renewed::Refused(error) = files.renew(false) else { panic!("{file}: {text}") };
        assert!(error.to_string().starts_with(named), "{error}");
        assert!(!error.to_string().contains("PRIVATE"), "{error}");
        assert!(matches!(files.renew(false), Renewed::Same), "told already");
        assert!(matches!(files.renew(true), Renewed::Refused(_)));
        send(None).await.unwrap();
        assert_eq!(callers.all().last(), Some(&Caller::With(second.serial)));
        folder.write(file, &good);
        assert!(matches!(files.renew(false), Renewed::Changed));
    }
    std::fs::remove_file(folder.path("key.pem")).unwrap();
    assert!(matches!(files.renew(false), Renewed::Refused(_)));
    assert!(matches!(files.renew(false), Renewed::Same));
    folder.put(&second);
    assert!(matches!(files.renew(false), Renewed::Changed));

    // Whom we trust changes as well, for connections that there were before and for those to the holder of an OIN.
    send(None).await.unwrap();
    folder.write("ca.pem", &others.pem());
    assert!(matches!(files.renew(false), Renewed::Changed));
    assert_eq!(send(None).await, Err(Failure::Mistrusted));
    assert_eq!(send(Some(&oin(OWN))).await, Err(Failure::Mistrusted));
}

#[tokio::test]
async fn a_peer_that_knows_only_old_tls_gets_nothing() {
    let (ours, folder) = (Authority::new("ours"), Folder::new());
    folder.write("ca.pem", &ours.pem());
    folder.put(&ours.issue(&Wanted::default()));
    let client = webhooks(&folder, false);
    for (version, is_good) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new("openssl")
            .args(["s_server", version, "-cipher", "DEFAULT:@SECLEVEL=0", "-accept", &port.to_string()])
            .arg("-cert")
            .arg(folder.path("cert.pem"))
            .arg("-key")
            .arg(folder.path("key.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
        while said.next_line().await.unwrap().unwrap() != "ACCEPT" {}
        // It shows what it is told, and never answers.
        let told = async { while !said.next_line().await.unwrap().unwrap().contains("POST /ketenpoort") {} };
        tokio::select! {
            () = told => assert!(is_good, "{version}"),
            sent = client.post(event(&format!("localhost:{port}")), false, None) => {
                assert_eq!((sent, is_good), (Err(Failure::Unreachable), false), "{version}");
            }
        }
    }
}
