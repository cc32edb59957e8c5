//! One run is one trace: shown with a real OTLP receiver, and with receivers that hang or are gone.

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use quiver_tests::{House, Running, children, eventually, signal};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tonic::{Request, Response, Status};

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");

/// Keeps every span it is sent.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<Span>>>);

/// Keeps the newest value of every counter: by its name, and the values of its attributes.
#[derive(Clone, Default)]
struct Counters(Arc<Mutex<Counted>>);

type Counted = BTreeMap<(String, Vec<String>), i64>;

#[tonic::async_trait]
impl MetricsService for Counters {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        let mut counters = self.0.lock().expect("no panic");
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let Some(Data::Sum(sum)) = metric.data else { continue };
            for point in sum.data_points {
                let text = |value: AnyValue| match value.value {
                    Some(Value::StringValue(text)) => text,
                    other => format!("{other:?}"),
                };
                let mut by: Vec<String> = point.attributes.into_iter().filter_map(|one| one.value).map(text).collect();
                by.sort();
                if let Some(number_data_point::Value::AsInt(value)) = point.value {
                    counters.insert((metric.name.clone(), by), value);
                }
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().expect("no panic").extend(spans.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Runs a pipeline with telemetry sent to a receiver, and returns all its spans. A process that ends waits for its
/// receiver less than a second: where one was too late for that, on a busy machine, it is run again.
fn spans_of(words: &[&str]) -> (Vec<Span>, serde_json::Value) {
    let (mut spans, mut report) = told_of(words);
    for _ in 0..2 {
        if all_have_told(&spans, &report, words.contains(&"--mesh")) {
            break;
        }
        (spans, report) = told_of(words);
    }
    (spans, report)
}

/// Whether there is something of each step, and of its server, if it has one.
fn all_have_told(spans: &[Span], report: &serde_json::Value, have_servers: bool) -> bool {
    let steps = report["steps"].as_array().expect("steps");
    let of_run = |span: &&Span| hex(&span.trace_id) == report["trace_id"];
    let servers = spans.iter().filter(of_run).filter(|span| span.kind == SpanKind::Server as i32).count();
    let is_told = |step: &serde_json::Value| spans.iter().any(|span| span.name == step["id"]);
    steps.iter().all(is_told) && (!have_servers || servers >= steps.len())
}

/// What came to the receiver of one run, and its report.
fn told_of(words: &[&str]) -> (Vec<Span>, serde_json::Value) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let receiver = Receiver::default();
    let address = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let service = TraceServiceServer::new(receiver.clone());
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        address
    });
    let house = House::new(PROGRAM);
    let output = house.command(words).env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")).output();
    let output = output.expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_slice(&output.stdout).expect("a report");
    // All processes have ended, and flushed before they did.
    let spans = receiver.0.lock().expect("no panic").clone();
    (spans, report)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn one_mesh_run_is_exactly_one_trace() {
    let (spans, report) = spans_of(&["run", "examples/pipelines/departments_diamond.yaml", "--mesh", "--json"]);
    // Planning happens before there is a run; its calls are traces of their own, if any.
    let runs: Vec<&Span> = spans
        .iter()
        .filter(|span| span.parent_span_id.is_empty() && hex(&span.trace_id) == report["trace_id"])
        .collect();
    assert_eq!(runs.len(), 1, "one root");
    let trace: Vec<&Span> = spans.iter().filter(|span| span.trace_id == runs[0].trace_id).collect();
    let by_id: HashMap<&[u8], &Span> = trace.iter().map(|span| (&span.span_id[..], *span)).collect();
    for span in &trace {
        let known = span.parent_span_id.is_empty() || by_id.contains_key(&span.parent_span_id[..]);
        assert!(known, "{} hangs in the air", span.name);
    }
    let steps = report["steps"].as_array().expect("steps");
    let servers: Vec<&&Span> = trace.iter().filter(|span| span.kind == SpanKind::Server as i32).collect();
    assert_eq!(servers.len(), steps.len(), "a server span for each step");
    for server in servers {
        let client = by_id[&server.parent_span_id[..]];
        assert_eq!(client.kind, SpanKind::Client as i32, "{} is under a client span", server.name);
        assert_eq!(client.parent_span_id, runs[0].span_id, "{} is under the run", client.name);
    }
    let run_traces: HashSet<&[u8]> =
        spans.iter().filter(|span| span.kind == SpanKind::Client as i32).map(|span| &span.trace_id[..]).collect();
    assert_eq!(run_traces.len(), 1, "no step of the run has another trace");
}

#[test]
fn a_join_links_both_of_its_inputs() {
    let (spans, report) = spans_of(&["run", "examples/pipelines/departments_diamond.yaml", "--json"]);
    let join = report["steps"].as_array().expect("steps").iter().find(|step| step["step"] == "join").expect("a join");
    let join = spans.iter().find(|span| span.name == join["id"]).expect("its span");
    assert_eq!(join.links.len(), 2);
    for link in &join.links {
        assert!(spans.iter().any(|span| span.span_id == link.span_id), "a link leads to a span of the run");
    }
}

/// Seconds that a small run takes with this endpoint.
fn seconds_with(endpoint: Option<&str>) -> f64 {
    let house = House::new(PROGRAM);
    let mut command = house.command(&["run", "examples/pipelines/hr_analytics.yaml", "--json"]);
    if let Some(endpoint) = endpoint {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    }
    let begun = Instant::now();
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    begun.elapsed().as_secs_f64()
}

#[test]
fn a_receiver_that_hangs_or_is_gone_costs_no_run() {
    let plain = seconds_with(None);
    // It takes connections, and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute_address = format!("http://{}", mute.local_addr().expect("an address"));
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone_address = format!("http://{}", gone.local_addr().expect("an address"));
    drop(gone);
    let allowed = plain + Duration::from_secs(10).as_secs_f64();
    for endpoint in [mute_address, gone_address] {
        let seconds = seconds_with(Some(&endpoint));
        assert!(seconds < allowed, "{seconds} s with {endpoint}, {plain} s without");
    }
}

#[test]
fn the_metrics_say_what_the_runs_say() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let counters = Counters::default();
    let address = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder()
            .add_service(MetricsServiceServer::new(counters.clone()))
            .add_service(TraceServiceServer::new(Receiver::default()));
        tokio::spawn(server.serve_with_incoming(incoming));
        address
    });
    let house = House::new(PROGRAM);
    let mut command = house.command(&["up", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--json"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")).env("OTEL_METRIC_EXPORT_INTERVAL", "100");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut process = Running::of(child);
    let output = BufReader::new(process.child().stdout.take().expect("its output"));
    let line = output.lines().map_while(Result::ok).find(|line| line.contains("\"api\"")).expect("an address");
    let url = line.split('"').nth(3).expect("a URL");
    let mut told = Counted::new();
    let mut submit = |file: &str| {
        assert_eq!(house.quiver(&["runs", "submit", file, "--follow", "--url", url]).code, Some(0));
        let listed = house.quiver(&["runs", "list", "--limit", "1", "--json", "--url", url]).json();
        let id = listed["items"][0]["id"].as_str().expect("a run").to_owned();
        let run = house.quiver(&["runs", "show", &id, "--json", "--url", url]).json();
        let pipeline = run["pipeline"].as_str().expect("a name").to_owned();
        *told.entry(("quiver.runs".to_owned(), sorted(&["done", &pipeline]))).or_default() += 1;
        for step in run["steps"].as_array().expect("steps") {
            let name = step["step"].as_str().expect("a name");
            for (metric, field) in [
                ("quiver.step.rows.in", "rows_in"),
                ("quiver.step.rows.out", "rows_out"),
                ("quiver.step.bytes.out", "bytes_out"),
            ] {
                let figure = step[field].as_i64().expect("a figure");
                *told.entry((metric.to_owned(), sorted(&[name]))).or_default() += figure;
            }
        }
    };
    submit("examples/pipelines/hr_analytics.yaml");
    // What a server counted is not lost with it.
    let victim =
        children(process.pid()).into_iter().find(|(_, line)| line.contains("serve outliers ")).expect("it runs");
    signal(victim.0, "KILL");
    submit("examples/pipelines/hr_analytics.yaml");
    submit("examples/pipelines/departments_diamond.yaml");
    eventually(Duration::from_secs(30), "the counters arrive", || {
        let counted = counters.0.lock().expect("no panic").clone();
        told.iter().all(|(series, value)| counted.get(series) == Some(value)).then_some(())
    });
    process.signal("TERM");
    assert_eq!(process.end_within(Duration::from_secs(60)).code, Some(0));
}

fn sorted(words: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.sort();
    words
}
