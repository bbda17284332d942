//! The spans of a message's trace, and the trace context that travels with it. An attribute is a name out of
//! our own files, a code or a size; a header of a message never becomes one.

use crate::code::Code;
use crate::directory::Endpoint;
use crate::envelope::RawMessage;
use crate::outcome::Outcome;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue, StringValue};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// As the bindings of CloudEvents and of W3C trace context spell it.
const TRACEPARENT: [&str; 4] = ["traceparent", "cloudEvents_traceparent", "cloudEvents:traceparent", "ce-traceparent"];

/// The span of one message, a child of the sender's own where it sent a `traceparent`. It exists also where no
/// trace is recorded: logs and receipts name its trace id.
pub fn message_span(queue: &str, raw: &RawMessage) -> Span {
    let span = tracing::info_span!(
        "process",
        otel.name = format!("process {queue}"),
        otel.kind = "consumer",
        messaging.system = "rabbitmq",
        messaging.operation.type = "process",
        messaging.operation.name = "process",
        messaging.destination.name = queue,
        messaging.message.body.size = i64::try_from(raw.body.reveal_personal_data().len()).unwrap_or(i64::MAX),
        ketenpoort.sender = raw.queue_of.as_ref().map(|party| party.as_str()),
    );
    continue_trace(&span, sent(raw));
    span
}

/// The span of the sender out of which a message came.
pub fn caller(raw: &RawMessage) -> Option<[u8; 8]> {
    Some(parse(sent(raw)?)?.span_id().to_bytes())
}

fn sent(raw: &RawMessage) -> Option<&str> {
    TRACEPARENT.iter().find_map(|header| raw.headers.get(*header)).map(String::as_str)
}

/// One room of the corridor. Building a span costs about a microsecond, recorded or not, so there is none where
/// this trace is not recorded.
pub fn stage_span(stage: &'static str) -> Span {
    if !is_recorded() {
        return Span::none();
    }
    tracing::info_span!("stage", otel.name = stage)
}

/// One attempt to bring a message to a recipient. Of a webhook no URL is told: it may hold a secret.
pub fn delivery_span(endpoint: &Endpoint, party: &str, id: Uuid, traceparent: Option<&str>) -> Span {
    match endpoint {
        Endpoint::Amqp { queue } => publish_span(queue, id, traceparent),
        Endpoint::Webhook { .. } => sending_span(traceparent, || {
            tracing::info_span!(
                "send",
                otel.name = format!("POST {party}"),
                otel.kind = "client",
                http.request.method = "POST",
                messaging.message.id = %id,
            )
        }),
    }
}

/// One message of our own to a queue.
pub fn publish_span(queue: &str, id: Uuid, traceparent: Option<&str>) -> Span {
    sending_span(traceparent, || {
        tracing::info_span!(
            "send",
            otel.name = format!("send {queue}"),
            otel.kind = "producer",
            messaging.system = "rabbitmq",
            messaging.operation.type = "send",
            messaging.operation.name = "send",
            messaging.destination.name = queue,
            messaging.rabbitmq.destination.routing_key = queue,
            messaging.message.id = %id,
        )
    })
}

/// One HTTP request for one or more messages: in the trace of the first, and linked to those of the others.
pub fn request_span(url: &reqwest::Url, failed_before: u32, traces: &[&str]) -> Span {
    let span = sending_span(traces.first().copied(), || {
        tracing::info_span!(
            "request",
            otel.name = format!("POST {}", url.path()),
            otel.kind = "client",
            http.request.method = "POST",
            http.request.resend_count = (failed_before > 0).then_some(failed_before),
            http.response.status_code = Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default(),
            url.template = url.path(),
        )
    });
    traces.iter().skip(1).filter_map(|other| parse(other)).for_each(|other| span.add_link(other));
    span
}

/// What is decided now rests on what came with this trace, such as a judgement.
pub fn link(traceparent: &str) {
    if let Some(other) = parse(traceparent).filter(|_| is_recorded()) {
        Span::current().add_link(other);
    }
}

/// Within the current span; or else, out of the ledger, within the message's own.
fn sending_span(traceparent: Option<&str>, span: impl FnOnce() -> Span) -> Span {
    if Context::map_current(TraceContextExt::has_active_span) {
        return if is_recorded() { span() } else { Span::none() };
    }
    let span = span();
    continue_trace(&span, traceparent);
    span
}

/// A later attempt, in the trace of the message it belongs to: what it waited as, and how often it was tried before.
pub fn resumed_span(traceparent: Option<&str>, waited_as: &'static str, attempts: u32) -> Span {
    let span = tracing::info_span!(
        "resume",
        otel.kind = "internal",
        ketenpoort.waited_as = waited_as,
        ketenpoort.attempts = attempts,
    );
    continue_trace(&span, traceparent);
    span
}

/// Tells on the current span what became of the message; what waits for somebody also is an error of ours.
pub fn note_outcome(outcome: &'static str, code: Option<Code>) {
    let code = code.map(Code::as_str);
    note("ketenpoort.outcome", outcome);
    if let Some(code) = code {
        note("ketenpoort.code", code);
    }
    let failed = matches!(Outcome::parse(outcome), Some(Outcome::Parked | Outcome::Retrying));
    if failed {
        note_failure(code.unwrap_or(outcome));
    }
}

/// The message's type, once it is known to be one of our catalogue.
pub fn note_type(kind: &str) {
    note("cloudevents.event_type", kind.to_owned());
}

/// Ends the current span as failed, with a low-cardinality name of the failure.
pub fn note_failure(error_type: impl Into<StringValue>) {
    note("error.type", error_type);
    Context::map_current(|context| context.span().set_status(Status::error("")));
}

fn note(key: &'static str, value: impl Into<StringValue>) {
    Context::map_current(|context| context.span().set_attribute(KeyValue::new(key, value.into())));
}

/// W3C `traceparent` of the current span, for whoever gets our message next.
pub fn current_traceparent() -> Option<String> {
    current_span(|span| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// What there is to say about the current span, if there is one.
pub(super) fn current_span<T>(say: impl FnOnce(&SpanContext) -> T) -> Option<T> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| say(span))
    })
}

fn is_recorded() -> bool {
    Context::map_current(|context| context.span().span_context().is_sampled())
}

fn continue_trace(span: &Span, traceparent: Option<&str>) {
    if let Some(parent) = traceparent.and_then(parse) {
        // Refused only where there is no OpenTelemetry layer, and then there is nothing to link to.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Version 00 of the W3C form and nothing else. A `tracestate` is not read: it would carry free text from one
/// party to another.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if traceparent.len() != 55 || !traceparent.is_ascii() {
        return None;
    }
    let mut parts = traceparent.split('-');
    let (Some("00"), Some(trace), Some(span), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let well_formed =
        [(trace, 32), (span, 16), (flags, 2)].iter().all(|(part, len)| part.len() == *len && is_hex(part));
    if !well_formed {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}
