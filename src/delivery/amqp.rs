//! Publishing to queues: persistent, mandatory, confirmed; a return is matched to its own message.

mod lane;

use super::Failure;
use crate::broker;
use crate::personal::Personal;
use lane::{Job, Lane};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const PURPOSE: &str = "delivery";
/// A connection that was just lost may be back before anybody notices.
pub const CONNECTION_WAIT: Duration = Duration::from_secs(2);
const PERSISTENT: u8 = 2;

/// One event to send, in binary mode.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The queue, or the URL of a webhook.
    pub to: String,
    pub body: Personal<Vec<u8>>,
    pub content_type: String,
    /// Same on every attempt.
    pub message_id: String,
    /// CloudEvents context attributes without prefix.
    pub attributes: Vec<(&'static str, String)>,
    pub traceparent: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub broker: broker::Options,
    /// How many channels carry messages, each many at a time.
    pub channels: NonZeroUsize,
    /// How long a message may be on its way to the broker's confirmation.
    pub confirm_timeout: Duration,
}

/// A handle on the connection that everything is published over; cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: Options,
    /// None while there is no connection.
    lanes: watch::Sender<Option<Arc<[Lane]>>>,
    connected: watch::Sender<bool>,
    next: AtomicUsize,
    stopped: CancellationToken,
    tasks: TaskTracker,
}

impl Publisher {
    /// Connects in the background, and again whenever the connection is lost.
    pub fn start(options: Options) -> Publisher {
        let shared = Arc::new(Shared {
            options,
            lanes: watch::Sender::new(None),
            connected: watch::Sender::new(false),
            next: AtomicUsize::new(0),
            stopped: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(shared.clone().keep_connected());
        shared.tasks.close();
        Publisher(shared)
    }

    /// Whether there is a connection.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.0.connected.subscribe()
    }

    /// Returns once the broker has the message safely in its queue, or why not.
    pub async fn publish(&self, publication: Publication) -> Result<(), Failure> {
        let lanes = self.lanes().await.ok_or(Failure::Disconnected)?;
        let lane = &lanes[self.0.next.fetch_add(1, Ordering::Relaxed) % lanes.len()];
        let (job, answer) = Job::new(publication);
        let carried = async {
            lane.jobs.send(job).await.map_err(|_| Failure::Disconnected)?;
            // A lane that ends without an answer ended with its connection.
            answer.await.unwrap_or(Err(Failure::Disconnected))
        };
        let Ok(answered) = timeout(self.0.options.confirm_timeout, carried).await else {
            lane.overdue.notify_one();
            return Err(Failure::Unconfirmed);
        };
        answered
    }

    async fn lanes(&self) -> Option<Arc<[Lane]>> {
        let mut lanes = self.0.lanes.subscribe();
        let there = timeout(CONNECTION_WAIT, lanes.wait_for(Option::is_some)).await.ok()?.ok()?;
        there.clone()
    }

    /// Ends the connection. What is on its way then is left unconfirmed.
    pub async fn close(&self) {
        self.0.stopped.cancel();
        self.0.tasks.wait().await;
    }
}

impl Shared {
    async fn keep_connected(self: Arc<Self>) {
        let mut supply = broker::Supply::new(self.options.broker.clone(), PURPOSE);
        while let Some(connection) = supply.next(&self.stopped).await {
            let mut carrying = JoinSet::new();
            let lanes = (0..self.options.channels.get()).map(|_| {
                let (lane, carried) = Lane::new(connection.clone());
                carrying.spawn(carried);
                lane
            });
            self.lanes.send_replace(Some(lanes.collect()));
            self.connected.send_replace(true);
            tokio::select! {
                () = broker::lost(&connection, PURPOSE) => {}
                () = self.stopped.cancelled() => {}
            }
            self.connected.send_replace(false);
            self.lanes.send_replace(None);
            carrying.shutdown().await;
            broker::close(&connection).await;
        }
    }
}

fn properties(publication: &Publication) -> BasicProperties {
    let attribute =
        |name: &str| publication.attributes.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
    let mut headers = FieldTable::default();
    let mut header = |name: String, value: &str| {
        if let Ok(name) = ShortString::try_new(name) {
            headers.insert(name, AMQPValue::LongString(LongString::from(value)));
        }
    };
    for (name, value) in &publication.attributes {
        // In binary mode this one is the content type of the message itself.
        if *name != "datacontenttype" {
            header(format!("cloudEvents_{name}"), value);
        }
    }
    if let Some(traceparent) = &publication.traceparent {
        header("traceparent".to_owned(), traceparent);
    }
    let mut properties = BasicProperties::default()
        .with_app_id("ketenpoort".into())
        .with_delivery_mode(PERSISTENT)
        .with_timestamp(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default())
        .with_headers(headers);
    let short = |text: &str| ShortString::try_new(text).ok();
    if let Some(message_id) = short(&publication.message_id) {
        properties = properties.with_message_id(message_id);
    }
    if let Some(content_type) = short(&publication.content_type) {
        properties = properties.with_content_type(content_type);
    }
    if let Some(kind) = attribute("type").and_then(short) {
        properties = properties.with_type(kind);
    }
    if let Some(correlation_id) = attribute("correlationid").and_then(short) {
        properties = properties.with_correlation_id(correlation_id);
    }
    properties
}

#[cfg(test)]
mod tests;
