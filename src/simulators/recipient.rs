//! A stand-in for a partner that takes messages over a webhook: CloudEvents in binary and structured mode, one
//! of each idempotency key. It can be told to fail, and tells what it took.

use crate::personal::Personal;
use crate::validation::json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use percent_encoding::percent_decode_str;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Cheap to clone; every clone is the same recipient. It listens to every path, so that one can be many.
#[derive(Clone, Debug, Default)]
pub struct Recipient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    taken: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// Per path; under the empty one for all that are not there.
    behaviours: HashMap<String, (Behaviour, Option<u32>)>,
    received: Vec<Received>,
    by_id: HashMap<String, usize>,
}

/// One event that was taken.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub structured: bool,
    /// Context attributes, decoded, `datacontenttype` among them.
    pub attributes: BTreeMap<String, String>,
    pub data: Personal<Vec<u8>>,
    pub traceparent: Option<String>,
    /// How often the same event was sent.
    pub offered: u32,
}

#[derive(Clone, Debug, Default)]
pub enum Behaviour {
    #[default]
    Take,
    Answer {
        status: StatusCode,
        retry_after: Option<String>,
    },
    /// Takes it, and its answer gets lost on the way.
    TakeUnheard,
    /// Never answers.
    Hang,
}

impl Default for Inner {
    fn default() -> Self {
        Inner { state: Mutex::default(), taken: watch::Sender::new(0) }
    }
}

impl Recipient {
    pub fn router(&self) -> Router {
        Router::new().fallback_service(post(take).with_state(self.clone()))
    }

    /// How to behave, and for how many requests; for good where `times` is `None`.
    pub fn behave(&self, behaviour: Behaviour, times: Option<u32>) {
        self.behave_at("", behaviour, times);
    }

    /// The same for one path only, which then does not follow [`Recipient::behave`] any more.
    pub fn behave_at(&self, path: &str, behaviour: Behaviour, times: Option<u32>) {
        self.state().behaviours.insert(path.to_owned(), (behaviour, times));
    }

    /// In the order in which they came in.
    pub fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// Waits until so many different events were taken.
    pub async fn received_at_least(&self, count: usize) -> Vec<Received> {
        // Fails only when the sender is gone, and we hold it ourselves.
        let _ = self.0.taken.subscribe().wait_for(|taken| *taken >= count).await;
        self.received()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_behaviour(&self, path: &str) -> Behaviour {
        let behaviours = &mut self.state().behaviours;
        let place = if behaviours.contains_key(path) { path } else { "" };
        match behaviours.get_mut(place) {
            None | Some((_, Some(0))) => Behaviour::Take,
            Some((behaviour, times)) => {
                *times = times.map(|times| times - 1);
                behaviour.clone()
            }
        }
    }

    /// Takes an event once: again the same is fine, another one under the same key is not.
    fn store(&self, event: Received) -> StatusCode {
        let State { received, by_id, .. } = &mut *self.state();
        let index = *by_id.entry(event.attributes["id"].clone()).or_insert(received.len());
        match received.get_mut(index) {
            None => {
                received.push(event);
                self.0.taken.send_replace(received.len());
                StatusCode::NO_CONTENT
            }
            Some(known) if known.data == event.data => {
                known.offered += 1;
                StatusCode::OK
            }
            Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

async fn take(Extract(recipient): Extract<Recipient>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let behaviour = recipient.take_behaviour(uri.path());
    match behaviour {
        Behaviour::Take | Behaviour::TakeUnheard => {}
        Behaviour::Answer { status, retry_after: None } => return status.into_response(),
        Behaviour::Answer { status, retry_after: Some(after) } => {
            return (status, [(header::RETRY_AFTER, after)]).into_response();
        }
        Behaviour::Hang => std::future::pending().await,
    }
    match read(uri.path(), &headers, &body) {
        Ok(event) => match (recipient.store(event), behaviour) {
            (_, Behaviour::TakeUnheard) => StatusCode::GATEWAY_TIMEOUT.into_response(),
            (status, _) => status.into_response(),
        },
        Err(hint) => (StatusCode::BAD_REQUEST, hint).into_response(),
    }
}

fn read(path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Received, &'static str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = text("content-type").ok_or("there is no content-type")?;
    let structured = content_type.starts_with("application/cloudevents+json");
    let (attributes, data) =
        if structured { of_structured(body)? } else { (of_binary(headers, content_type)?, body.to_vec()) };
    for name in ["id", "source", "type"] {
        if attributes.get(name).is_none_or(String::is_empty) {
            return Err("id, source and type are required");
        }
    }
    if attributes.get("specversion").map(String::as_str) != Some("1.0") {
        return Err("specversion must be 1.0");
    }
    if text("idempotency-key") != attributes.get("id").map(String::as_str) {
        return Err("idempotency-key must be the id of the event");
    }
    let traceparent = text("traceparent").map(str::to_owned);
    Ok(Received { path: path.to_owned(), structured, attributes, data: Personal::new(data), traceparent, offered: 1 })
}

fn of_binary(headers: &HeaderMap, content_type: &str) -> Result<BTreeMap<String, String>, &'static str> {
    let mut attributes = BTreeMap::from([("datacontenttype".to_owned(), content_type.to_owned())]);
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
        let value = value.to_str().map_err(|_| "attributes are printable ASCII")?;
        let value = percent_decode_str(value).decode_utf8().map_err(|_| "attributes are UTF-8")?;
        attributes.insert(name.to_owned(), value.into_owned());
    }
    Ok(attributes)
}

fn of_structured(body: &[u8]) -> Result<(BTreeMap<String, String>, Vec<u8>), &'static str> {
    use base64::Engine;
    let members = json::top_level(body).map_err(|_| "not a JSON object")?;
    let mut attributes: BTreeMap<String, String> = BTreeMap::new();
    let mut data = Vec::new();
    for (name, value) in &members {
        let text = || serde_json::from_str::<String>(value.get()).map_err(|_| "attributes are text");
        match name.as_str() {
            "data" => data = value.get().as_bytes().to_vec(),
            "data_base64" => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text()?);
                data = bytes.map_err(|_| "data_base64 is not base64")?;
            }
            _ => {
                attributes.insert(name.clone(), text()?);
            }
        }
    }
    let is_json = attributes.get("datacontenttype").is_none_or(|kind| kind.contains("json"));
    // What is not JSON stands in a JSON string.
    if let (false, Ok(text)) = (is_json, serde_json::from_slice::<String>(&data)) {
        data = text.into_bytes();
    }
    Ok((attributes, data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulators::Server;

    #[tokio::test]
    async fn an_event_that_breaks_the_rules_is_not_taken() {
        let recipient = Recipient::default();
        let server = Server::start("127.0.0.1:0".parse().unwrap(), recipient.router()).await.unwrap();
        let good = [
            ("content-type", "application/json"),
            ("idempotency-key", "1"),
            ("ce-id", "1"),
            ("ce-source", "urn:x"),
            ("ce-type", "t"),
            ("ce-specversion", "1.0"),
        ];
        let table = [
            (None, StatusCode::NO_CONTENT),
            (Some(("idempotency-key", "2")), StatusCode::BAD_REQUEST),
            (Some(("idempotency-key", "")), StatusCode::BAD_REQUEST),
            (Some(("ce-specversion", "0.3")), StatusCode::BAD_REQUEST),
            (Some(("ce-type", "")), StatusCode::BAD_REQUEST),
            (Some(("ce-source", "%FF")), StatusCode::BAD_REQUEST),
            (Some(("content-type", "application/cloudevents+json")), StatusCode::BAD_REQUEST),
        ];
        for (changed, expected) in table {
            let headers = good.iter().map(|&(name, value)| match changed {
                Some((other, value)) if other == name => (name, value),
                _ => (name, value),
            });
            let request = reqwest::Client::new().post(format!("http://{}/", server.address())).body("{}");
            let request = headers.fold(request, |request, (name, value)| request.header(name, value));
            assert_eq!(request.send().await.unwrap().status(), expected, "{changed:?}");
        }
        assert_eq!(recipient.received_at_least(1).await.len(), 1);
    }
}
