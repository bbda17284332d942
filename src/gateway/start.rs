//! Start and stop. Nothing is connected before everything that can be wrong in files was looked at; nothing is
//! dropped at the stop that was not safe.

use super::Gateway;
use super::certificates::{self, Certificates, Watched};
use super::recipients::Room;
use super::reload::{self, Read, Reloaded};
use super::series::Series;
use crate::code::Code;
use crate::config::{self, Config};
use crate::console::{self, Console};
use crate::core::Pipeline;
use crate::delivery::Retries;
use crate::delivery::amqp::Publisher;
use crate::delivery::gate::{self, Gates};
use crate::disclosurelog::append::Progress;
use crate::facts::iris;
use crate::http::{self, Probe, Ready};
use crate::intake::Intake;
use crate::ledger::{self, Ledger};
use crate::receipt::keys::{KeySet, Signer};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::push::Push;
use crate::tls::{self, Files, Incoming};
use crate::{broker, delivery, httpclient, intake};
use jiff::Timestamp;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Messages between the broker's consumers and the corridor; the broker holds the rest.
const INBOUND: usize = 64;
const GAUGES: Duration = Duration::from_secs(5);
/// To the collector of metrics.
const CONNECT: Duration = Duration::from_secs(5);

/// Everything that was read from files, and found to be good.
#[derive(Debug)]
pub struct Loaded {
    pub config: Arc<Config>,
    pub pipeline: Pipeline,
    /// Reads the same files once more.
    pub read: Read,
    pub iris_schemas: iris::Schemas,
    pub signer: Signer,
    /// The keys that verify receipts: the signer's own, and those that sign no longer.
    pub keys: KeySet,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the ledger cannot be opened: {0}")]
    Ledger(#[from] ledger::Error),
    #[error("signals: {0}")]
    Signals(std::io::Error),
    #[error("{0}")]
    Iris(#[from] iris::Error),
    #[error("delivery: {0}")]
    Webhooks(#[from] httpclient::Error),
    #[error("broker: {0}")]
    Broker(#[from] broker::Error),
    #[error("http {0}")]
    Tls(#[from] tls::Error),
    #[error("http listen {0}: {1}")]
    Listen(String, std::io::Error),
    #[error("console: {0}")]
    Console(#[from] console::Error),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Runs until it is told to stop, then drains.
pub async fn run(loaded: Loaded) -> Result<(), Error> {
    let Loaded { config, pipeline, read, iris_schemas, signer, keys } = loaded;
    let stop = stop_on_signal()?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
    let iris = iris::Client::new(&config.iris, iris_schemas)?;
    let webhooks = delivery::webhook::Client::new(&config.delivery)?;
    let incoming = incoming(&config.http)?;
    let broker = broker::Options::new(&config.broker)?;
    for (section, key) in config.in_the_clear() {
        tracing::warn!(section, key, "personal data leaves this machine without TLS, as the configuration allows");
    }
    let metrics = Metrics::new()?;
    reload::tell(&metrics, &pipeline);
    let ledger = Ledger::open(config.ledger.place.clone(), config.ledger.max_batch, config.ledger.keys.clone()).await?;
    let committed = metrics.clone();
    ledger.watch_commits(move |writes, took| committed.committed(writes, took));
    let listener = TcpListener::bind(&config.http.listen).await;
    let listener = listener.map_err(|error| Error::Listen(config.http.listen.clone(), error))?;
    let mut watched: Vec<Arc<dyn Watched>> = vec![iris.certificates(), webhooks.certificates()];
    watched.extend(broker.certificates().map(|kept| kept as Arc<dyn Watched>));
    watched.extend(incoming.clone().map(|kept| kept as Arc<dyn Watched>));
    let certificates = Arc::new(Certificates::new(watched, metrics.clone()));
    let publisher = Publisher::start(delivery::amqp::Options {
        broker: broker.clone(),
        channels: config.broker.publish_channels,
        confirm_timeout: config.broker.confirm_timeout.get(),
    });

    let gateway = Arc::new(Gateway {
        pipeline: RwLock::new(Arc::new(pipeline)),
        ledger: ledger.clone(),
        signer,
        issuer: config.receipts.issuer.clone(),
        iris: iris.clone(),
        publisher: publisher.clone(),
        webhooks,
        retries: Retries {
            first_delay: config.delivery.first_delay.get(),
            max_delay: config.delivery.max_delay.get(),
            max_attempts: config.delivery.max_attempts,
            recheck: config.delivery.recheck.get(),
        },
        gates: Gates::new(gate::Options {
            failures: config.delivery.breaker_failures,
            rest: config.delivery.breaker_open.get(),
            at_once: config.delivery.webhook_in_flight.min(config.delivery.queue_in_flight),
            drain_rate: config.delivery.drain_rate,
        }),
        room: Room {
            webhooks: config.delivery.webhook_in_flight,
            queues: config.delivery.queue_in_flight,
            max_age: config.delivery.max_age.get(),
        },
        metrics: metrics.clone(),
        in_flight: Arc::new(Semaphore::new(config.limits.in_flight.get())),
        memory: intake::Room::of(config.limits.in_flight_bytes.0),
        resumed: Arc::new(Semaphore::new(config.limits.in_flight.get().div_ceil(2))),
        due: Notify::new(),
        lists: Semaphore::new(1),
        receipts_in_flight: Arc::new(Semaphore::new(config.limits.in_flight.get())),
        series: Series::default(),
        log: Arc::new(Progress::new(Timestamp::now())),
        stopping: stop.clone(),
        tasks: TaskTracker::new(),
    });
    // What waits for a recipient goes first: that is known before anything new comes in.
    gateway.look_after_recipients().await;
    let (sender, inbound) = mpsc::channel(INBOUND);
    let options = intake::Options {
        broker,
        prefetch: config.broker.prefetch,
        room: gateway.memory.clone(),
        max_body: config.limits.max_body.0.max(config.limits.max_list_body.0),
        rate: config.limits.partner_rate,
    };
    let mut intake = Intake::start(options.clone(), gateway.pipeline().directory.clone(), &sender);
    let progress = Arc::new(RwLock::new(intake.progress()));
    let state = {
        let (consuming, writes, ledger) = (progress.clone(), ledger.clone(), ledger.clone());
        let (log, in_time) = (ledger.clone(), gateway.log.clone());
        let ready = Arc::new(Ready {
            intake: Probe::new(move || consuming.read().is_ok_and(|progress| progress.borrow().consumers > 0)),
            publish: publisher.connected().into(),
            ledger: Probe::new(move || writes.is_writable()),
            iris: Probe::new(move || !iris.breaker_open()),
            log: Probe::new(move || in_time.is_in_time(Timestamp::now())),
            stopping: stop.clone(),
        });
        push_metrics(&config.telemetry, &metrics, ready.clone(), &gateway.tasks, &stop)?;
        let console = console(&gateway, &config, &ready, &keys)?;
        let find = move |id| {
            let ledger = ledger.clone();
            async move { ledger.receipt(id).await }
        };
        let state = http::State::new(ready, metrics, keys, find, move |question| {
            let log = log.clone();
            async move { super::log::answer(&log, question).await }
        });
        let of = gateway.clone();
        let party_of = move |oin: &_| of.pipeline().directory.by_oin(oin).map(|party| party.id.clone());
        let state = state.with_processing(gateway.processing_log(&config.processing_log));
        let state = state.with_evaluator(gateway.evaluator(&config.authzen));
        let state = match console {
            Some(console) => state.with_console(console.router()),
            None => state,
        };
        match &config.http.client_ca_file {
            Some(_) => state.with_access(http::Access::new(&config.receipts.issuer, party_of)),
            None => state,
        }
    };
    let http_stop = CancellationToken::new();
    let answering = tokio::spawn(http::serve(listener, incoming, state, http_stop.clone()));
    let taking_in = tokio::spawn(gateway.clone().take_in(inbound));
    let sweeping = tokio::spawn(gateway.clone().sweep());
    let gauges = tokio::spawn(gateway.clone().measure());
    let forgetting = tokio::spawn(gateway.clone().forget(config.clone()));
    let logging = tokio::spawn(gateway.clone().extend_log(config.ledger.keys.clone()));
    let (looking, stopping) = (certificates.clone(), stop.clone());
    tokio::spawn(async move { looking.keep_looking(certificates::LOOK, stopping).await });
    tracing::info!(http = config.http.listen, ledger = %config.ledger.place, "the gateway runs");

    while let Some(asked) = stop.run_until_cancelled(hangup.recv()).await {
        if asked.is_some() {
            certificates.look(true);
        }
        if asked.is_none() || gateway.reload(&read) != Reloaded::WithPartners {
            continue;
        }
        // Another directory has other queues. What was taken in before can still be acknowledged where it came from.
        intake.cancel().await;
        let next = Intake::start(options.clone(), gateway.pipeline().directory.clone(), &sender);
        if let Ok(mut progress) = progress.write() {
            *progress = next.progress();
        }
        let (before, grace) = (std::mem::replace(&mut intake, next), config.stop.grace.get());
        let stop = stop.clone();
        gateway.tasks.spawn(async move {
            let _ = stop.run_until_cancelled(tokio::time::sleep(grace)).await;
            before.close().await;
        });
    }
    drop(sender);
    tracing::info!("stopping: nothing more is taken in, what is in flight ends");
    intake.cancel().await;
    let drained = async {
        let _ = tokio::join!(taking_in, sweeping, gauges, forgetting, logging);
        gateway.tasks.close();
        gateway.tasks.wait().await;
    };
    if tokio::time::timeout(config.stop.grace.get(), drained).await.is_err() {
        tracing::warn!("not everything ended within the grace period; it goes on from the ledger at the next start");
    }
    intake.close().await;
    publisher.close().await;
    ledger.close().await;
    http_stop.cancel();
    let _ = answering.await;
    tracing::info!("stopped");
    Ok(())
}

/// Where the configuration says who may come in.
fn console(
    gateway: &Arc<Gateway>,
    config: &Arc<Config>,
    ready: &Arc<Ready>,
    keys: &KeySet,
) -> Result<Option<Arc<Console>>, Error> {
    if !config.console.is_on() {
        return Ok(None);
    }
    let console = Console::open(console::Parts {
        house: gateway.clone(),
        ledger: gateway.ledger.clone(),
        ready: ready.clone(),
        metrics: gateway.metrics.clone(),
        keys: keys.clone(),
        config: config.clone(),
    })?;
    gateway.tasks.spawn(console.clone().run(gateway.stopping.clone()));
    Ok(Some(console))
}

/// Where the gateway itself answers over HTTPS.
fn incoming(config: &config::Http) -> Result<Option<Arc<Incoming>>, tls::Error> {
    if config.cert_file.is_none() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Incoming::incoming("http", config.certificates())?)))
}

/// Where a collector is configured; in any case they can be scraped.
fn push_metrics(
    telemetry: &config::Telemetry,
    metrics: &Metrics,
    ready: Arc<Ready>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let Some(endpoint) = telemetry.otlp_endpoint.clone() else { return Ok(()) };
    let client = httpclient::Client::new("telemetry", Files::default(), CONNECT, CONNECT)?.to_anyone()?;
    let (push, seen) = (Push { endpoint, every: telemetry.metrics_interval.get(), client }, metrics.clone());
    tasks.spawn(push.run(metrics.clone(), move || ready.measure(&seen), stop.clone()));
    Ok(())
}

/// Cancelled when the system or a person says stop.
fn stop_on_signal() -> Result<CancellationToken, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(stop)
}

impl Gateway {
    /// What waits and how long, for the metrics, until the gateway stops.
    async fn measure(self: Arc<Self>) {
        let mut interval = tokio::time::interval(GAUGES);
        let room = self.in_flight.available_permits();
        let mut was_in_time = true;
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = self.stopping.cancelled() => return,
            }
            let now = Timestamp::now();
            let is_in_time = self.log.is_in_time(now);
            if was_in_time && !is_in_time {
                tracing::warn!(code = %Code::LogBehind, "the disclosure log is behind");
            }
            was_in_time = is_in_time;
            self.metrics.log(self.log.size(), self.log.behind(now));
            self.metrics.in_flight(room.saturating_sub(self.in_flight.available_permits()));
            self.metrics.in_flight_bytes(self.memory.taken());
            if let Ok(waiting) = self.ledger.waiting().await {
                self.metrics.waiting(&waiting, Timestamp::now());
            }
            self.look_after_recipients().await;
        }
    }
}
