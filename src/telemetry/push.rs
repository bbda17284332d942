//! The metrics over OTLP, for collectors that are not scraping: the same families, at a steady pace. Cumulative, so a
//! push that is lost is made good by the next.

use super::metrics::{Declared, Metrics};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus::proto::{Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prost::Message;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

const TIMEOUT: Duration = Duration::from_secs(10);
const CUMULATIVE: i32 = otlp::AggregationTemporality::Cumulative as i32;

/// Where they go, and how often.
#[derive(Debug)]
pub struct Push {
    pub endpoint: String,
    pub every: Duration,
    pub client: reqwest::Client,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the collector cannot be reached")]
    Unreachable,
    #[error("the collector answered {0}")]
    Refused(u16),
}

impl Push {
    /// Until `stop`, and then once more. `look` brings the gauges up to date.
    pub async fn run(self, metrics: Metrics, look: impl Fn() + Send, stop: CancellationToken) {
        let url = format!("{}/v1/metrics", self.endpoint.trim_end_matches('/'));
        let started = nanos();
        let mut interval = tokio::time::interval(self.every);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            let stopping = stop.run_until_cancelled(interval.tick()).await.is_none();
            look();
            let body = request(&metrics.gather(), metrics.declared(), started, nanos()).encode_to_vec();
            let sent = self.send(&url, body).await;
            // Said once, not with every push.
            match &sent {
                Ok(()) if failing => tracing::info!("metrics are pushed again"),
                Err(error) if !failing => tracing::warn!(%error, "metrics are not pushed"),
                _ => {}
            }
            failing = sent.is_err();
            if stopping {
                return;
            }
        }
    }

    async fn send(&self, url: &str, body: Vec<u8>) -> Result<(), Failure> {
        let request = self.client.post(url).header("content-type", "application/x-protobuf").body(body);
        let answer = request.timeout(TIMEOUT).send().await.map_err(|_| Failure::Unreachable)?;
        let status = answer.status();
        status.is_success().then_some(()).ok_or(Failure::Refused(status.as_u16()))
    }
}

fn nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))
}

fn request(families: &[MetricFamily], declared: &[Declared], start: u64, now: u64) -> ExportMetricsServiceRequest {
    let resource = super::resource();
    let attributes = resource.iter().map(|(key, value)| text(key.as_str(), value.as_str().as_ref())).collect();
    let metrics = families.iter().filter_map(|family| {
        let of = declared.iter().find(|declared| declared.name == family.name())?;
        Some(otlp::Metric {
            // The suffix is Prometheus' way to say what OTLP says in a field.
            name: of.name.strip_suffix("_total").unwrap_or(&of.name).to_owned(),
            description: of.help.clone(),
            unit: of.unit.to_owned(),
            data: data(family, start, now),
            ..Default::default()
        })
    });
    let scope = otlp::ScopeMetrics {
        scope: Some(InstrumentationScope { name: "ketenpoort".to_owned(), ..Default::default() }),
        metrics: metrics.collect(),
        ..Default::default()
    };
    let resource = Some(Resource { attributes, ..Default::default() });
    ExportMetricsServiceRequest {
        resource_metrics: vec![otlp::ResourceMetrics { resource, scope_metrics: vec![scope], ..Default::default() }],
    }
}

fn data(family: &MetricFamily, start: u64, now: u64) -> Option<Data> {
    let number = |metric: &Metric, value: f64| otlp::NumberDataPoint {
        attributes: labels(metric.get_label()),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(Value::AsDouble(value)),
        ..Default::default()
    };
    let all = family.get_metric();
    match family.get_field_type() {
        MetricType::COUNTER => Some(Data::Sum(otlp::Sum {
            data_points: all.iter().map(|metric| number(metric, metric.get_counter().get_value())).collect(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        })),
        MetricType::GAUGE => Some(Data::Gauge(otlp::Gauge {
            data_points: all.iter().map(|metric| number(metric, metric.get_gauge().get_value())).collect(),
        })),
        MetricType::HISTOGRAM => Some(Data::Histogram(otlp::Histogram {
            data_points: all.iter().map(|metric| histogram(metric, metric.get_histogram(), start, now)).collect(),
            aggregation_temporality: CUMULATIVE,
        })),
        // There are none of these.
        MetricType::SUMMARY | MetricType::UNTYPED => None,
    }
}

/// Prometheus counts what is at or below each bound, OTLP what is between two, and what is above the last.
fn histogram(metric: &Metric, histogram: &Histogram, start: u64, now: u64) -> otlp::HistogramDataPoint {
    let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let (mut bounds, mut counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in finite {
        bounds.push(bucket.upper_bound());
        counts.push(bucket.cumulative_count().saturating_sub(below));
        below = bucket.cumulative_count();
    }
    counts.push(histogram.get_sample_count().saturating_sub(below));
    otlp::HistogramDataPoint {
        attributes: labels(metric.get_label()),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: histogram.get_sample_count(),
        sum: Some(histogram.get_sample_sum()),
        bucket_counts: counts,
        explicit_bounds: bounds,
        ..Default::default()
    }
}

fn labels(pairs: &[LabelPair]) -> Vec<KeyValue> {
    pairs.iter().map(|pair| text(pair.name(), pair.value())).collect()
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}
