//! A server over TLS that may ask who comes, and remembers whom it agreed with.

use crate::authority::{Authority, Issued};
use axum::Router;
use axum::serve::Listener;
use ketenpoort::simulators::Server;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// For each connection, the serial number of the certificate that came with it; or that there was no agreement.
#[derive(Clone, Debug, Default)]
pub struct Callers(Arc<Mutex<Vec<Caller>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    Nobody,
    With(u64),
    Refused,
}

impl Callers {
    pub fn all(&self) -> Vec<Caller> {
        self.0.lock().unwrap().clone()
    }
}

/// Where there is an authority, nobody gets in without a certificate that it signed.
pub async fn start(router: Router, own: &Issued, clients: Option<&Authority>) -> (Server, Callers) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(vec![own.der.clone()], own.private_key()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let callers = Callers::default();
    let listener = Secure { listener, acceptor: TlsAcceptor::from(Arc::new(config)), callers: callers.clone() };
    (Server::on(listener, router).unwrap(), callers)
}

struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    callers: Callers,
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = self.listener.accept().await.unwrap();
            let accepted = self.acceptor.accept(stream).await;
            let caller = match &accepted {
                Ok(stream) => caller(stream),
                Err(_) => Caller::Refused,
            };
            self.callers.0.lock().unwrap().push(caller);
            if let Ok(stream) = accepted {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn caller(stream: &TlsStream<TcpStream>) -> Caller {
    let Some([own, ..]) = stream.get_ref().1.peer_certificates() else { return Caller::Nobody };
    let (_, certificate) = x509_parser::parse_x509_certificate(own).unwrap();
    let digits = certificate.serial.to_string();
    Caller::With(digits.parse().unwrap())
}
