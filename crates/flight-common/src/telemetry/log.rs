//! Log lines on standard error: text for people, JSON for machines, both with the trace they belong to. And which of
//! them are sent.

use crate::variables;
use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, with `trace_id` and `span_id`.
    Json,
}

/// Whether standard error is shown in colors: <https://no-color.org>.
pub fn colors() -> bool {
    std::io::stderr().is_terminal() && variables::set("NO_COLOR").is_none()
}

pub(super) fn layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_target(false).with_ansi(colors()).boxed(),
        LogFormat::Json => lines.event_format(JsonLines).boxed(),
    }
}

/// What is logged: as `RUST_LOG` says, or else from this level on. A command that does its work and ends says nothing of a
/// collector that is gone, and nothing twice of a certificate that is not trusted; a server does.
pub(super) fn levels(default: &str) -> EnvFilter {
    let asked = variables::set(EnvFilter::DEFAULT_ENV).and_then(|asked| EnvFilter::try_new(asked).ok());
    asked.unwrap_or_else(|| match default {
        "info" => EnvFilter::new(default),
        _ => EnvFilter::new(format!("{default},opentelemetry=off,rustls_platform_verifier=off")),
    })
}

/// What is logged and sent: not what the sending itself logs, which would have to be sent again.
pub(super) fn sent(default: &str) -> EnvFilter {
    ["opentelemetry=off", "tonic=off", "tower=off", "hyper=off", "h2=off"]
        .into_iter()
        .fold(levels(default), |all, one| all.add_directive(one.parse().expect("a target and a level")))
}

/// The dispatcher of this process. While an event is being written it cannot be asked for in the ordinary way.
static DISPATCH: OnceLock<WeakDispatch> = OnceLock::new();

/// Lets log lines name their trace. Called once, after the subscriber is in place.
pub(super) fn remember_dispatch() {
    tracing::dispatcher::get_default(|dispatch| {
        let _ = DISPATCH.set(dispatch.downgrade());
    });
}

fn context_of(span: &tracing::Id) -> Option<opentelemetry::Context> {
    let dispatch = DISPATCH.get()?.upgrade()?;
    tracing_opentelemetry::get_otel_context(span, &dispatch).filter(|context| context.span().span_context().is_valid())
}

/// One object a line: `timestamp, level, target, message`, the trace, then the event's own fields.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Fields::default();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        line.put("timestamp", time);
        line.put("level", event.metadata().level().as_str());
        line.put("target", event.metadata().target());
        let span = event.parent().and_then(|id| context.span(id)).or_else(|| context.lookup_current());
        if let Some(span) = span {
            line.put("span", span.name());
            if let Some(context) = context_of(&span.id()) {
                let ids = context.span().span_context().clone();
                line.put("trace_id", ids.trace_id().to_string());
                line.put("span_id", ids.span_id().to_string());
            }
        }
        event.record(&mut line);
        writeln!(writer, "{}", Value::Object(line.0))
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }
}
