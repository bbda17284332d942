//! Webhooks: CloudEvents over HTTPS, in binary or structured mode. One attempt; who calls it decides on the next.

use super::Failure;
use super::amqp::Publication;
use crate::party::Oin;
use crate::tls::Outgoing;
use crate::{config, httpclient};
use base64::Engine;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// As the HTTP binding of CloudEvents says (section 3.1.3.2); what is not ASCII is always encoded.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
/// However long a recipient asks us to stay away.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: httpclient::Client,
}

impl Client {
    pub fn new(config: &config::Delivery) -> Result<Client, httpclient::Error> {
        let timeout = config.webhook_timeout.get();
        Ok(Client { http: httpclient::Client::new("webhooks", config.certificates(), timeout, timeout)? })
    }

    /// What of it is in files, to be read anew when these change.
    pub fn certificates(&self) -> Arc<Outgoing> {
        self.http.certificates()
    }

    /// Delivered once the recipient says so in its status line. Where the directory names a `holder`, nothing goes to
    /// anyone whose certificate has another OIN.
    pub async fn post(&self, publication: Publication, structured: bool, holder: Option<&Oin>) -> Result<(), Failure> {
        let http = match holder {
            Some(oin) => self.http.to_holder_of(oin),
            None => self.http.to_anyone(),
        };
        let http = http.map_err(|_| Failure::Mistrusted)?;
        let mut request = http.post(&publication.to).header("idempotency-key", &publication.message_id);
        if let Some(traceparent) = &publication.traceparent {
            request = request.header("traceparent", traceparent);
        }
        let request =
            if structured { in_structured_mode(request, &publication) } else { in_binary_mode(request, publication) };
        let response = request.send().await.map_err(|error| match error.is_timeout() {
            true => Failure::Timeout,
            false if httpclient::is_mistrust(&error) => Failure::Mistrusted,
            false => Failure::Unreachable,
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Failure::Status { status: status.as_u16(), retry_after: retry_after(response.headers(), Timestamp::now()) })
    }
}

fn in_binary_mode(mut request: RequestBuilder, publication: Publication) -> RequestBuilder {
    for (name, value) in &publication.attributes {
        request = request.header(format!("ce-{name}"), utf8_percent_encode(value, ENCODED).to_string());
    }
    request.header(CONTENT_TYPE, &publication.content_type).body(publication.body.into_personal_data())
}

fn in_structured_mode(request: RequestBuilder, publication: &Publication) -> RequestBuilder {
    let content_type = ("datacontenttype", publication.content_type.clone());
    let attributes = publication.attributes.iter().chain([&content_type]);
    let mut event: BTreeMap<&str, Box<RawValue>> =
        attributes.filter_map(|(name, value)| Some((*name, to_raw_value(value).ok()?))).collect();
    event.extend(data(publication));
    // Fails only for maps whose keys are not text.
    let body = serde_json::to_vec(&event).unwrap_or_default();
    request.header(CONTENT_TYPE, "application/cloudevents+json; charset=UTF-8").body(body)
}

/// JSON as it is, byte for byte; other text as a string; anything else in base64.
fn data(publication: &Publication) -> Option<(&'static str, Box<RawValue>)> {
    let body = publication.body.reveal_personal_data();
    let in_base64 = || {
        let text = base64::engine::general_purpose::STANDARD.encode(body);
        Some(("data_base64", to_raw_value(&text).ok()?))
    };
    match std::str::from_utf8(body) {
        Ok(text) if is_json(&publication.content_type) => match RawValue::from_string(text.to_owned()) {
            Ok(json) => Some(("data", json)),
            Err(_) => in_base64(),
        },
        Ok(text) => Some(("data", to_raw_value(text).ok()?)),
        Err(_) => in_base64(),
    }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(media_type.as_str(), "application/json" | "text/json") || media_type.ends_with("+json")
}

/// In seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        }
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
