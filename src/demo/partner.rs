//! Partner: a party as it is on the outside, with its own broker user and its own queues. It knows what the
//! broker tells it and nothing of the gateway's insides.

use super::Error;
use crate::personal::Personal;
use crate::receipt::Receipt;
use crate::receipt::keys::{self, KeySet};
use base64::Engine;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What a partner was told when it was connected: how to get in, and what is its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Access {
    pub url: String,
    pub user: String,
    /// Of the events that it sends.
    pub source: String,
    /// The exchange for them.
    pub inbound: String,
    pub receipts: String,
    /// Absent where it takes its messages another way.
    pub out: Option<String>,
}

pub struct Partner {
    pub access: Access,
    connection: Arc<Connection>,
    channel: Channel,
}

impl std::fmt::Debug for Partner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partner").field("user", &self.access.user).finish_non_exhaustive()
    }
}

/// An event to be sent. What is not given is as an honest partner would have it.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub kind: String,
    pub sequence: Option<i64>,
    pub data: Personal<Vec<u8>>,
    pub structured: bool,
    pub traceparent: Option<String>,
    pub user_id: UserId,
    pub source: Option<String>,
    pub content_type: Option<String>,
    /// Put over the headers that follow from the above.
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
pub enum UserId {
    #[default]
    Own,
    Absent,
    Other(String),
}

impl Event {
    /// XML goes in binary mode, JSON in structured mode.
    pub fn new(kind: &str, data: Vec<u8>) -> Event {
        Event {
            id: Uuid::new_v4().to_string(),
            kind: kind.to_owned(),
            sequence: None,
            structured: !is_xml(&data),
            data: Personal::new(data),
            traceparent: None,
            user_id: UserId::Own,
            source: None,
            content_type: None,
            headers: Vec::new(),
        }
    }

    fn attributes(&self, access: &Access) -> Vec<(&'static str, String)> {
        let mut attributes = vec![
            ("specversion", "1.0".to_owned()),
            ("id", self.id.clone()),
            ("source", self.source.clone().unwrap_or_else(|| access.source.clone())),
            ("type", self.kind.clone()),
            ("time", jiff::Timestamp::now().to_string()),
        ];
        attributes.extend(self.sequence.map(|sequence| ("sequence", sequence.to_string())));
        attributes
    }

    fn data_content_type(&self) -> &'static str {
        if is_xml(self.data.reveal_personal_data()) { "application/xml" } else { "application/json" }
    }

    fn properties(&self, access: &Access) -> BasicProperties {
        let mut headers = BTreeMap::new();
        if !self.structured {
            headers.extend(self.attributes(access).into_iter().map(|(name, v)| (format!("cloudEvents_{name}"), v)));
        }
        headers.extend(self.traceparent.iter().map(|traceparent| ("traceparent".to_owned(), traceparent.clone())));
        headers.extend(self.headers.iter().cloned());
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        let usual = if self.structured { "application/cloudevents+json" } else { self.data_content_type() };
        let properties = BasicProperties::default()
            .with_content_type(self.content_type.as_deref().unwrap_or(usual).into())
            .with_message_id(self.id.as_str().into())
            .with_delivery_mode(2)
            .with_headers(table);
        match &self.user_id {
            UserId::Own => properties.with_user_id(access.user.as_str().into()),
            UserId::Other(user) => properties.with_user_id(user.as_str().into()),
            UserId::Absent => properties,
        }
    }

    fn payload(&self, access: &Access) -> Vec<u8> {
        let data = self.data.reveal_personal_data();
        if !self.structured {
            return data.clone();
        }
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let mut attributes = self.attributes(access);
        attributes.push(("datacontenttype", self.data_content_type().to_owned()));
        let context: Vec<String> =
            attributes.iter().map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
        // JSON goes in as it is, byte for byte: also when it is not what it should be.
        let data = match std::str::from_utf8(data) {
            Ok(json) if !is_xml(json.as_bytes()) => format!("\"data\":{json}"),
            _ => format!("\"data_base64\":\"{}\"", base64::engine::general_purpose::STANDARD.encode(data)),
        };
        format!("{{{},{data}}}", context.join(",")).into_bytes()
    }
}

fn is_xml(data: &[u8]) -> bool {
    data.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

impl Partner {
    pub async fn connect(access: Access) -> Result<Partner, Error> {
        let on = access.user.clone();
        answered(&on, Partner::try_connect(access)).await?
    }

    async fn try_connect(access: Access) -> Result<Partner, Error> {
        let name = ConnectionProperties::default().with_connection_name(access.user.as_str().into());
        let connection = Connection::connect(&access.url, name).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Partner { access, connection: Arc::new(connection), channel })
    }

    /// Sends to the partner's own exchange; done once the broker has it in a queue.
    pub async fn publish(&self, event: &Event) -> Result<(), Error> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let exchange = self.access.inbound.as_str().into();
        let (payload, properties) = (event.payload(&self.access), event.properties(&self.access));
        let sent = self.channel.basic_publish(exchange, "".into(), options, &payload, properties).await?;
        match sent.await? {
            Confirmation::Ack(None) => Ok(()),
            _ => Err(Error::NotTaken(self.access.inbound.clone())),
        }
    }

    /// What the gateway sends to this partner.
    pub async fn inbox(&self) -> Result<Inbox, Error> {
        let queue = self.access.out.as_deref().ok_or_else(|| Error::NoQueue(self.access.user.clone()))?;
        self.consume(queue).await
    }

    /// What became of the messages that this partner sent.
    pub async fn receipts(&self) -> Result<Inbox, Error> {
        self.consume(&self.access.receipts).await
    }

    async fn consume(&self, queue: &str) -> Result<Inbox, Error> {
        let channel = self.connection.create_channel().await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = channel.basic_consume(queue.into(), "".into(), options, arguments).await?;
        Ok(Inbox { queue: queue.to_owned(), consumer, _connection: self.connection.clone() })
    }
}

/// A queue that is read, one message at a time.
#[derive(Debug)]
pub struct Inbox {
    queue: String,
    consumer: lapin::Consumer,
    _connection: Arc<Connection>,
}

impl Inbox {
    /// The next message, acknowledged. The deadline is for when there is none.
    pub async fn next(&mut self, within: Duration) -> Result<Received, Error> {
        let next = tokio::time::timeout(within, self.take()).await;
        next.unwrap_or_else(|_| Err(Error::Nothing { on: self.queue.clone(), within }))
    }

    /// The next message, however long it takes.
    pub async fn take(&mut self) -> Result<Received, Error> {
        let delivery = self.consumer.next().await.ok_or_else(|| Error::Closed(self.queue.clone()))??;
        answered(&self.queue, delivery.ack(BasicAckOptions::default())).await??;
        Ok(Received::from(delivery))
    }
}

/// A connection that is lost at the wrong moment answers never.
async fn answered<T>(on: &str, answer: impl Future<Output = T>) -> Result<T, Error> {
    let late = |_| Error::Nothing { on: on.to_owned(), within: ANSWER_WITHIN };
    tokio::time::timeout(ANSWER_WITHIN, answer).await.map_err(late)
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::LongInt(number) => Some(number.to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        AMQPValue::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// A message as it came off a partner's queue.
#[derive(Clone, Debug)]
pub struct Received {
    pub properties: BasicProperties,
    pub headers: BTreeMap<String, String>,
    pub body: Personal<Vec<u8>>,
    pub redelivered: bool,
}

impl From<Delivery> for Received {
    fn from(delivery: Delivery) -> Received {
        let headers = delivery.properties.headers().iter().flat_map(FieldTable::inner);
        Received {
            headers: headers.filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect(),
            body: Personal::new(delivery.data),
            redelivered: delivery.redelivered,
            properties: delivery.properties,
        }
    }
}

impl Received {
    /// A CloudEvents attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.headers.get(&format!("cloudEvents_{name}")).map(String::as_str)
    }

    pub fn content_type(&self) -> &str {
        self.properties.content_type().as_ref().map_or("", |content_type| content_type.as_str())
    }

    /// The receipt that this is, verified, and its very text.
    pub fn receipt(&self, keys: &KeySet) -> Result<(Receipt, String), Error> {
        let jws = String::from_utf8_lossy(self.body.reveal_personal_data()).into_owned();
        Ok((keys::verify(&jws, keys)?, jws))
    }
}
