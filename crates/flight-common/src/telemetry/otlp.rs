//! What leaves this process by OTLP: spans, metrics and logs, each where its variable says, or else where
//! `OTEL_EXPORTER_OTLP_ENDPOINT` does.
//!
//! Each has a thread of its own and a bounded queue, and what finds the queue full is dropped: a receiver that hangs or is
//! gone costs a run nothing, and the end of a process at most [`FLUSH`].

use super::open::OpenSpans;
use crate::fault::Fault;
use crate::variables;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, LogExporter, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// The longest that the end of a process waits for a receiver.
pub const FLUSH: Duration = Duration::from_millis(800);

/// Time for a receiver to take a batch.
const SEND: Duration = Duration::from_secs(5);

const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const LOGS: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";

/// Telemetry under way. Dropped, it sends what it has, within [`FLUSH`].
pub struct Telemetry {
    spans: SdkTracerProvider,
    /// Whether they are sent.
    are_sent: bool,
    open: OpenSpans,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
}

/// How long the end of a process waits for spans that are open: tasks that hold them end within moments.
const OPEN: Duration = Duration::from_millis(300);

impl Telemetry {
    /// Sends what there is, also of spans that are about to end.
    pub async fn close(self) {
        if self.are_sent {
            self.open.ended(OPEN).await;
        }
    }

    /// What the environment asks for, and what of it cannot be had.
    pub(super) fn open(service: &str) -> (Self, Vec<Fault>) {
        let mut refused = Vec::new();
        let resource = resource(service);
        let spans = exporter(TRACES, &mut refused, |endpoint| {
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(SEND).build()
        });
        let metrics = exporter(METRICS, &mut refused, |endpoint| {
            MetricExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(SEND).build()
        });
        let logs = exporter(LOGS, &mut refused, |endpoint| {
            LogExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(SEND).build()
        });
        let are_sent = spans.is_some();
        let mut tracers = SdkTracerProvider::builder().with_resource(resource.clone());
        if let Some(exporter) = spans {
            tracers = tracers.with_batch_exporter(exporter);
        }
        // How often metrics are sent, `OTEL_METRIC_EXPORT_INTERVAL` says.
        let metrics = metrics.map(|exporter| {
            SdkMeterProvider::builder().with_resource(resource.clone()).with_periodic_exporter(exporter).build()
        });
        if let Some(metrics) = &metrics {
            opentelemetry::global::set_meter_provider(metrics.clone());
        }
        let logs = logs
            .map(|exporter| SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build());
        (Self { spans: tracers.build(), are_sent, open: OpenSpans::default(), metrics, logs }, refused)
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.spans.tracer("quiver")
    }

    pub(super) fn open_spans(&self) -> &OpenSpans {
        &self.open
    }

    pub(super) fn logs(&self) -> Option<&SdkLoggerProvider> {
        self.logs.as_ref()
    }
}

/// Who sends. Each process has an id of its own: counters of two processes are two series, and none goes backwards when
/// a process is started again.
fn resource(service: &str) -> Resource {
    Resource::builder()
        .with_service_name(variables::set("OTEL_SERVICE_NAME").unwrap_or_else(|| service.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
        .build()
}

/// An exporter to the endpoint that this variable names, or the one for all; nothing if there is none, or none is wanted.
/// Why it cannot be used is added to `refused`, once for each variable.
fn exporter<E>(
    variable: &'static str,
    refused: &mut Vec<Fault>,
    build: impl FnOnce(&str) -> Result<E, ExporterBuildError>,
) -> Option<E> {
    let (name, endpoint) = chosen(variable, set)?;
    let built = address(&endpoint).and_then(|_| build(&endpoint).map_err(|error| error.to_string()));
    let why = match built {
        Ok(exporter) => return Some(exporter),
        Err(why) => why,
    };
    let fault = Fault::bad_params(format!("nothing is sent to {name}={endpoint}: {why}"))
        .help("give the gRPC address of a collector: http://localhost:4317");
    if !refused.iter().any(|told: &Fault| told.message() == fault.message()) {
        refused.push(fault);
    }
    None
}

type Variable = (&'static str, String);

/// The endpoint that this variable names, or the one for all; nothing if there is none, or none is wanted.
fn chosen(variable: &'static str, set: impl Fn(&'static str) -> Option<Variable>) -> Option<Variable> {
    let disabled = set(DISABLED).is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
    set(variable).or_else(|| set(ALL)).filter(|_| !disabled)
}

/// The host and port of an endpoint.
///
/// # Errors
/// Why nothing is sent there.
fn address(endpoint: &str) -> Result<&str, String> {
    let rest = endpoint.strip_prefix("http://").ok_or("it is no http:// address")?;
    Ok(rest.split('/').next().unwrap_or_default())
}

/// What a variable of the environment says, with its name.
fn set(name: &'static str) -> Option<Variable> {
    variables::set(name).map(|value| (name, value))
}

/// The collector that traces are sent to, and whether it takes connections within `patience`; nothing if there is none.
pub async fn collector(patience: Duration) -> Option<(String, Result<(), String>)> {
    let (name, endpoint) = chosen(TRACES, set)?;
    let answer = match address(&endpoint) {
        Err(why) => Err(format!("nothing is sent to {name}={endpoint}: {why}")),
        Ok(address) => match tokio::time::timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(format!("nobody takes connections at {endpoint}")),
        },
    };
    Some((endpoint, answer))
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // A provider blocks while it sends. Each has a thread, so that what one has to say is not lost because the receiver
        // of another hangs; and none holds the process longer than this.
        let deadline = Instant::now() + FLUSH;
        let (alive, ended) = mpsc::channel::<()>();
        let end = |shutdown: Box<dyn FnOnce() + Send>| {
            let alive = alive.clone();
            std::thread::spawn(move || {
                shutdown();
                drop(alive);
            });
        };
        let spans = self.spans.clone();
        end(Box::new(move || drop(spans.shutdown_with_timeout(FLUSH))));
        if let Some(metrics) = self.metrics.clone() {
            end(Box::new(move || drop(metrics.shutdown_with_timeout(FLUSH))));
        }
        if let Some(logs) = self.logs.clone() {
            end(Box::new(move || drop(logs.shutdown_with_timeout(FLUSH))));
        }
        drop(alive);
        // Nobody sends a word: it ends when all have ended, or with the time.
        let _ = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_goes_to_the_endpoint_of_its_own_before_that_of_all_and_nowhere_if_it_is_not_wanted() {
        let among = |set: &'static [(&'static str, &'static str)]| {
            let set = |name| set.iter().find(|(set, _)| *set == name).map(|&(name, value)| (name, value.to_owned()));
            chosen(TRACES, set).map(|(_, endpoint)| endpoint)
        };
        assert_eq!(among(&[(METRICS, "http://c")]), None);
        assert_eq!(among(&[(ALL, "http://a"), (DISABLED, "false")]).as_deref(), Some("http://a"));
        assert_eq!(among(&[(ALL, "http://a"), (TRACES, "http://b")]).as_deref(), Some("http://b"));
        assert_eq!(among(&[(ALL, "http://a"), (TRACES, "http://b"), (DISABLED, "True")]), None);
    }

    #[test]
    fn an_endpoint_is_an_address_without_encryption() {
        assert_eq!(address("http://collector:4317/x"), Ok("collector:4317"));
        assert!(address("https://collector:4317").is_err() && address("collector:4317").is_err());
    }
}
