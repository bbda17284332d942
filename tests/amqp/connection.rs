//! Ways to a broker that are not plain and not good.

use crate::vhost::{GATEWAY, Vhost, broker_at, soon};
use ketenpoort::broker::{Error, Options, Supply};
use ketenpoort::config::{self, Secret};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

async fn connects(options: Options) -> bool {
    let stop = CancellationToken::new();
    let connection = soon(Supply::new(options, "test").next(&stop)).await.unwrap();
    connection.status().connected()
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// TLS in front of the broker, as somebody whom the issuer vouches for. Answers the address, and then for each that
/// comes whether they agreed.
async fn over_tls(
    broker: String,
    issuer: &CertifiedIssuer<'static, KeyPair>,
) -> (String, mpsc::UnboundedReceiver<bool>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, agreed) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let accepted = acceptor.accept(stream).await;
            let _ = tell.send(accepted.is_ok());
            let Ok(mut stream) = accepted else { continue };
            let mut broker = TcpStream::connect(&broker).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut broker).await });
        }
    });
    (format!("localhost:{port}"), agreed)
}

fn trusting(url: String, ca_file: &Path) -> Result<Options, Error> {
    let urls = vec![Secret::new(url)];
    Options::new(&config::Broker { urls, ca_file: Some(ca_file.to_owned()), ..config::Broker::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_only_whom_the_ca_file_vouches_for() {
    let vhost = Vhost::new("tls");
    let (ours, others) = (issuer(), issuer());
    let file = |pem: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        file
    };
    let url = |address: &str| vhost.url(GATEWAY).replace("amqp:", "amqps:").replace(&vhost.node.address, address);
    let (address, mut agreed) = over_tls(vhost.node.address.clone(), &ours).await;
    let proxy = url(&address);
    assert!(connects(trusting(proxy.clone(), file(&ours.pem()).path()).unwrap()).await);
    assert_eq!(soon(agreed.recv()).await, Some(true));

    let mistrusting = trusting(proxy.clone(), file(&others.pem()).path()).unwrap();
    let trying = tokio::spawn(connects(mistrusting));
    for _ in 0..2 {
        assert_eq!(soon(agreed.recv()).await, Some(false), "refused, and tried again");
    }
    trying.abort();

    for wrong in [file("no certificate").path(), Path::new("/there/is/none.pem")] {
        let error = trusting(proxy.clone(), wrong).unwrap_err().to_string();
        assert!(error.starts_with(&format!("broker ca_file {}: ", wrong.display())), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_says_nothing_is_hung_up_on() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = broker_at([format!("amqp://{}", silent.local_addr().unwrap())]);
    let stop = CancellationToken::new();
    let trying = tokio::spawn(async move { Supply::new(options, "test").next(&stop).await.is_some() });
    let (mut stream, _) = soon(silent.accept()).await.unwrap();
    let mut said = Vec::new();
    soon(stream.read_to_end(&mut said)).await.unwrap();
    assert_eq!(said, b"AMQP\0\0\x09\x01");
    // And tried again.
    soon(silent.accept()).await.unwrap();
    trying.abort();
}

#[test]
fn what_is_no_url_is_told_without_its_password() {
    let url = |url: &str| {
        let urls = vec![Secret::new("amqp://127.0.0.1"), Secret::new(url)];
        Options::new(&config::Broker { urls, ..config::Broker::default() }).map(|options| format!("{options:?}"))
    };
    for wrong in ["amqp:geheim", "amqp://u:geheim@host:port/", "http://u:geheim@host/"] {
        let error = url(wrong).unwrap_err().to_string();
        assert_eq!(error, "broker url 2 is not of the form amqp://user:password@host:port/vhost");
    }
    assert_eq!(url("amqps://u:geheim@broker.example/keten").unwrap(), r#"["127.0.0.1:5672", "broker.example:5671"]"#);
    assert_eq!(url("amqp://u:geheim@[::1]:5673").unwrap(), r#"["127.0.0.1:5672", "::1:5673"]"#);
}
