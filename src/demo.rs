//! Demo: a whole world around a gateway on one machine: broker, partners, IRIS, webhooks and a trace collector, all
//! simulated, and the gateway itself as a real process. For `ketenpoort demo` and for the tests of the whole
//! gateway; nothing of it is reachable from `run`.

mod afterwards;
pub mod bag;
mod broker;
mod dates;
mod files;
pub mod partner;
pub mod process;
pub mod show;

use crate::directory::Directory;
use crate::facts::dutch_day;
use crate::party::PartyId;
use crate::receipt::keys::{KeyError, KeySet, VerifyError};
use crate::simulators::{Server, iris, recipient};
use crate::telemetry::collector::Collector;
use partner::{Access, Partner};
use process::{Process, Program};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Options {
    /// Holds `schemas`, `policies`, `mappings` and `deploy`.
    pub root: PathBuf,
    pub partners: PathBuf,
    /// A work folder that is not there yet, or empty.
    pub home: PathBuf,
    /// The program to run.
    pub gateway: PathBuf,
    /// On the broker; no other world may have it.
    pub vhost: String,
    /// For `deploy/broker.sh`, as where another broker than the usual is wanted.
    pub broker: Vec<(String, String)>,
    /// The gateway reaches it through this port on this machine, as where something stands in between.
    pub broker_port: Option<u16>,
    /// Put over the configuration, key by key.
    pub config: String,
    /// Of the gateway.
    pub environment: Vec<(String, String)>,
    /// Where the gateway answers over HTTP; a free port where left out.
    pub port: Option<u16>,
}

impl Options {
    pub fn new(root: impl Into<PathBuf>, home: impl Into<PathBuf>, gateway: impl Into<PathBuf>) -> Options {
        let root = root.into();
        Options {
            partners: root.join("deploy/demo"),
            root,
            home: home.into(),
            gateway: gateway.into(),
            vhost: format!("ketenpoort-demo-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]),
            broker: Vec::new(),
            broker_port: None,
            config: String::new(),
            environment: Vec::new(),
            port: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}: {1}")]
    File(PathBuf, String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Findings(Vec<crate::catalogue::Finding>),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("deploy/broker.sh {0}: {1}")]
    Broker(String, String),
    #[error("the broker: {0}")]
    Amqp(#[from] lapin::Error),
    #[error("the broker did not put it in a queue: {0}")]
    NotTaken(String),
    #[error("{0} has no queue for what it is sent")]
    NoQueue(String),
    #[error("nothing on {on} within {within:?}")]
    Nothing { on: String, within: Duration },
    #[error("{0} was closed")]
    Closed(String),
    #[error("the receipt: {0}")]
    Receipt(#[from] VerifyError),
    #[error("over HTTP: {0}")]
    Http(#[from] reqwest::Error),
    #[error("the gateway: {0}; its log ends:\n{1}")]
    Gateway(String, String),
    #[error("there is no party `{0}` with a broker user")]
    NoParty(String),
    #[error("the gateway does not run")]
    NotRunning,
}

/// Everything around one gateway, and the gateway.
#[derive(Debug)]
pub struct World {
    // Dropped in this order: the gateway before what it leans on.
    process: Option<Process>,
    program: Program,
    pub iris: iris::Simulator,
    pub webhooks: recipient::Recipient,
    pub traces: Collector,
    _servers: [Server; 2],
    pub note: Note,
    pub home: PathBuf,
    /// The broker, as the gateway gets in.
    pub broker: String,
    _taken: std::fs::File,
    _made: broker::Made,
}

/// What somebody needs who wants to join a world; `world.json` in its home.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Where the gateway answers.
    pub http: String,
    pub traces: String,
    pub config: PathBuf,
    pub partners: BTreeMap<PartyId, Access>,
}

impl World {
    /// Everything is up when this returns, and the gateway takes messages.
    pub async fn start(options: &Options) -> Result<World, Error> {
        let taken = files::take_home(&options.home)?;
        let home = options.home.canonicalize()?;
        let script = broker::Script::of(&options.root, &options.broker);
        let admin = script.start().await?;

        let iris = iris::Simulator::new(people(&options.root.join("deploy/demo/iris.json"))?, None);
        let webhooks = recipient::Recipient::default();
        let servers =
            [Server::start(ANY_PORT, iris.router()).await?, Server::start(ANY_PORT, webhooks.router()).await?];
        let traces = Collector::start(ANY_PORT).await?;

        files::partners(&options.partners, &home.join("partners"), &options.vhost, servers[1].address())?;
        let directory = Directory::read(&home.join("partners")).map_err(Error::Findings)?;
        let (made, mut urls) = broker::Made::make(script, &admin, &directory, &options.vhost, &home).await?;
        if let Some(port) = options.broker_port {
            urls.gateway_through(port);
        }

        let listen = options.port.map_or_else(free_port, |port| Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))?;
        let around = files::Around {
            root: &options.root.canonicalize()?,
            broker: &urls.gateway,
            iris: servers[0].address(),
            traces: &traces.endpoint(),
            listen,
        };
        let note = Note {
            http: format!("http://{listen}"),
            traces: traces.endpoint(),
            config: files::configuration(&options.config, &home, &around)?,
            partners: urls.partners,
        };
        files::write(&home.join("world.json"), serde_json::to_string_pretty(&note).unwrap_or_default().as_bytes())?;
        let program = Program {
            binary: options.gateway.clone(),
            config: note.config.clone(),
            log: home.join("gateway.log"),
            environment: options.environment.clone(),
            http: note.http.clone(),
        };
        let process = Some(Process::start(&program).await?);
        Ok(World {
            process,
            program,
            iris,
            webhooks,
            traces,
            _servers: servers,
            note,
            home,
            broker: urls.gateway,
            _taken: taken,
            _made: made,
        })
    }

    /// As a crash.
    pub async fn kill_gateway(&mut self) -> Result<(), Error> {
        self.process.take().ok_or(Error::NotRunning)?.kill().await
    }

    /// As an operator: what it was doing is finished, and it ended well.
    pub async fn stop_gateway(&mut self) -> Result<(), Error> {
        self.process.take().ok_or(Error::NotRunning)?.stop().await
    }

    /// As an operator who changed the files. When it is done stands in the log and in the metrics.
    pub async fn reload_gateway(&self) -> Result<(), Error> {
        self.process.as_ref().ok_or(Error::NotRunning)?.signal("HUP").await
    }

    /// Of the gateway's process.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref()?.pid()
    }

    /// Returns once the gateway has ended by itself, which it should not.
    pub async fn gateway_ended(&mut self) -> Error {
        match &mut self.process {
            Some(process) => process.ended().await,
            None => Error::NotRunning,
        }
    }

    /// Again, on the same ledger.
    pub async fn start_gateway(&mut self) -> Result<(), Error> {
        self.process = Some(Process::start(&self.program).await?);
        Ok(())
    }
}

impl Note {
    pub fn read(home: &Path) -> Result<Note, Error> {
        let path = home.join("world.json");
        let wrong = |error: &dyn std::fmt::Display| Error::File(path.clone(), error.to_string());
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(&e))?;
        serde_json::from_str(&text).map_err(|e| wrong(&e))
    }

    pub async fn partner(&self, party: &str) -> Result<Partner, Error> {
        let access = self.partners.get(&PartyId::new(party)).ok_or_else(|| Error::NoParty(party.to_owned()))?;
        Partner::connect(access.clone()).await
    }

    /// The keys that the gateway publishes.
    pub async fn keys(&self) -> Result<KeySet, Error> {
        let url = format!("{}/.well-known/jwks.json", self.http);
        Ok(reqwest::get(url).await?.error_for_status()?.json().await?)
    }
}

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The gateway keeps its port when it is started again, so it cannot take any itself.
fn free_port() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind(ANY_PORT)?.local_addr()
}

fn people(file: &Path) -> Result<iris::People, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::File(file.to_owned(), error.to_string()))?;
    iris::People::read(&file.to_string_lossy(), &text, dutch_day(jiff::Timestamp::now())).map_err(Error::Findings)
}
