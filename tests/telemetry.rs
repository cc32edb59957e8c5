//! What is seen of a run, asked back from those who are told: the real collector, Jaeger and Prometheus, as
//! `otel-collector/` sets them up.

use quiver_tests::{House, Running, children, eventually, repository, signal};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use test_servers::{Collector, Jaeger, Prometheus, http, promtool};

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");
const HR: &str = "examples/pipelines/hr_analytics.yaml";
const DIAMOND: &str = "examples/pipelines/departments_diamond.yaml";
const SOON: Duration = Duration::from_secs(60);

fn configs() -> PathBuf {
    repository().join("otel-collector")
}

fn cache() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// A collector in front of Jaeger.
struct Watch {
    // First, so that it ends before what it hands on to.
    collector: Collector,
    jaeger: Jaeger,
    _folder: TempDir,
}

impl Watch {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let jaeger = Jaeger::start(&configs().join("jaeger.yaml"), cache());
        let collector = Collector::start(&configs().join("collector.yaml"), &jaeger, cache(), folder.path());
        Self { collector, jaeger, _folder: folder }
    }

    /// The command, with all its telemetry sent here, and soon.
    fn command(&self, house: &House, words: &[&str]) -> Command {
        let mut command = house.command(words);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.endpoint()).env("RUST_LOG", "info");
        for interval in ["OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY"] {
            command.env(interval, "200");
        }
        command
    }

    fn asked(&self, path: &str) -> Value {
        let answer = self.jaeger.ask(path).unwrap_or_default();
        serde_json::from_str::<Value>(&answer).map(|mut answer| answer["data"].take()).unwrap_or_default()
    }

    /// The spans of a trace; none if Jaeger does not know it yet.
    fn trace(&self, id: &str) -> Vec<Span> {
        let data = self.asked(&format!("/api/traces/{id}"));
        data[0]["spans"].as_array().into_iter().flatten().map(Span::read).collect()
    }

    /// The traces that hold a span of this run, whichever process it is of.
    fn traces_of(&self, run: &str) -> BTreeSet<String> {
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
    fn logged(&self, body: &str, trace: &str) -> bool {
        let output = self.collector.output();
        let body = format!("Body: Str({body})");
        let ids = format!("Trace ID: {trace}\n");
        output.split("LogRecord #").any(|record| record.contains(&body) && record.contains(&ids))
    }
}

/// A span, as Jaeger tells of it.
#[derive(Debug)]
struct Span {
    id: String,
    name: String,
    kind: String,
    parent: Option<String>,
    links: Vec<String>,
}

impl Span {
    fn read(span: &Value) -> Self {
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

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn of_kind<'a>(trace: &'a [Span], kind: &str) -> Vec<&'a Span> {
    trace.iter().filter(|span| span.kind == kind).collect()
}

fn parent<'a>(trace: &'a [Span], span: &Span) -> Option<&'a Span> {
    trace.iter().find(|one| Some(&one.id) == span.parent.as_ref())
}

/// Whether there is one root, every other span has its parent, and every server's is a client's.
fn is_whole(trace: &[Span]) -> bool {
    let (roots, others): (Vec<&Span>, Vec<&Span>) = trace.iter().partition(|span| span.parent.is_none());
    let placed = |span: &&Span| match parent(trace, span) {
        Some(parent) => span.kind != "server" || parent.kind == "client",
        None => false,
    };
    roots.len() == 1 && others.iter().all(placed)
}

#[test]
fn a_run_over_the_mesh_is_one_trace_with_every_hop() {
    let watch = Watch::start();
    let house = House::new(PROGRAM);
    let output = watch.command(&house, &["run", DIAMOND, "--mesh", "--json"]).output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let steps = report["steps"].as_array().expect("steps");
    let id = text(&report["trace_id"]);
    let trace = eventually(SOON, "the whole trace arrives", || {
        let trace = watch.trace(&id);
        (of_kind(&trace, "server").len() >= steps.len() && is_whole(&trace)).then_some(trace)
    });
    let run = trace.iter().find(|span| span.parent.is_none()).expect("a root");
    let clients = of_kind(&trace, "client");
    for step in steps {
        let client: Vec<_> = clients.iter().filter(|span| span.name == text(&step["id"])).collect();
        assert_eq!(client.len(), 1, "{} is called once", step["id"]);
        assert_eq!(client[0].parent.as_ref(), Some(&run.id), "{} is under the run", step["id"]);
        let servers = of_kind(&trace, "server");
        let called: Vec<_> = servers.iter().filter(|span| span.parent.as_ref() == Some(&client[0].id)).collect();
        assert_eq!(called.len(), 1, "{} is one hop", step["id"]);
        assert_eq!(called[0].name, text(&step["step"]));
    }
    let join = steps.iter().find(|step| step["step"] == "join").expect("a join");
    let join = clients.iter().find(|span| span.name == text(&join["id"])).expect("its span");
    assert_eq!(join.links.len(), 2, "both inputs");
    assert!(join.links.iter().all(|link| clients.iter().any(|span| &span.id == link)), "{join:?}");
    assert_eq!(watch.traces_of(&text(&report["run_id"])), BTreeSet::from([id]));
}

/// `quiver up`, watched.
struct Service<'a> {
    house: &'a House,
    process: Running,
    url: String,
}

impl<'a> Service<'a> {
    fn start(house: &'a House, watch: &Watch) -> Self {
        let words = ["up", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--json"];
        let mut command = watch.command(house, &words);
        // Nobody takes lineage there: that is counted too.
        let [metrics, _] = watch.collector.scraped();
        command.env("OPENLINEAGE_URL", format!("http://{metrics}"));
        let mut process = Running::of(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
        let output = BufReader::new(process.child().stdout.take().expect("its output"));
        let line = output.lines().map_while(Result::ok).find(|line| line.contains("\"api\"")).expect("an address");
        let url = line.split('"').nth(3).expect("a URL").to_owned();
        Self { house, process, url }
    }

    fn submit(&self, words: &[&str]) -> String {
        let ended = self.house.quiver(&[&["runs", "submit"], words, &["--url", &self.url]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout.trim().to_owned()
    }

    fn show(&self, run: &str) -> Value {
        self.house.quiver(&["runs", "show", run, "--json", "--url", &self.url]).json()
    }

    fn until(&self, run: &str, state: &str) {
        eventually(SOON, &format!("{run} is {state}"), || (self.show(run)["state"] == state).then_some(()));
    }

    /// The reports of all attempts of a run.
    fn reports(&self, run: &str) -> Vec<Value> {
        let address = self.url.trim_start_matches("http://");
        let answer = http::get(address, &format!("/api/v1/runs/{run}/attempts")).expect("an answer");
        let attempts: Vec<Value> = serde_json::from_str(&answer).expect("attempts");
        attempts.into_iter().map(|mut attempt| attempt["report"].take()).collect()
    }

    fn kill_server(&self, step: &str) {
        let named = format!("serve {step} ");
        let (pid, _) =
            children(self.process.pid()).into_iter().find(|(_, line)| line.contains(&named)).expect("it runs");
        signal(pid, "KILL");
    }
}

/// Figures by metric and step, as the reports of runs have them.
type Figures = BTreeMap<(&'static str, String), u64>;

const COUNTED: [(&str, &str); 4] = [
    ("quiver_step_rows_in_total", "rows_in"),
    ("quiver_step_rows_out_total", "rows_out"),
    ("quiver_step_bytes_out_total", "bytes_out"),
    ("quiver_step_bytes_spilled_total", "bytes_spilled"),
];

fn add(figures: &mut Figures, report: &Value) {
    for step in report["steps"].as_array().into_iter().flatten() {
        for (metric, field) in COUNTED {
            *figures.entry((metric, text(&step["step"]))).or_default() += step[field].as_u64().expect("a figure");
        }
        *figures.entry(("quiver_steps_total", text(&step["step"]))).or_default() += 1;
    }
}

/// The answer of Prometheus to a query: labels and value of each series.
fn query(prometheus: &Prometheus, query: &str) -> Vec<(Value, f64)> {
    let answer = prometheus.ask(&format!("/api/v1/query?query={}", http::escaped(query)));
    let answer: Value = answer.and_then(|answer| serde_json::from_str(&answer).ok()).unwrap_or_default();
    let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let value = |one: &Value| one["value"][1].as_str().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN);
    series.into_iter().map(|mut one| (one["metric"].take(), value(&one))).collect()
}

fn counted(prometheus: &Prometheus) -> Figures {
    let mut figures = Figures::new();
    for metric in COUNTED.iter().map(|(metric, _)| *metric).chain(["quiver_steps_total"]) {
        for (labels, value) in query(prometheus, &format!("sum by (step) ({metric})")) {
            figures.insert((metric, text(&labels["step"])), value as u64);
        }
    }
    figures
}

const LONG: &str = "name: long
steps:
  - {id: extract, service: extract-csv, params: {file_path: long.csv}}
  - {id: outliers, service: outliers, params: {column: MonthlyIncome}, depends_on: [extract]}
  - {id: load, service: load-data, params: {format: csv, dataset_name: out}, depends_on: [outliers]}
";

#[test]
fn a_retry_is_a_sibling_the_counters_are_exact_and_every_query_has_an_answer() {
    let watch = Watch::start();
    let prometheus = Prometheus::start(&configs(), &watch.collector);
    let house = House::new(PROGRAM);
    assert_eq!(house.quiver(&["generate", "hr", "--rows", "150000", "-o", "long.csv"]).code, Some(0));
    house.write("long.yaml", LONG);
    let service = Service::start(&house, &watch);
    let mut told = Figures::new();
    let mut runs = 0.0;
    let mut count = |run: &str| {
        service.reports(run).iter().for_each(|report| add(&mut told, report));
        runs += 1.0;
        let exact = || {
            let ended: f64 = query(&prometheus, "sum(quiver_runs_total)").iter().map(|(_, value)| value).sum();
            (counted(&prometheus) == told && ended == runs).then_some(())
        };
        eventually(SOON, "Prometheus counts what the reports say", exact);
    };

    // A server dies in the middle of a run.
    let long = service.submit(&["long.yaml"]);
    eventually(SOON, "outliers runs", || {
        let shown = service.show(&long);
        let steps = shown["steps"].as_array()?;
        steps.iter().any(|step| step["id"] == "outliers" && step["status"] == "running").then_some(())
    });
    service.kill_server("outliers");
    service.until(&long, "done");
    count(&long);
    let reports = service.reports(&long);
    assert_eq!(reports.len(), 2, "one attempt failed, one went well");
    assert_siblings(&watch, &long, &text(&reports[1]["trace_id"]));

    // Several pipelines, one of which fails.
    for file in [HR, DIAMOND, HR] {
        let run = service.submit(&[file]);
        service.until(&run, "done");
        count(&run);
    }
    let failed = service.submit(&[HR, "--set", "quality.rules.min_rows=501"]);
    service.until(&failed, "failed");
    count(&failed);
    let id = text(&service.reports(&failed)[0]["trace_id"]);
    eventually(SOON, "its log lines arrive", || watch.logged("run ended badly", &id).then_some(()));

    every_metric_is_known(&prometheus);
    every_query_has_an_answer(&prometheus);
    let ended = query(&prometheus, &filled(&queries_of("overview.json")[0]));
    assert_eq!(ended.iter().map(|(_, value)| value).sum::<f64>(), runs, "the first panel counts the first run too");
    service.process.signal("TERM");
    assert_eq!(service.process.end_within(SOON).code, Some(0));
}

fn assert_siblings(watch: &Watch, run: &str, id: &str) {
    let is_attempt = |span: &&Span| span.name.starts_with("attempt ");
    let trace = eventually(SOON, "both attempts arrive, whole", || {
        let mut trace = watch.trace(id);
        // The server that was killed could not tell of its call any more, but of the planning in it.
        if let Some(lost) = trace.iter().position(|span| span.name == "plan" && parent(&trace, span).is_none()) {
            trace.remove(lost);
        }
        (trace.iter().filter(is_attempt).count() == 2 && is_whole(&trace)).then_some(trace)
    });
    let root = trace.iter().find(|span| span.parent.is_none()).expect("a root");
    assert_eq!(root.name, "POST /api/v1/runs", "spans of requests are named by their route");
    let parents: BTreeSet<_> = trace.iter().filter(is_attempt).map(|span| &span.parent).collect();
    assert_eq!(parents.len(), 1, "attempts are siblings");
    for attempt in ["attempt 1", "attempt 2"] {
        let attempt = trace.iter().find(|span| span.name == attempt).expect("its span");
        let runs: Vec<_> = trace.iter().filter(|span| span.parent.as_ref() == Some(&attempt.id)).collect();
        assert!(runs.iter().any(|span| span.name == "long"), "{} has a run: {runs:?}", attempt.name);
    }
    assert_eq!(watch.traces_of(run), BTreeSet::from([id.to_owned()]));
}

fn every_metric_is_known(prometheus: &Prometheus) {
    for metric in flight_common::telemetry::metrics::METRICS {
        let suffix = if metric.kind == "histogram" { "_count" } else { "" };
        let name = metric.in_prometheus() + suffix;
        assert!(!query(prometheus, &name).is_empty(), "Prometheus knows no {name}");
    }
}

fn every_query_has_an_answer(prometheus: &Prometheus) {
    let boards = ["overview.json", "pipeline.json", "step.json", "bottleneck.json"];
    let queries: Vec<String> = boards.iter().flat_map(|board| queries_of(board)).chain(alerts(prometheus)).collect();
    assert!(queries.len() > 40, "{} queries", queries.len());
    for one in queries {
        let asked = filled(&one);
        eventually(SOON, &format!("an answer to {asked}"), || {
            query(prometheus, &asked).iter().any(|(_, value)| !value.is_nan()).then_some(())
        });
    }
}

/// A query of a dashboard, as Grafana asks it with everything chosen.
fn filled(query: &str) -> String {
    let chosen = [("$__rate_interval", "1m"), ("$__range", "30m"), ("$pipeline", ".*"), ("$step", ".*")];
    chosen.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}

/// Every query of a dashboard, those that fill its variables included.
fn queries_of(board: &str) -> Vec<String> {
    let file = configs().join("grafana/dashboards").join(board);
    let board: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("a dashboard")).expect("JSON");
    let panels = board["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("queries"));
    let variables = board["templating"]["list"].as_array().expect("variables").iter();
    let values = variables.map(|variable| {
        let asked = text(&variable["query"]);
        let inner = asked.trim_start_matches("label_values(").trim_end_matches(')');
        let (metric, label) = inner.split_once(", ").expect("a metric and a label");
        format!("group by ({label}) ({metric}{{{label}!=\"\"}})")
    });
    targets.map(|target| text(&target["expr"])).chain(values).collect()
}

/// The expressions of all alerts that Prometheus has read, each telling whether it goes off: a comparison leaves
/// nothing where all is well.
fn alerts(prometheus: &Prometheus) -> Vec<String> {
    let rules: Value = serde_json::from_str(&prometheus.ask("/api/v1/rules").expect("rules")).expect("JSON");
    let groups = rules["data"]["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    let told = |rule: &Value| {
        let query = text(&rule["query"]);
        let (value, compared, limit) = [" > ", " < ", " == "]
            .iter()
            .find_map(|compared| query.rsplit_once(compared).map(|(value, limit)| (value, *compared, limit)))
            .unwrap_or_else(|| panic!("{query} compares nothing"));
        format!("{value}{compared}bool {limit}")
    };
    rules.map(told).collect()
}

#[test]
fn a_collector_that_stands_still_or_dies_costs_no_run() {
    let mut watch = Watch::start();
    let house = House::new(PROGRAM);
    let seconds = |watch: &Watch| {
        let begun = Instant::now();
        let output = watch.command(&house, &["run", HR, "--mesh", "--json"]).output().expect("the command runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (begun.elapsed(), serde_json::from_slice::<Value>(&output.stdout).expect("a report"))
    };
    let (well, _) = seconds(&watch);
    // Each process waits for its last words a little at most, the servers all at once and then their master.
    let allowed = well + Duration::from_secs(10);
    watch.collector.signal("STOP");
    let (hung, _) = seconds(&watch);
    watch.collector.kill();
    let (dead, _) = seconds(&watch);
    assert!(hung < allowed && dead < allowed, "{well:?} with a collector, {hung:?} hung, {dead:?} dead");
    // And once it is back, it is told again.
    watch.collector.up();
    let (_, report) = seconds(&watch);
    let id = text(&report["trace_id"]);
    eventually(SOON, "the trace arrives", || (!watch.trace(&id).is_empty()).then_some(()));
}

#[test]
fn what_is_shipped_for_prometheus_is_right() {
    for words in [["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]] {
        let checked = Command::new(promtool()).args(words).current_dir(configs()).output().expect("promtool runs");
        let told = [checked.stdout, checked.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(checked.status.success(), "{words:?}: {told}");
    }
}
