//! Traces, metrics and logs: set up once in `main`, carried across the wire, never in the way of a run.
//!
//! All three go out by OTLP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set (see [`otlp`]). Without the variable spans still
//! have ids, so that log lines and reports can name the trace.

mod log;
pub mod metrics;
mod open;
mod otlp;

pub use log::{LogFormat, colors};
pub use otlp::{FLUSH, Telemetry, collector};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Sets up traces, metrics and logs for this process, which is told apart from others as `service`. Call it within a
/// Tokio runtime, once.
///
/// `default_level` is what is logged when `RUST_LOG` does not say. An endpoint that cannot be used is told, and nothing is
/// sent there.
pub fn init(service: &str, format: LogFormat, default_level: &str) -> Telemetry {
    let (telemetry, refused) = Telemetry::open(service);
    let filter = || EnvFilter::new("off,flight_common=info,orchestrator=info,quiver=info");
    let spans = tracing_opentelemetry::layer()
        .with_tracer(telemetry.tracer())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false)
        .with_error_events_to_status(false)
        .with_filter(filter());
    let open = telemetry.open_spans().clone().with_filter(filter());
    let sent = telemetry.logs().map(|logs| OpenTelemetryTracingBridge::new(logs).with_filter(log::sent(default_level)));
    let lines = log::layer(format).with_filter(log::levels(default_level));
    tracing_subscriber::registry().with(spans).with(open).with(lines).with(sent).init();
    log::remember_dispatch();
    for fault in refused {
        tracing::error!(help = fault.help_text(), "{fault}");
    }
    telemetry
}

/// The trace id of the current span, in hex; nothing outside a trace.
pub fn trace_id() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

const TRACEPARENT: &str = "traceparent";

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// The span that a caller's headers name (`traceparent`).
pub fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract(&Headers(headers))
}

/// Names this span in the headers of a call.
pub fn inject(span: &tracing::Span, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&span.context(), &mut HeadersMut(headers));
}

/// The current span as a `traceparent`, to be kept. Outside a trace one is begun, so that all that is done under the kept
/// value is in one.
pub fn traceparent() -> Option<String> {
    let span = match trace_id() {
        Some(_) => tracing::Span::current(),
        None => tracing::info_span!("asked"),
    };
    let mut headers = HeaderMap::new();
    inject(&span, &mut headers);
    Some(headers.get(TRACEPARENT)?.to_str().ok()?.to_owned())
}

/// The span that a kept `traceparent` names.
pub fn context_of(traceparent: &str) -> Context {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::try_from(traceparent) {
        headers.insert(TRACEPARENT, value);
    }
    extract(&headers)
}
