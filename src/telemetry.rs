//! Telemetry: traces, logs and metrics. Names, codes and sizes only; nothing in here is given content.

pub mod collector;
mod log;
pub mod metrics;

use crate::envelope::RawMessage;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::collections::BTreeMap;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Debug)]
pub struct Options {
    pub otlp_endpoint: Option<String>,
    pub sample_ratio: f64,
    pub log_filter: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("telemetry log_filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("telemetry otlp_endpoint: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("telemetry was started before in this process")]
    Twice,
}

/// Other libraries log payloads and SQL below this level, so they are capped whatever the filter says.
const CAPPED: [&str; 8] = ["lapin", "hyper", "reqwest", "sqlx", "rustls", "h2", "opentelemetry", "cedar_policy"];

/// Keeps traces flowing; dropped, or better shut down, at the very end.
#[derive(Debug)]
pub struct Guard {
    provider: SdkTracerProvider,
}

pub fn init(options: &Options) -> Result<Guard, Error> {
    let mut filter = EnvFilter::try_new(&options.log_filter)?;
    for target in CAPPED {
        filter = filter.add_directive(format!("{target}=warn").parse()?);
    }
    let resource = opentelemetry_sdk::Resource::builder()
        .with_service_name("ketenpoort")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
        .build();
    let mut provider = SdkTracerProvider::builder().with_resource(resource);
    provider = match &options.otlp_endpoint {
        Some(endpoint) => {
            let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
            let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
            let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.sample_ratio)));
            provider.with_batch_exporter(exporter).with_sampler(sampler)
        }
        // Receipts and logs name a trace id also where no trace is recorded.
        None => provider.with_sampler(Sampler::AlwaysOff),
    };
    let provider = provider.build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("ketenpoort"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    let logs = tracing_subscriber::fmt::layer().event_format(log::Json).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(spans).with(logs).try_init().map_err(|_| Error::Twice)?;
    Ok(Guard { provider })
}

impl Guard {
    /// Sends what was not sent yet. Blocks: call it where blocking is allowed.
    pub fn shutdown(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// The span of one message, a child of the sender's own where it sent a `traceparent`.
pub fn message_span(queue: &str, raw: &RawMessage) -> Span {
    let size = raw.body.reveal_personal_data().len();
    let span = tracing::info_span!(
        "process",
        otel.name = format!("process {queue}"),
        otel.kind = "consumer",
        messaging.system = "rabbitmq",
        messaging.operation.type = "process",
        messaging.operation.name = "process",
        messaging.destination.name = queue,
        messaging.message.body.size = size,
    );
    let parent = parent_of(&raw.headers);
    if parent.span().span_context().is_valid() {
        // Refused only where there is no OpenTelemetry layer, and then there is nothing to link to.
        let _ = span.set_parent(parent);
    }
    span
}

/// One room of the corridor.
pub fn stage_span(stage: &'static str) -> Span {
    tracing::info_span!("stage", otel.name = stage)
}

/// On the way to a recipient or back to the sender; within the current span, or else within the message's own.
pub fn publish_span(destination: &str, traceparent: Option<&str>) -> Span {
    let span = tracing::info_span!(
        "send",
        otel.name = format!("send {destination}"),
        otel.kind = "producer",
        messaging.system = "rabbitmq",
        messaging.operation.type = "send",
        messaging.operation.name = "send",
        messaging.destination.name = destination,
    );
    if !Context::current().span().span_context().is_valid() {
        continue_trace(&span, traceparent);
    }
    span
}

/// A later attempt, in the trace of the message it belongs to.
pub fn resumed_span(traceparent: Option<&str>) -> Span {
    let span = tracing::info_span!("resume", otel.name = "resume", otel.kind = "internal");
    continue_trace(&span, traceparent);
    span
}

fn continue_trace(span: &Span, traceparent: Option<&str>) {
    if let Some(traceparent) = traceparent {
        let headers = BTreeMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
        let _ = span.set_parent(parent_of(&headers));
    }
}

/// W3C `traceparent` of the current span.
pub fn current_traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

fn parent_of(headers: &BTreeMap<String, String>) -> Context {
    struct Headers<'a>(&'a BTreeMap<String, String>);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            let prefixed = ["", "cloudEvents_", "cloudEvents:", "ce-"];
            prefixed.iter().find_map(|prefix| self.0.get(&format!("{prefix}{key}"))).map(String::as_str)
        }
        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(String::as_str).collect()
        }
    }
    TraceContextPropagator::new().extract(&Headers(headers))
}
