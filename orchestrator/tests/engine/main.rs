//! The engine, through both doors: what runs, what a fault does, and what never happens.

mod attended;
mod outputs;
mod stops;
#[path = "../support/mod.rs"]
mod support;

use arrow::datatypes::SchemaRef;
use flight_common::client::StepClient;
use flight_common::{EdgeStream, Effects, Fault, FaultKind, Holds, StepCommand, StepDescription};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use orchestrator::mesh::{Call, FlightMesh, Matching, Mesh, Planner, Running, StepPlan};
use orchestrator::pipeline::{self, Arguments, Source};
use orchestrator::run::{Attendant, Progress, RunOptions, RunReport, Status};
use std::sync::Arc;
use std::time::Duration;
use support::{House, rows_flow};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(30);

/// Runs a pipeline in this process and behind Flight, each in a house of its own.
async fn both(memory: usize, yaml: &str, options: impl Fn() -> RunOptions) -> [(House, RunReport); 2] {
    let here = House::with_memory(memory);
    let report_here = here.run(here.in_process(), yaml, options()).await;
    let there = House::with_memory(memory);
    let (mesh, server) = there.served().await;
    let report_there = there.run(mesh, yaml, options()).await;
    server.stop().await.expect("nothing is left running");
    [(here, report_here), (there, report_there)]
}

fn status_of(report: &RunReport, id: &str) -> Status {
    report.steps.iter().find(|step| step.id == id).expect("the step").status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_never_asked_is_asked_when_its_step_is_planned() {
    let house = House::new();
    let (address, server) = house.listening(House::registry()).await;
    let client = StepClient::tcp(&address.to_string()).expect("an address");
    let mesh = FlightMesh::new(vec![client], house.env.data_root.clone());
    let command =
        StepCommand { step: "numbers".to_owned(), params: serde_json::json!({"rows": 1}), ..StepCommand::default() };
    assert_eq!(mesh.plan(command, Vec::new()).await.expect("it is asked").outputs.len(), 1);
    server.stop().await.expect("nothing is left running");
}

const CHAIN: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 250000}}
  - {id: s, service: sum, depends_on: n}
";

#[tokio::test]
async fn a_chain_runs_and_its_figures_agree() {
    for (house, report) in both(64 << 20, CHAIN, RunOptions::default).await {
        assert_eq!(report.status, Status::Done, "{report:?}");
        assert_eq!(house.sum(), Some(249_999 * 250_000 / 2));
        let [numbers, sum] = &report.steps[..] else { panic!("two steps") };
        assert_eq!((numbers.rows_out, sum.rows_in, sum.rows_out), (250_000, 250_000, 1));
        assert_eq!(sum.receipt.as_ref().expect("a receipt")["sum"], 249_999_i64 * 125_000);
    }
}

#[tokio::test]
async fn a_fault_is_told_where_it_began_and_nothing_is_written() {
    let yaml = CHAIN.replace("rows: 250000", "rows: 250000, fail_after: 200000");
    for (house, report) in both(64 << 20, &yaml, RunOptions::default).await {
        assert_eq!(report.status, Status::Failed, "{report:?}");
        let fault = report.fault.as_ref().expect("a fault");
        assert_eq!((fault.kind(), fault.step_name()), (FaultKind::BadData, Some("n")));
        assert_eq!(fault.row_number(), Some(200_000));
        assert_eq!(status_of(&report, "n"), Status::Failed);
        assert_eq!(status_of(&report, "s"), Status::Cancelled);
        assert_eq!(house.names(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_step_that_only_comes_after_another_waits_for_it() {
    let yaml = "
steps:
  - {id: first, service: numbers, params: {rows: 1000, fail_after: 0}}
  - {id: write, service: sum, depends_on: first}
  - {id: later, service: numbers, params: {rows: 10}, depends_on: write}
";
    for (_, report) in both(64 << 20, yaml, RunOptions::default).await {
        assert_eq!(status_of(&report, "later"), Status::Skipped, "{report:?}");
    }
    let yaml = yaml.replace(", fail_after: 0", "");
    for (_, report) in both(64 << 20, &yaml, RunOptions::default).await {
        assert_eq!(report.status, Status::Done, "{report:?}");
        assert_eq!(status_of(&report, "later"), Status::Done);
    }
}

#[tokio::test]
async fn a_step_that_waits_does_not_hold_back_what_feeds_it() {
    // `last` waits for `write`, which waits for the end of `n`, which feeds `last`.
    let yaml = "
steps:
  - {id: n, service: numbers, params: {rows: 2000000}}
  - {id: later, service: numbers, params: {rows: 10}, depends_on: n}
  - {id: write, service: sum, depends_on: later}
  - {id: last, service: sum, depends_on: [n, write]}
";
    let runs = tokio::time::timeout(SOON, both(4 << 20, yaml, RunOptions::default));
    for (house, report) in runs.await.expect("it ends") {
        assert_eq!(report.status, Status::Done, "{report:?}");
        assert_eq!(house.sum(), Some(1_999_999 * 1_000_000));
    }
}

#[tokio::test]
async fn a_step_whose_condition_does_not_hold_is_skipped_and_what_it_feeds_too() {
    let yaml = "
steps:
  - {id: n, service: numbers, params: {rows: 50000}}
  - {id: few, service: second-then-first, depends_on: [n, n], when: steps.n.rows_out < 100}
  - {id: w, service: sum, depends_on: few}
  - {id: later, service: numbers, params: {rows: 10}, depends_on: w}
";
    for (house, report) in both(64 << 20, yaml, RunOptions::default).await {
        assert_eq!(report.status, Status::Done, "{report:?}");
        let ended = ["n", "few", "w", "later"].map(|id| status_of(&report, id));
        assert_eq!(ended, [Status::Done, Status::Skipped, Status::Skipped, Status::Done]);
        assert_eq!(house.sum(), None);
    }
    for (house, report) in both(64 << 20, &yaml.replace("< 100", "> 100"), RunOptions::default).await {
        assert_eq!(report.status, Status::Done, "{report:?}");
        assert_eq!(house.sum(), Some(49_999 * 50_000));
    }
}

#[tokio::test]
async fn one_side_of_a_join_that_is_skipped_skips_the_join_and_ends_the_other() {
    let yaml = "
params: {both: false}
steps:
  - {id: a, service: numbers, params: {rows: 2000000}}
  - {id: b, service: numbers, params: {rows: 10}, when: both}
  - {id: j, service: second-then-first, depends_on: [a, b]}
  - {id: w, service: sum, depends_on: j}
";
    let runs = tokio::time::timeout(SOON, both(4 << 20, yaml, RunOptions::default));
    for (_, report) in runs.await.expect("it ends") {
        assert_eq!(report.status, Status::Done, "{report:?}");
        assert_eq!(status_of(&report, "w"), Status::Skipped);
    }
}

#[tokio::test]
async fn a_join_one_side_of_which_waits_does_not_hold_back_the_other() {
    let yaml = "
steps:
  - {id: a, service: numbers, params: {rows: 2000000}}
  - {id: b, service: numbers, params: {rows: 10}, when: steps.a.rows_out > 10}
  - {id: j, service: second-then-first, depends_on: [a, b]}
  - {id: w, service: sum, depends_on: j}
";
    for yaml in [yaml, &yaml.replace("when: steps.a.rows_out > 10", "depends_on: a")] {
        let runs = tokio::time::timeout(SOON, both(4 << 20, yaml, RunOptions::default));
        for (house, report) in runs.await.expect("it ends") {
            assert_eq!(report.status, Status::Done, "{report:?}");
            assert_eq!(house.sum(), Some(1_999_999 * 1_000_000 + 45));
        }
    }
}

#[tokio::test]
async fn a_condition_that_cannot_be_worked_out_fails_its_step() {
    let yaml = "
steps:
  - {id: n, service: numbers, params: {rows: 10}}
  - {id: w, service: sum, depends_on: n, when: steps.n.counters.none > 0}
";
    for (_, report) in both(64 << 20, yaml, RunOptions::default).await {
        let fault = report.fault.expect("a fault");
        assert_eq!((fault.kind(), fault.step_name()), (FaultKind::BadParams, Some("w")), "{fault}");
    }
}
