//! Traces, metrics and logs: set up once in `main`, carried across the wire, never in the way of a run.
//!
//! Spans and metrics go out by OTLP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set, from a thread of their own and a bounded queue: a
//! receiver that hangs or is gone costs a run nothing, and its end at most [`FLUSH`]. Without the variable spans still
//! have ids, so that logs and reports can name the trace.

mod log;
pub mod metrics;

pub use log::LogFormat;

use crate::fault::Fault;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// The longest that the end of a process waits for a receiver of spans.
pub const FLUSH: Duration = Duration::from_millis(800);

const TRACES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const METRICS: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// Time for a receiver to take a batch.
const SEND: Duration = Duration::from_secs(5);

/// Telemetry under way. Dropped, it sends what it has, within [`FLUSH`].
pub struct Telemetry {
    spans: SdkTracerProvider,
    metrics: Option<SdkMeterProvider>,
    exports: bool,
}

/// The first of these variables that is set.
fn endpoint(names: [&str; 2]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn unusable(endpoint: &str, error: impl std::fmt::Display) -> Fault {
    Fault::bad_params(format!("OTEL_EXPORTER_OTLP_ENDPOINT={endpoint} cannot be used: {error}"))
        .help("give the gRPC address of a collector: http://localhost:4317")
}

/// Sends metrics, if there is somewhere to send them to; how often, `OTEL_METRIC_EXPORT_INTERVAL` says.
fn meters(resource: &Resource) -> Result<Option<SdkMeterProvider>, Fault> {
    let Some(endpoint) = endpoint(METRICS) else { return Ok(None) };
    let exporter = opentelemetry_otlp::MetricExporter::builder()
        .with_tonic()
        .with_endpoint(&endpoint)
        .with_timeout(SEND)
        .build()
        .map_err(|error| unusable(&endpoint, error))?;
    let provider = SdkMeterProvider::builder().with_resource(resource.clone()).with_periodic_exporter(exporter).build();
    opentelemetry::global::set_meter_provider(provider.clone());
    Ok(Some(provider))
}

/// Sets up traces and logs for this process. Call it within a Tokio runtime, once.
///
/// `default_level` is what is logged when `RUST_LOG` does not say.
///
/// # Errors
/// [`crate::FaultKind::BadParams`] for an endpoint that is no address.
pub fn init(service: &'static str, format: LogFormat, default_level: &str) -> Result<Telemetry, Fault> {
    let resource = Resource::builder()
        .with_service_name(std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| service.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let metrics = meters(&resource)?;
    let mut provider = SdkTracerProvider::builder().with_resource(resource);
    let endpoint = endpoint(TRACES);
    let exports = endpoint.is_some() || metrics.is_some();
    if let Some(endpoint) = endpoint {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&endpoint)
            .with_timeout(SEND)
            .build()
            .map_err(|error| unusable(&endpoint, error))?;
        provider = provider.with_batch_exporter(exporter);
    }
    let provider = provider.build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("quiver"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false)
        .with_error_events_to_status(false)
        .with_filter(EnvFilter::new("off,flight_common=info,orchestrator=info,quiver=info"));
    let levels = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_level));
    tracing_subscriber::registry().with(spans).with(log::layer(format).with_filter(levels)).init();
    log::remember_dispatch();
    Ok(Telemetry { spans: provider, metrics, exports })
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if !self.exports {
            return;
        }
        // The provider blocks while it sends; a receiver that hangs must not hold the process longer than this.
        let (done, waiting) = std::sync::mpsc::channel();
        let (spans, metrics) = (self.spans.clone(), self.metrics.clone());
        let sender = std::thread::spawn(move || {
            if let Some(metrics) = metrics {
                let _ = metrics.shutdown_with_timeout(FLUSH);
            }
            let _ = spans.shutdown_with_timeout(FLUSH);
            let _ = done.send(());
        });
        if waiting.recv_timeout(FLUSH).is_ok() {
            let _ = sender.join();
        }
    }
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

/// The current span as a `traceparent`, to be kept; nothing outside a trace.
pub fn traceparent() -> Option<String> {
    let mut headers = HeaderMap::new();
    inject(&tracing::Span::current(), &mut headers);
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
