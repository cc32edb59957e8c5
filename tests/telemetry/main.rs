//! What is seen of a run, asked back from those who are told: the real collector, Jaeger and Prometheus, as
//! `otel-collector/` sets them up.

mod prometheus;
mod service;
mod watch;

use prometheus::*;
use quiver_tests::{House, Running, children, eventually, repository, signal};
use serde_json::{Value, json};
use service::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use test_servers::{Collector, Jaeger, Prometheus, http, promtool};
use watch::*;

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
