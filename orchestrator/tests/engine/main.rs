//! The engine, through both doors: what runs, what a fault does, and what never happens.

mod support;

use arrow::datatypes::SchemaRef;
use flight_common::{EdgeStream, Effects, Fault, FaultKind, StepCommand, StepDescription};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use orchestrator::mesh::{Call, Mesh, Planner, Running, StepPlan};
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
async fn a_step_of_two_outputs_that_fails_at_once_tells_why() {
    let yaml = "
steps:
  - {id: n, service: numbers, params: {rows: 10}}
  - {id: p, service: parts, params: {fail: true}, depends_on: n}
  - {id: s, service: sum, inputs: {input: p.rest}}
";
    for (house, report) in both(64 << 20, yaml, RunOptions::default).await {
        let fault = report.fault.as_ref().expect("a fault");
        assert_eq!((fault.message(), fault.step_name()), ("these rows are not liked", Some("p")));
        assert_eq!(house.names(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_further_output_that_breaks_off_by_itself_fails_its_step() {
    let yaml = "
steps:
  - {id: n, service: numbers, params: {rows: 10}}
  - {id: p, service: parts, depends_on: n}
  - {id: s, service: sum, inputs: {input: p.rest}}
";
    let house = House::with_memory(64 << 20);
    let report = house.run(BreaksFurther(house.in_process()), yaml, RunOptions::default()).await;
    let fault = report.fault.as_ref().expect("a fault");
    assert_eq!((fault.message(), fault.step_name()), ("the connection broke", Some("p")));
    assert_eq!(status_of(&report, "p"), Status::Failed);
    assert_ne!(status_of(&report, "s"), Status::Done);
    assert_eq!(house.names(), Vec::<String>::new());
}

/// A mesh whose further outputs end with a fault at their first rows.
struct BreaksFurther<M>(M);

impl<M: Planner> Planner for BreaksFurther<M> {
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<StepDescription>, Fault>> {
        self.0.catalog()
    }

    fn files(&self, pattern: &str) -> Result<Vec<String>, Fault> {
        self.0.files(pattern)
    }

    fn plan(&self, command: StepCommand, inputs: Vec<SchemaRef>) -> BoxFuture<'_, Result<StepPlan, Fault>> {
        self.0.plan(command, inputs)
    }
}

impl<M: Mesh> Mesh for BreaksFurther<M> {
    type Item = M::Item;

    fn start(&self, call: Call<M::Item>) -> BoxFuture<'_, Result<Running<M::Item>, Fault>> {
        let breaks = |output: EdgeStream<M::Item>| {
            output.wrap(|items| items.map(|item| item.and_then(|_| Err(Fault::upstream("the connection broke")))))
        };
        async move {
            let mut running = self.0.start(call).await?;
            let further = running.outputs.split_off(1);
            running.outputs.extend(further.into_iter().map(breaks));
            Ok(running)
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_diamond_of_two_outputs_does_not_hang() {
    let yaml = "
steps:
  - {id: n, service: numbers, params: {rows: 4000000}}
  - {id: p, service: parts, depends_on: n}
  - {id: j, service: second-then-first, inputs: {first: p, second: p.rest}}
  - {id: s, service: sum, depends_on: j}
";
    for (house, report) in both(4 << 20, yaml, RunOptions::default).await {
        assert_eq!(report.status, Status::Done, "{report:?}");
        assert_eq!(house.sum(), Some(3_999_999 * 2_000_000 + 7));
    }
}

const DIAMOND: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 4000000}}
  - {id: j, service: second_then_first, depends_on: [n, n]}
  - {id: s, service: sum, depends_on: j}
";

#[tokio::test]
async fn a_diamond_whose_join_reads_one_side_first_does_not_hang() {
    for (house, report) in both(4 << 20, DIAMOND, RunOptions::default).await {
        assert_eq!(report.status, Status::Done, "{report:?}");
        assert_eq!(house.sum(), Some(3_999_999 * 4_000_000));
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
async fn a_cancel_ends_a_run_that_stands_still() {
    let yaml = CHAIN.replace("rows: 250000", "rows: 250000, stall_after: 10000");
    let here = House::new();
    cancelled(&here, here.in_process(), &yaml).await;
    let there = House::new();
    let (mesh, server) = there.served().await;
    cancelled(&there, mesh, &yaml).await;
    server.stop().await.expect("nothing is left running");
}

async fn cancelled<M: Mesh>(house: &House, mesh: M, yaml: &str) {
    let cancel = CancellationToken::new();
    let progress = Arc::new(Progress::new(2));
    let options = RunOptions { cancel: cancel.clone(), ..RunOptions::default() };
    let running = house.run_watched(mesh, yaml, options, progress.clone());
    let asking = async {
        rows_flow(&progress, 10_000).await;
        cancel.cancel();
    };
    let ended = tokio::time::timeout(SOON, async { tokio::join!(running, asking) }).await;
    let (report, ()) = ended.expect("it ends");
    assert_eq!(report.status, Status::Cancelled, "{report:?}");
    assert_eq!(house.names(), Vec::<String>::new());
}

#[tokio::test]
async fn a_step_that_takes_too_long_is_timed_out_by_name() {
    let yaml = CHAIN.replace("params: {rows: 250000}", "timeout: 200ms, params: {rows: 250000, stall_after: 10000}");
    for (house, report) in both(64 << 20, &yaml, RunOptions::default).await {
        let fault = report.fault.as_ref().expect("a fault");
        assert_eq!((fault.kind(), fault.step_name()), (FaultKind::TimedOut, Some("n")), "{report:?}");
        assert_eq!(house.names(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_timed_out() {
    let yaml = CHAIN.replace("rows: 250000", "rows: 250000, stall_after: 10000");
    let options = || RunOptions { limit: Some(Duration::from_millis(200)), ..RunOptions::default() };
    for (house, report) in both(64 << 20, &yaml, options).await {
        assert_eq!(report.status, Status::Failed);
        assert_eq!(report.fault.as_ref().expect("a fault").kind(), FaultKind::TimedOut);
        assert_eq!(house.names(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_server_that_stops_mid_run_fails_the_run_and_writes_nothing() {
    let house = House::new();
    let (mesh, server) = house.served().await;
    let yaml = CHAIN.replace("rows: 250000", "rows: 250000, stall_after: 10000");
    let progress = Arc::new(Progress::new(2));
    let running = house.run_watched(mesh, &yaml, RunOptions::default(), progress.clone());
    let stopping = async {
        rows_flow(&progress, 10_000).await;
        drop(server);
    };
    let ended = tokio::time::timeout(SOON, async { tokio::join!(running, stopping) }).await;
    let (report, ()) = ended.expect("it ends");
    assert_eq!(report.status, Status::Failed, "{report:?}");
    assert_eq!(house.names(), Vec::<String>::new());
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

const ENDING: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 5000, fail_after: 1000}}
  - {id: s, service: sum, depends_on: n}
finally:
  - {id: told, service: numbers, params: {rows: 8}, when: \"run.status == 'failed' and run.fault.step == 'n'\"}
  - {id: wrote, service: sum, depends_on: told}
  - {id: quiet, service: numbers, params: {rows: 8}, when: \"steps.s.status == 'done' and run.fault.step is none\"}
";

#[tokio::test]
async fn what_runs_finally_runs_however_the_run_has_ended() {
    for (house, report) in both(64 << 20, ENDING, RunOptions::default).await {
        assert_eq!(report.status, Status::Failed, "{report:?}");
        assert_eq!(report.fault.as_ref().and_then(|fault| fault.step_name()), Some("n"));
        let ended = ["told", "wrote", "quiet"].map(|id| status_of(&report, id));
        assert_eq!(ended, [Status::Done, Status::Done, Status::Skipped]);
        assert_eq!(house.sum(), Some(28));
    }
    let well = ENDING.replace(", fail_after: 1000", "");
    for (house, report) in both(64 << 20, &well, RunOptions::default).await {
        assert_eq!(report.status, Status::Done, "{report:?}");
        let ended = ["told", "wrote", "quiet"].map(|id| status_of(&report, id));
        assert_eq!(ended, [Status::Skipped, Status::Skipped, Status::Done]);
        assert_eq!(house.sum(), Some(4999 * 2500));
    }
    let broken = well.replace("rows: 8}, when: \"steps", "rows: 8, fail_after: 0}, when: \"steps");
    for (_, report) in both(64 << 20, &broken, RunOptions::default).await {
        assert_eq!(report.status, Status::Failed, "{report:?}");
        assert_eq!(report.fault.as_ref().and_then(|fault| fault.step_name()), Some("quiet"));
    }
}

#[tokio::test]
async fn a_cancelled_run_ends_as_it_should_and_an_abandoned_one_at_once() {
    let yaml = ENDING
        .replace("fail_after: 1000", "stall_after: 1000")
        .replace("== 'failed' and run.fault.step == 'n'", "== 'cancelled'");
    for (abandon, sum) in [(false, Some(28)), (true, None)] {
        let house = House::new();
        let options = RunOptions::default();
        let (cancel, gone) = (options.cancel.clone(), options.abandon.clone());
        let progress = Arc::new(Progress::new(5));
        let running = house.run_watched(house.in_process(), &yaml, options, progress.clone());
        let stopping = async {
            rows_flow(&progress, 1000).await;
            if abandon {
                gone.cancel();
            }
            cancel.cancel();
        };
        let ended = tokio::time::timeout(SOON, async { tokio::join!(running, stopping) }).await;
        let (report, ()) = ended.expect("it ends");
        assert_eq!(report.status, Status::Cancelled, "{report:?}");
        assert_eq!(house.sum(), sum);
    }
}

const PAYS: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 5}}
  - {id: p, service: pays, params: {plans: none}, depends_on: n}
  - {id: s, service: sum, depends_on: p}
";

/// What the step in the middle does to the world, how many it comes after, and whether what it reads is kept.
async fn planned(mesh: &impl Mesh, yaml: &str) -> (Effects, usize, bool) {
    let plan = pipeline::check(&Source::new("test", yaml), &Arguments::default(), mesh).await.expect("a good pipeline");
    (plan.nodes[1].effects, plan.nodes[1].after.len(), plan.nodes[0].checkpoint)
}

#[tokio::test]
async fn what_a_step_does_to_the_world_is_what_it_plans_or_else_describes() {
    let described = PAYS.replace("{plans: none}", "{}");
    let house = House::new();
    let (flight, server) = house.served().await;
    for (yaml, wanted) in [(PAYS, (Effects::None, 0, false)), (&described, (Effects::External, 1, true))] {
        assert_eq!(planned(&house.in_process(), yaml).await, wanted, "{yaml}");
        assert_eq!(planned(&flight, yaml).await, wanted, "{yaml}");
    }
    server.stop().await.expect("nothing is left running");
}

/// Permits nothing to one step.
struct Forbids(&'static str);

impl Attendant for Forbids {
    fn permit<'a>(&'a self, step: &'a str) -> BoxFuture<'a, Result<(), Fault>> {
        let answer = if step == self.0 { Err(Fault::denied("somebody else runs it")) } else { Ok(()) };
        std::future::ready(answer).boxed()
    }
}

#[tokio::test]
async fn a_transform_that_commits_asks_for_permission_before_its_input_ends() {
    let options = || RunOptions { attendant: Arc::new(Forbids("p")), ..RunOptions::default() };
    for (house, report) in both(64 << 20, &PAYS.replace("none", "commits"), options).await {
        assert_eq!(report.fault.as_ref().map(Fault::kind), Some(FaultKind::Denied), "{report:?}");
        assert_eq!(house.sum(), None);
    }
    for (house, report) in both(64 << 20, PAYS, options).await {
        assert_eq!((report.status, house.sum()), (Status::Done, Some(10)), "it does nothing: {report:?}");
    }
}

/// Lets every load commit, and has the run stopped at the same moment.
struct StopsWhilePermitting(CancellationToken);

impl Attendant for StopsWhilePermitting {
    fn permit<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Fault>> {
        self.0.cancel();
        // Whoever waits for the stop comes first.
        async {
            tokio::task::yield_now().await;
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_load_that_was_let_commit_ends_though_the_run_is_stopped() {
    let options = || {
        let cancel = CancellationToken::new();
        let attendant = Arc::new(StopsWhilePermitting(cancel.clone()));
        RunOptions { cancel, attendant, ..RunOptions::default() }
    };
    for (house, report) in both(64 << 20, CHAIN, options).await {
        assert_eq!(status_of(&report, "s"), Status::Done, "{report:?}");
        assert_eq!((report.status, house.sum()), (Status::Done, Some(249_999 * 250_000 / 2)));
    }
}

#[tokio::test]
async fn what_a_run_says_of_its_loads_is_so_at_whatever_moment_its_time_is_over() {
    let house = House::with_memory(64 << 20);
    let (mesh, server) = house.served().await;
    let mesh = Arc::new(mesh);
    for tenths in 0..60 {
        let _ = std::fs::remove_file(house.folder.path().join("sum.txt"));
        let options = RunOptions { limit: Some(Duration::from_micros(tenths * 100)), ..RunOptions::default() };
        let yaml = CHAIN.replace("250000", "10");
        let report = match tenths % 2 {
            0 => house.run(house.in_process(), &yaml, options).await,
            _ => house.run(mesh.clone(), &yaml, options).await,
        };
        let done = report.status == Status::Done;
        assert_eq!((house.sum().is_some(), status_of(&report, "s") == Status::Done), (done, done), "{report:?}");
    }
    server.stop().await.expect("nothing is left running");
}
