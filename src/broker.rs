//! Broker: connections to RabbitMQ, for intake and for publishing. Knows addresses, TLS and patience; no queue and
//! no message.

use crate::backoff;
use crate::code::Code;
use crate::config;
use crate::tls::{self, Outgoing};
use futures_util::StreamExt;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::uri::{AMQPScheme, AMQPUri, SASLMechanism};
use lapin::{Connection, ConnectionProperties, Event};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// For TCP, TLS and the AMQP handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// In seconds; a silent broker is given up after two of them.
const HEARTBEAT: u16 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A connection that lasted this long was a good one: the next may come at once.
const STEADY: Duration = Duration::from_secs(20);

/// Which brokers there are, in the order in which they are tried.
#[derive(Clone)]
pub struct Options {
    brokers: Vec<Broker>,
    /// Where a URL says amqps.
    tls: Option<Arc<Outgoing>>,
}

#[derive(Clone)]
struct Broker {
    uri: AMQPUri,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    // The URL holds a password, so it is only counted.
    #[error("broker url {0} is not of the form amqp://user:password@host:port/vhost")]
    Url(usize),
    #[error("broker {0}")]
    Tls(#[from] tls::Error),
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.brokers.iter().map(Broker::address)).finish()
    }
}

impl Options {
    pub fn new(config: &config::Broker) -> Result<Options, Error> {
        let numbered = config.urls.iter().enumerate();
        let uris = numbered.map(|(index, url)| uri(url.reveal()).ok_or(Error::Url(index + 1)));
        let uris = uris.collect::<Result<Vec<AMQPUri>, _>>()?;
        if !uris.iter().any(is_over_tls) {
            return Ok(Options { brokers: uris.into_iter().map(|uri| Broker { uri }).collect(), tls: None });
        }
        let tls = Outgoing::outgoing("broker", config.certificates())?;
        let brokers = uris.into_iter().zip(&config.urls).map(|(mut uri, url)| {
            // A certificate is the login where there is no other.
            if is_over_tls(&uri) && tls.now().shows_a_certificate() && names_nobody(url.reveal()) {
                uri.query.auth_mechanism.get_or_insert(SASLMechanism::External);
            }
            Broker { uri }
        });
        Ok(Options { brokers: brokers.collect(), tls: Some(Arc::new(tls)) })
    }

    /// What of it is in files, to be read anew when these change.
    pub fn certificates(&self) -> Option<Arc<Outgoing>> {
        self.tls.clone()
    }
}

fn is_over_tls(uri: &AMQPUri) -> bool {
    uri.scheme == AMQPScheme::AMQPS
}

fn names_nobody(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| url.username().is_empty() && url.password().is_none())
}

fn uri(url: &str) -> Option<AMQPUri> {
    let mut uri: AMQPUri = url.parse().ok()?;
    // The parser takes an IPv6 address for no host at all, and then connects to localhost.
    let host = reqwest::Url::parse(url).ok()?.host_str()?.to_owned();
    uri.authority.host = host.trim_matches(['[', ']']).to_owned();
    // `amqp://host/` names a vhost without a name, which nobody has; it is meant as `amqp://host`.
    if uri.vhost.is_empty() {
        "/".clone_into(&mut uri.vhost);
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    Some(uri)
}

impl Broker {
    fn address(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

/// One connection after the other, for one purpose, with a pause between attempts that fail.
#[derive(Debug)]
pub struct Supply {
    options: Options,
    purpose: &'static str,
    failures: u32,
    connected_at: Instant,
}

impl Supply {
    pub fn new(options: Options, purpose: &'static str) -> Supply {
        Supply { options, purpose, failures: 0, connected_at: Instant::now() }
    }

    /// The next connection, however long that takes; none once stopped.
    pub async fn next(&mut self, stop: &CancellationToken) -> Option<Arc<Connection>> {
        stop.run_until_cancelled(self.connect()).await
    }

    async fn connect(&mut self) -> Arc<Connection> {
        if self.connected_at.elapsed() > STEADY {
            self.failures = 0;
        }
        loop {
            if self.failures > 0 {
                tokio::time::sleep(pause(self.failures)).await;
            }
            // Counted as a failure until it has lasted.
            self.failures = self.failures.saturating_add(1);
            for broker in &self.options.brokers {
                match open(broker, self.options.tls.as_deref(), self.purpose).await {
                    Ok(connection) => {
                        tracing::info!(broker = broker.address(), purpose = self.purpose, "connected to the broker");
                        self.connected_at = Instant::now();
                        return Arc::new(connection);
                    }
                    Err(error) => {
                        let (broker, purpose, code) = (broker.address(), self.purpose, Code::BrokerUnavailable);
                        tracing::warn!(broker, purpose, %code, %error, "the broker cannot be reached");
                    }
                }
            }
        }
    }
}

/// Before something on a broker is tried again.
pub fn pause(failures: u32) -> Duration {
    backoff::delay(FIRST_PAUSE, LONGEST_PAUSE, failures)
}

async fn open(broker: &Broker, tls: Option<&Outgoing>, purpose: &str) -> lapin::Result<Connection> {
    let socket = Arc::new(OnceLock::new());
    // As the files are now: the next connection may show another certificate.
    let tls = tls.filter(|_| is_over_tls(&broker.uri)).map(|tls| RustlsConnector::from(tls.now().config()));
    let ours = socket.clone();
    let name = format!("ketenpoort {purpose}");
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let opening = Connection::connector(
        broker.uri.clone(),
        lapin::runtime::default_runtime()?,
        async move |uri, runtime| {
            let address = (uri.authority.host.clone(), uri.authority.port);
            let connecting = AsyncTcpStream::connect(&runtime, runtime.to_socket_addrs(address));
            let stream = timeout(CONNECT_TIMEOUT, connecting).await.map_err(io::Error::from)??;
            if let AsyncTcpStream::Plain(plain) = &stream {
                let _ = ours.set(TcpStream::from(plain.get_ref().as_fd().try_clone_to_owned()?));
            }
            match &tls {
                None => Ok(stream),
                Some(tls) => Ok(stream.into_rustls(tls, &uri.authority.host).await?),
            }
        },
        properties,
    );
    match timeout(CONNECT_TIMEOUT, opening).await {
        Ok(opened) => opened,
        Err(elapsed) => {
            // A broker that accepts and then says nothing would otherwise keep lapin's thread for ever.
            if let Some(socket) = socket.get() {
                let _ = socket.shutdown(Shutdown::Both);
            }
            Err(io::Error::from(elapsed).into())
        }
    }
}

/// Returns once the connection is gone.
pub async fn lost(connection: &Connection, purpose: &'static str) {
    // Not every end of a connection is an event.
    const LOOK: Duration = Duration::from_secs(5);
    let mut events = connection.events_listener();
    let mut last = None;
    while connection.status().connected() {
        match timeout(LOOK, events.next()).await {
            Ok(Some(Event::Error(error))) => last = Some(error),
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => break,
        }
    }
    let (code, error) = (Code::BrokerUnavailable, last.map(tracing::field::display));
    tracing::warn!(purpose, %code, error, "the connection to the broker is lost");
}

/// Says goodbye, unless the broker does not listen.
pub async fn close(connection: &Connection) {
    if connection.status().connected() {
        let _ = timeout(CLOSE_TIMEOUT, connection.close(200, "OK".into())).await;
    }
}
