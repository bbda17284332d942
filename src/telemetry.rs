//! Telemetry: traces, logs and metrics. Names, codes and sizes only; nothing in here is given content.

pub mod collector;
mod log;
pub mod metrics;
pub mod push;
mod spans;

use crate::config;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
pub use spans::{
    caller, current_traceparent, delivery_span, link, message_span, note_failure, note_outcome, note_type,
    publish_span, request_span, resumed_span, stage_span,
};
use std::sync::LazyLock;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

const EXPORT_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("telemetry: log_filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("telemetry: otlp_endpoint: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("telemetry was started before in this process")]
    Twice,
}

/// Keeps traces flowing; shut it down at the very end.
#[derive(Debug)]
pub struct Guard {
    provider: SdkTracerProvider,
}

/// Logs to standard error and traces to the configured endpoint, for this whole process.
pub fn init(settings: &config::Telemetry) -> Result<Guard, Error> {
    let (dispatch, guard) = subscriber(settings, std::io::stderr)?;
    dispatch.try_init().map_err(|_| Error::Twice)?;
    Ok(guard)
}

fn subscriber<W>(settings: &config::Telemetry, logs_to: W) -> Result<(Dispatch, Guard), Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let provider = provider(settings)?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("ketenpoort"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|about| about.is_span() && is_ours(about)));
    // Other libraries log payloads and SQL below `warn`: they are capped there whatever the settings say. lapin warns
    // of each returned message with all that is in it, and of nothing that we do not log ourselves: it is silent.
    let quiet = |about: &Metadata<'_>| *about.level() <= LevelFilter::WARN && !is_of("lapin", about);
    let capped = filter_fn(move |about| about.is_event() && (is_ours(about) || quiet(about)));
    let logs = tracing_subscriber::fmt::layer()
        .event_format(log::Json)
        .with_writer(logs_to)
        .with_filter(EnvFilter::try_new(&settings.log_filter)?.and(capped));
    Ok((tracing_subscriber::registry().with(spans).with(logs).into(), Guard { provider }))
}

fn provider(settings: &config::Telemetry) -> Result<SdkTracerProvider, Error> {
    let provider = SdkTracerProvider::builder().with_resource(resource().clone());
    let Some(endpoint) = &settings.otlp_endpoint else {
        // Receipts and logs name a trace id also where no trace is recorded.
        return Ok(provider.with_sampler(Sampler::AlwaysOff).build());
    };
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio.get())));
    // A message makes about ten spans: the default queue of 2048 would drop some in a burst.
    let batches = BatchConfigBuilder::default().with_max_queue_size(16_384).with_scheduled_delay(EXPORT_EVERY).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    Ok(provider.with_span_processor(processor).with_sampler(sampler).build())
}

/// Who sends: the same for traces and metrics, for as long as this process lives.
fn resource() -> &'static Resource {
    static RESOURCE: LazyLock<Resource> = LazyLock::new(|| {
        Resource::builder()
            .with_service_name("ketenpoort")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
            .build()
    });
    &RESOURCE
}

fn is_ours(about: &Metadata<'_>) -> bool {
    is_of("ketenpoort", about)
}

fn is_of(library: &str, about: &Metadata<'_>) -> bool {
    about.target().split("::").next() == Some(library)
}

impl Guard {
    /// Sends what was not sent yet. Blocks: call it where blocking is allowed.
    pub fn shutdown(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

#[cfg(test)]
mod tests;
