//! A collector in front of Jaeger, and the spans that came through.

use super::*;

/// A collector in front of Jaeger.
pub struct Watch {
    // First, so that it ends before what it hands on to.
    pub collector: Collector,
    pub jaeger: Jaeger,
    pub _folder: TempDir,
}

impl Watch {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let jaeger = Jaeger::start(&configs().join("jaeger.yaml"), cache());
        let collector = Collector::start(&configs().join("collector.yaml"), &jaeger, cache(), folder.path());
        Self { collector, jaeger, _folder: folder }
    }

    /// The command, with all its telemetry sent here, and soon.
    pub fn command(&self, house: &House, words: &[&str]) -> Command {
        let mut command = house.command(words);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.endpoint()).env("RUST_LOG", "info");
        for interval in ["OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY"] {
            command.env(interval, "200");
        }
        command
    }

    pub fn asked(&self, path: &str) -> Value {
        let answer = self.jaeger.ask(path).unwrap_or_default();
        serde_json::from_str::<Value>(&answer).map(|mut answer| answer["data"].take()).unwrap_or_default()
    }

    /// The spans of a trace; none if Jaeger does not know it yet.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        let data = self.asked(&format!("/api/traces/{id}"));
        data[0]["spans"].as_array().into_iter().flatten().map(Span::read).collect()
    }

    /// The traces that hold a span of this run, whichever process it is of.
    pub fn traces_of(&self, run: &str) -> BTreeSet<String> {
        let tags = http::escaped(&json!({"run_id": run}).to_string());
        let services = self.asked("/api/services");
        let names = services.as_array().into_iter().flatten().filter_map(Value::as_str);
        let found = names.flat_map(|service| {
            let traces = self.asked(&format!("/api/traces?service={service}&tags={tags}&limit=100"));
            traces.as_array().into_iter().flatten().map(|one| text(&one["traceID"])).collect::<Vec<_>>()
        });
        found.collect()
    }

    /// Whether a log record with this body, of this trace, has arrived.
    pub fn logged(&self, body: &str, trace: &str) -> bool {
        let output = self.collector.output();
        let body = format!("Body: Str({body})");
        let ids = format!("Trace ID: {trace}\n");
        output.split("LogRecord #").any(|record| record.contains(&body) && record.contains(&ids))
    }
}

/// A span, as Jaeger tells of it.
#[derive(Debug)]
pub struct Span {
    pub id: String,
    pub name: String,
    pub kind: String,
    pub parent: Option<String>,
    pub links: Vec<String>,
}

impl Span {
    pub fn read(span: &Value) -> Self {
        let references = span["references"].as_array().into_iter().flatten();
        let (parents, links): (Vec<&Value>, Vec<&Value>) = references.partition(|one| one["refType"] == "CHILD_OF");
        let kind = span["tags"].as_array().into_iter().flatten().find(|tag| tag["key"] == "span.kind");
        Self {
            id: text(&span["spanID"]),
            name: text(&span["operationName"]),
            kind: kind.map(|tag| text(&tag["value"])).unwrap_or_default(),
            parent: parents.first().map(|one| text(&one["spanID"])),
            links: links.iter().map(|one| text(&one["spanID"])).collect(),
        }
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub fn of_kind<'a>(trace: &'a [Span], kind: &str) -> Vec<&'a Span> {
    trace.iter().filter(|span| span.kind == kind).collect()
}

pub fn parent<'a>(trace: &'a [Span], span: &Span) -> Option<&'a Span> {
    trace.iter().find(|one| Some(&one.id) == span.parent.as_ref())
}

/// Whether there is one root, every other span has its parent, and every server's is a client's.
pub fn is_whole(trace: &[Span]) -> bool {
    let (roots, others): (Vec<&Span>, Vec<&Span>) = trace.iter().partition(|span| span.parent.is_none());
    let placed = |span: &&Span| match parent(trace, span) {
        Some(parent) => span.kind != "server" || parent.kind == "client",
        None => false,
    };
    roots.len() == 1 && others.iter().all(placed)
}
