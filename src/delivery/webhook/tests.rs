use super::*;
use crate::personal::Personal;
use crate::simulators::Server;
use crate::simulators::recipient::{Behaviour, Received, Recipient};
use axum::http::StatusCode;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn client(settings: &str) -> Client {
    Client::new(&toml::from_str(settings).unwrap()).unwrap()
}

fn publication(to: String, content_type: &str, body: &[u8]) -> Publication {
    let attributes = [
        ("id", "5f0c7c1e-0000-8000-8000-000000000001"),
        ("source", "urn:nld:oin:00000099000900000000:systeem:ketenpoort"),
        ("specversion", "1.0"),
        ("type", "nl.ketenpoort.detentie.verlof-aangekondigd.v1"),
        ("correlationid", "één \"100%\" zaak/1"),
    ];
    Publication {
        to,
        body: Personal::new(body.to_vec()),
        content_type: content_type.to_owned(),
        message_id: attributes[0].1.to_owned(),
        attributes: attributes.map(|(name, value)| (name, value.to_owned())).to_vec(),
        traceparent: Some(TRACEPARENT.to_owned()),
    }
}

struct Partner {
    recipient: Recipient,
    server: Server,
}

impl Partner {
    async fn start() -> Partner {
        let recipient = Recipient::default();
        let server = Server::start(ANYWHERE, recipient.router()).await.unwrap();
        Partner { recipient, server }
    }
    fn url(&self) -> String {
        format!("http://{}/ketenpoort", self.server.address())
    }
    fn only(&self) -> Received {
        let [received] = self.recipient.received().try_into().unwrap();
        received
    }
}

#[tokio::test]
async fn an_event_arrives_as_it_was_sent_in_both_modes() {
    let json = "{ \"gegevens\": {\"b\": 1.50, \"a\": \"é\"} }".as_bytes();
    let xml = "<?xml version=\"1.0\"?>\n<Verlof naam=\"é\"/>".as_bytes();
    let table = [
        ("application/json", json),
        ("application/cloudevents-data+json; charset=utf-8", json),
        ("application/xml", xml),
        ("application/octet-stream", &[0, 159, 146, 150][..]),
        ("application/json", b"no json"),
    ];
    for (content_type, body) in table {
        for structured in [false, true] {
            let partner = Partner::start().await;
            let publication = publication(partner.url(), content_type, body);
            client("").post(publication.clone(), structured, None).await.unwrap();
            let received = partner.only();
            let name = format!("{content_type}, structured: {structured}");
            assert_eq!(received.data.reveal_personal_data(), body, "{name}");
            let expected = publication.attributes.into_iter().chain([("datacontenttype", content_type.to_owned())]);
            let expected: BTreeMap<_, _> = expected.map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(received.attributes, expected, "{name}");
            assert_eq!((received.structured, received.path.as_str()), (structured, "/ketenpoort"), "{name}");
            assert_eq!(received.traceparent.as_deref(), Some(TRACEPARENT), "{name}");
        }
    }
}

#[test]
fn headers_hold_printable_ascii_only() {
    let request = reqwest::Client::new().post("http://127.0.0.1/");
    let request = in_binary_mode(request, publication(String::new(), "application/json", b"{}")).build().unwrap();
    assert_eq!(request.headers()["ce-correlationid"], "%C3%A9%C3%A9n%20%22100%25%22%20zaak/1");
    assert_eq!(request.headers()["ce-source"], "urn:nld:oin:00000099000900000000:systeem:ketenpoort");
}

#[test]
fn structured_data_is_json_text_or_base64() {
    let table: [(&str, &[u8], &str, &str); 4] = [
        ("application/json", b"{\"a\": 1.50}", "data", "{\"a\": 1.50}"),
        ("application/xml", b"<a/>", "data", "\"<a/>\""),
        ("application/octet-stream", &[255], "data_base64", "\"/w==\""),
        ("application/json", b"no json", "data_base64", "\"bm8ganNvbg==\""),
    ];
    for (content_type, body, name, value) in table {
        let (got, raw) = data(&publication(String::new(), content_type, body)).unwrap();
        assert_eq!((got, raw.get()), (name, value), "{content_type}");
    }
}

#[tokio::test]
async fn again_is_the_same_event_under_the_same_key() {
    let partner = Partner::start().await;
    let (client, event) = (client(""), publication(partner.url(), "application/json", b"{}"));
    client.post(event.clone(), false, None).await.unwrap();
    client.post(event, false, None).await.unwrap();
    assert_eq!(partner.only().offered, 2);
    let other = publication(partner.url(), "application/json", b"[]");
    let refused = Failure::Status { status: 422, retry_after: None };
    assert_eq!(client.post(other, false, None).await, Err(refused), "other content under the same key");
}

#[tokio::test]
async fn only_a_status_of_success_is_delivered() {
    let partner = Partner::start().await;
    let table = [
        (200, None, None),
        (202, None, None),
        (302, None, Some(None)),
        (400, None, Some(None)),
        (410, None, Some(None)),
        (429, Some("7"), Some(Some(Duration::from_secs(7)))),
        (503, Some("86400"), Some(Some(LONGEST_RETRY_AFTER))),
        (503, Some("soon"), Some(None)),
    ];
    for (code, asked, failed) in table {
        let status = StatusCode::from_u16(code).unwrap();
        partner.recipient.behave(Behaviour::Answer { status, retry_after: asked.map(str::to_owned) }, None);
        let sent = client("").post(publication(partner.url(), "application/json", b"{}"), true, None).await;
        let expected = failed.map(|retry_after| Failure::Status { status: code, retry_after });
        assert_eq!(sent.err(), expected, "{code} {asked:?}");
    }
    assert!(partner.recipient.received().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    use axum::response::Redirect;
    let partner = Partner::start().await;
    let elsewhere = partner.url();
    let router = axum::Router::new()
        .fallback_service(axum::routing::post(move || async move { Redirect::temporary(&elsewhere) }));
    let server = Server::start(ANYWHERE, router).await.unwrap();
    let event = publication(format!("http://{}/", server.address()), "application/json", b"{}");
    let refused = Failure::Status { status: 307, retry_after: None };
    assert_eq!(client("").post(event, false, None).await, Err(refused));
    assert!(partner.recipient.received().is_empty());
}

#[tokio::test]
async fn silence_and_absence_are_told_apart() {
    let partner = Partner::start().await;
    partner.recipient.behave(Behaviour::Hang, None);
    let event = publication(partner.url(), "application/json", b"{}");
    assert_eq!(client("webhook_timeout = \"50ms\"").post(event, false, None).await, Err(Failure::Timeout));

    let nobody = TcpListener::bind(ANYWHERE).await.unwrap().local_addr().unwrap();
    let event = publication(format!("http://{nobody}/"), "application/json", b"{}");
    assert_eq!(client("").post(event, false, None).await, Err(Failure::Unreachable));
}

#[test]
fn retry_after_is_in_seconds_or_a_date_and_at_most_an_hour() {
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    let table = [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("99999", Some(3600)),
        ("Tue, 24 Nov 2026 12:05:00 GMT", Some(300)),
        ("Tue, 24 Nov 2026 11:00:00 GMT", Some(0)),
        ("Wed, 25 Nov 2026 12:00:00 GMT", Some(3600)),
        ("-5", None),
        ("tomorrow", None),
        ("", None),
    ];
    for (text, seconds) in table {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}

/// The recipient behind TLS, with a certificate that its own authority signed.
struct SecurePartner {
    recipient: Recipient,
    server: Server,
    authority: tempfile::NamedTempFile,
}

impl SecurePartner {
    async fn start() -> SecurePartner {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), certificate.pem()).unwrap();
        let issuer = rcgen::Issuer::new(params, key);

        let own_key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let own = params.signed_by(&own_key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let own_key = own_key.serialize_der().try_into().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![own.der().clone()], own_key).unwrap();

        let recipient = Recipient::default();
        let listener = TcpListener::bind(ANYWHERE).await.unwrap();
        let listener = Secure { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
        let server = Server::on(listener, recipient.router()).unwrap();
        SecurePartner { recipient, server, authority }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/ketenpoort", self.server.address().port())
    }

    fn trusted(&self) -> Client {
        client(&format!("ca_file = {:?}", self.authority.path()))
    }
}

struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[tokio::test]
async fn only_who_the_ca_file_vouches_for_gets_an_event() {
    let partner = SecurePartner::start().await;
    let stranger = SecurePartner::start().await;
    let event = |host| publication(partner.url(host), "application/json", b"{}");
    let refused = Err(Failure::Mistrusted);
    assert_eq!(stranger.trusted().post(event("localhost"), false, None).await, refused, "another authority");
    assert_eq!(client("").post(event("localhost"), false, None).await, refused, "the authorities of the system");
    assert_eq!(partner.trusted().post(event("127.0.0.1"), false, None).await, refused, "another name");
    assert!(partner.recipient.received().is_empty());
    partner.trusted().post(event("localhost"), false, None).await.unwrap();
    assert_eq!(partner.recipient.received().len(), 1);
}

#[test]
fn a_ca_file_that_holds_no_certificate_is_told() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for (path, hint) in [(empty.path(), "holds no certificate"), ("/nowhere.pem".as_ref(), "No such file")] {
        let config = toml::from_str(&format!("ca_file = {path:?}")).unwrap();
        let error = Client::new(&config).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
}
