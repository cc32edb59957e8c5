//! Runs that are stopped: by a cancel, by a time that is over, by a server that goes; and what runs at their end.

use super::*;

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
