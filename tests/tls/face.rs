//! The gateway's own HTTP face over TLS: what is a partner's own is for it alone, and its certificate says who it is.

use crate::authority::{Authority, Folder, Wanted, localhost};
use crate::outgoing::{OTHERS, OWN};
use ketenpoort::http::{self, Access, Probe, Ready, State};
use ketenpoort::httpclient;
use ketenpoort::outcome::Outcome;
use ketenpoort::party::{Oin, PartyId, Role};
use ketenpoort::receipt::keys::{KeySet, Signer};
use ketenpoort::receipt::{Decision, MessageRef, Receipt, Recipient};
use ketenpoort::telemetry::metrics::Metrics;
use ketenpoort::tls::{Files, Incoming, Renewed};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

const GATEWAY: &str = "00000099000900000000";
const STRANGER: &str = "00000099000000000014";
const ID: Uuid = Uuid::from_bytes([7; 16]);

struct Face {
    address: SocketAddr,
    files: Folder,
    tls: Arc<Incoming>,
    authority: Authority,
    _stop: DropGuard,
}

/// With one receipt: sent by `OWN`, for `OTHERS`.
async fn face(partners_come: bool) -> Face {
    let (authority, files) = (Authority::new("face"), Folder::new());
    files.put(&authority.issue(&Wanted::default()));
    let ca = partners_come.then(|| files.write("ca.pem", &authority.pem()));
    let (cert, key) = (Some(files.path("cert.pem")), Some(files.path("key.pem")));
    let tls = Arc::new(Incoming::incoming("http", Files { cert, key, ca }).unwrap());

    let signing = files.path("receipts.pem");
    Signer::generate(&signing).unwrap();
    let signer = Signer::read(&signing).unwrap();
    let receipt = signer.sign(&receipt());
    let up = || Probe::new(|| true);
    let (intake, publish, ledger, iris) = (up(), up(), up(), up());
    let ready = Arc::new(Ready { intake, publish, ledger, iris, stopping: CancellationToken::new() });
    let keys = KeySet { keys: vec![signer.key()] };
    let state = State::new(ready, Metrics::new().unwrap(), keys, move |id| {
        let found = (id == ID).then(|| receipt.clone());
        async move { Ok(found) }
    });
    let issuer = format!("urn:nld:oin:{GATEWAY}:systeem:ketenpoort");
    let party_of = |oin: &Oin| (oin.as_str() == OTHERS).then(|| PartyId::new("gemeente:0363"));
    let state = if partners_come { state.with_access(Access::new(&issuer, party_of)) } else { state };

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    tokio::spawn(http::serve(listener, Some(tls.clone()), state, stop.clone()));
    Face { address, files, tls, authority, _stop: stop.drop_guard() }
}

fn receipt() -> Receipt {
    Receipt {
        id: ID,
        issuer: "test".to_owned(),
        message: MessageRef {
            r#type: None,
            source: Some(format!("urn:nld:oin:{OWN}:systeem:zaken")),
            id: Some("1".to_owned()),
            digest: String::new(),
            signature: None,
        },
        outcome: Outcome::Delivered,
        reason: None,
        recipient: Some(Recipient { party: PartyId::new("gemeente:0363"), role: Role::new("gemeente-college") }),
        decision: Decision::default(),
        forwarded_digest: None,
        policy_version: String::new(),
        mapping_version: String::new(),
        time: jiff::Timestamp::UNIX_EPOCH,
        trace_id: None,
    }
}

impl Face {
    /// Statuses of paths, for who comes with this certificate; none where there is no agreement.
    async fn statuses(&self, signed_by: &Authority, own: Option<&Wanted<'_>>, paths: &[&str]) -> Vec<Option<u16>> {
        let folder = Folder::new();
        folder.write("ca.pem", &self.authority.pem());
        let mut files = Files { ca: Some(folder.path("ca.pem")), ..Files::default() };
        if let Some(own) = own {
            folder.put(&signed_by.issue(own));
            (files.cert, files.key) = (Some(folder.path("cert.pem")), Some(folder.path("key.pem")));
        }
        let within = Duration::from_secs(10);
        let client = httpclient::Client::new("test", files, within, within).unwrap().to_anyone().unwrap();
        let mut statuses = Vec::new();
        for path in paths {
            let answer = client.get(format!("https://{}{path}", localhost(self.address))).send().await;
            statuses.push(answer.ok().map(|answer| answer.status().as_u16()));
        }
        statuses
    }

    async fn shown(&self) -> CertificateDer<'static> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = Arc::new(config.unwrap().with_root_certificates(roots).with_no_client_auth());
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(config);
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

fn holder(oin: &str) -> Option<Wanted<'_>> {
    Some(Wanted { oin: Some(oin), ..Wanted::default() })
}

#[tokio::test]
async fn a_receipt_is_for_its_sender_and_its_recipient() {
    let face = face(true).await;
    let receipt = format!("/v1/receipts/{ID}");
    let paths =
        [receipt.as_str(), "/metrics", "/health/live", "/health/ready", "/.well-known/jwks.json", "/v1/openapi.json"];
    let open = [200, 200, 200, 200];
    for (name, own, receipt, metrics) in [
        ("the sender", holder(OWN), 200, 403),
        ("the recipient", holder(OTHERS), 200, 403),
        ("another partner", holder(STRANGER), 404, 403),
        ("the gateway's own", holder(GATEWAY), 404, 200),
        ("a certificate without an OIN", Some(Wanted { name: OWN, ..Wanted::default() }), 404, 403),
        ("no certificate", None, 404, 403),
    ] {
        let statuses = face.statuses(&face.authority, own.as_ref(), &paths).await;
        let expected: Vec<_> = [receipt, metrics].into_iter().chain(open).map(Some).collect();
        assert_eq!(statuses, expected, "{name}");
    }

    let expired = Wanted { until: (2021, 1, 1), ..holder(OWN).unwrap() };
    let early = Wanted { from: (2098, 1, 1), ..holder(OWN).unwrap() };
    assert_eq!(face.statuses(&face.authority, Some(&expired), &paths[..1]).await, [None], "expired");
    assert_eq!(face.statuses(&face.authority, Some(&early), &paths[..1]).await, [None], "not yet valid");
    let others = Authority::new("others");
    assert_eq!(face.statuses(&others, holder(OWN).as_ref(), &paths[..1]).await, [None], "another authority");
}

#[tokio::test]
async fn where_no_partners_come_it_tells_what_it_always_told() {
    let face = face(false).await;
    let paths = [format!("/v1/receipts/{ID}"), "/metrics".to_owned()];
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    assert_eq!(face.statuses(&face.authority, None, &paths).await, [Some(200), Some(200)]);
}

#[tokio::test]
async fn who_comes_next_is_shown_the_new_certificate() {
    let face = face(true).await;
    let before = face.shown().await;
    assert!(matches!(face.tls.renew(false), Renewed::Same));
    let new = face.authority.issue(&Wanted::default());
    face.files.put(&new);
    assert_eq!(face.shown().await, before, "not until somebody looks");
    assert!(matches!(face.tls.renew(false), Renewed::Changed));
    assert_eq!(face.shown().await, new.der);
    face.files.write("cert.pem", "broken");
    assert!(matches!(face.tls.renew(false), Renewed::Refused(_)));
    assert_eq!(face.shown().await, new.der);
    face.files.put(&new);

    // And so it is with those whom it lets in.
    let (receipt, others) = (format!("/v1/receipts/{ID}"), Authority::new("others"));
    face.files.write("ca.pem", &others.pem());
    assert!(matches!(face.tls.renew(false), Renewed::Changed));
    assert_eq!(face.statuses(&face.authority, holder(OWN).as_ref(), &[&receipt]).await, [None]);
    assert_eq!(face.statuses(&others, holder(OWN).as_ref(), &[&receipt]).await, [Some(200)]);
}

#[tokio::test]
async fn who_knows_only_old_tls_is_not_answered() {
    let face = face(false).await;
    for (version, is_good) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let status = Command::new("openssl")
            .args(["s_client", version, "-cipher", "DEFAULT:@SECLEVEL=0", "-connect", &face.address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .unwrap();
        assert_eq!(status.success(), is_good, "{version}");
    }
}
