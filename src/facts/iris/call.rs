//! One call to IRIS over HTTP: bounded in time and size, tried again where that can help, watched by the
//! breaker. Hands bytes to whoever reads them; knows no schema.

use super::breaker::Breaker;
use crate::breaker::Change;
use crate::code::Code;
use crate::config;
use crate::facts::Unavailable;
use crate::httpclient;
use crate::personal::Personal;
use crate::telemetry;
use crate::tls::Outgoing;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, Url};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{Instrument, Span};

/// Doubles with each attempt, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Connection {
    http: httpclient::Client,
    base: Url,
    authorization: Option<HeaderValue>,
    attempts: NonZeroU32,
    breaker: Breaker,
}

pub struct Call<'a> {
    pub path: &'static str,
    pub body: Personal<Vec<u8>>,
    pub answer_limit: usize,
    /// `traceparent` of each message that the call is for.
    pub traces: Vec<&'a str>,
}

impl Connection {
    pub fn new(config: &config::Iris) -> Result<Connection, super::Error> {
        let authorization = match &config.token {
            Some(token) => {
                let mut value =
                    HeaderValue::try_from(format!("Bearer {}", token.reveal())).map_err(|_| super::Error::Token)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let (connect_timeout, timeout) = (config.connect_timeout.get(), config.timeout.get());
        Ok(Connection {
            http: httpclient::Client::new("iris", config.certificates(), connect_timeout, timeout)?,
            base: Url::parse(&config.base_url).map_err(|_| super::Error::BaseUrl)?,
            authorization,
            attempts: config.attempts,
            breaker: Breaker::new(config.breaker_failures, config.breaker_open.get()),
        })
    }

    pub fn certificates(&self) -> Arc<Outgoing> {
        self.http.certificates()
    }

    pub fn breaker_open(&self) -> bool {
        self.breaker.is_open(Instant::now())
    }

    /// `read` is part of the call: an answer that makes no sense is a failure of IRIS like any other.
    pub async fn make<T>(
        &self,
        call: Call<'_>,
        read: impl FnOnce(&[u8]) -> Result<T, Unavailable>,
    ) -> Result<T, Unavailable> {
        let Some(permit) = self.breaker.admit(Instant::now()) else { return Err(Unavailable::BreakerOpen) };
        let answer = match self.with_retries(&call).await {
            Ok(bytes) => read(bytes.reveal_personal_data()),
            Err(unavailable) => Err(unavailable),
        };
        let change = match &answer {
            Ok(_) => permit.succeeded(),
            Err(_) => permit.failed(Instant::now()),
        };
        match (change, &answer) {
            (Change::Closed, _) => tracing::info!("IRIS answers again"),
            (Change::Opened, Err(error)) => {
                let code = if *error == Unavailable::Invalid { Code::FactsInvalid } else { Code::FactsUnavailable };
                tracing::warn!(%code, %error, "IRIS failed several times in a row and is left alone for a while");
            }
            _ => {}
        }
        answer
    }

    async fn with_retries(&self, call: &Call<'_>) -> Result<Personal<Vec<u8>>, Unavailable> {
        let mut failed = 0;
        loop {
            match self.attempt(call, failed).await {
                Err(unavailable) if is_passing(&unavailable) && failed + 1 < self.attempts.get() => failed += 1,
                ended => return ended,
            }
            tokio::time::sleep(pause(failed)).await;
        }
    }

    async fn attempt(&self, call: &Call<'_>, failed_before: u32) -> Result<Personal<Vec<u8>>, Unavailable> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), call.path));
        let span = telemetry::request_span(&url, failed_before, &call.traces);
        let asked = async {
            let answer = self.ask(call, url).await;
            if let Err(unavailable) = &answer {
                telemetry::note_failure(error_type(unavailable));
            }
            answer
        };
        asked.instrument(span).await
    }

    async fn ask(&self, call: &Call<'_>, url: Url) -> Result<Personal<Vec<u8>>, Unavailable> {
        let body = call.body.reveal_personal_data().clone();
        let http = self.http.to_anyone().map_err(|_| Unavailable::Mistrusted)?;
        let mut request = http.post(url).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let traceparent = telemetry::current_traceparent();
        if let Some(traceparent) = traceparent.as_deref().or(call.traces.first().copied()) {
            request = request.header("traceparent", traceparent);
        }
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        Span::current().record("http.response.status_code", status.as_u16());
        if !status.is_success() {
            return Err(Unavailable::Status(status.as_u16()));
        }
        read_at_most(response, call.answer_limit).await
    }
}

async fn read_at_most(mut response: Response, limit: usize) -> Result<Personal<Vec<u8>>, Unavailable> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(Unavailable::Invalid);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Personal::new(body))
}

fn unreachable(error: &reqwest::Error) -> Unavailable {
    match error.is_timeout() {
        true => Unavailable::Timeout,
        false if httpclient::is_mistrust(error) => Unavailable::Mistrusted,
        false => Unavailable::Unreachable,
    }
}

/// May the next attempt go better?
fn is_passing(unavailable: &Unavailable) -> bool {
    match unavailable {
        Unavailable::Unreachable | Unavailable::Timeout => true,
        Unavailable::Status(status) => matches!(status, 429 | 500..),
        Unavailable::Invalid | Unavailable::Mistrusted | Unavailable::BreakerOpen => false,
    }
}

/// With jitter, so that many gateways do not come back at the same moment.
fn pause(failed: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << (failed - 1).min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// As the semantic conventions want it.
fn error_type(unavailable: &Unavailable) -> String {
    match unavailable {
        Unavailable::Status(status) => status.to_string(),
        Unavailable::Timeout => "timeout".to_owned(),
        Unavailable::Unreachable => "unreachable".to_owned(),
        Unavailable::Mistrusted => "mistrusted".to_owned(),
        Unavailable::Invalid => "invalid".to_owned(),
        Unavailable::BreakerOpen => "breaker_open".to_owned(),
    }
}
