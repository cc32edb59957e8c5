//! A run that failed is tried again or resumed, and does again only what it must.

use super::*;
use flight_common::client::StepClient;
use flight_common::server::Listener;
use orchestrator::mesh::FlightMesh;

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let run = replica.submit(&CHAIN.replace("rows: 100000", "rows: 100000, needs: ready.txt")).await;
    let row = replica.until(&run, RunState::Failed).await;
    assert_eq!(row.attempt, 3, "{row:?}");
    assert_eq!(row.fault.expect("a fault")["message"], "the source is out of reach");

    let run = replica.submit(&CHAIN.replace("rows: 100000", "rows: 100000, fail_after: 5000")).await;
    let row = replica.until(&run, RunState::Failed).await;
    assert_eq!((row.attempt, &row.fault.expect("a fault")["kind"]), (1, &Value::from("bad_data")));
    assert_eq!(house.sum(), None, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_a_moment_costs_no_attempt() {
    let house = House::new();
    let socket = house.folder.path().join("steps.sock");
    let client = StepClient::unix(&socket).expect("a path");
    let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    let mesh = FlightMesh::new(vec![client], house.env.data_root.clone());
    let replica = at_work(idle_on(&house, mesh, Settings { retry, ..settings() }).await);
    let submission = Submission { body: CHAIN.to_owned(), unplanned: true, ..Submission::default() };
    let run = replica.service.submit(submission).await.expect("it is queued").run.id;
    replica.until(&run, RunState::Running).await;
    let listener = Listener::default().and_unix(&socket).expect("a socket");
    let _server = house.serve(listener, House::registry()).await;
    let row = replica.until(&run, RunState::Done).await;
    assert_eq!((row.attempt, house.sum()), (1, Some(99_999 * 50_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_run_does_again_only_what_it_must() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let tail = "
  - {id: again, service: numbers, params: {rows: 10, needs: ready.txt}, depends_on: s}
";
    let body = format!("{CHAIN}{tail}");
    let run = replica.submit(&body).await;
    replica.until(&run, RunState::Failed).await;
    assert_eq!(replica.steps(&run).await, pairs(&[("n", "reused"), ("s", "reused"), ("again", "failed")]));

    // Resumed with another tail: what was done stays done.
    let changed = body.replace("needs: ready.txt", "");
    replica.service.resume(&run, Some(changed), true, "ann").await.expect("it can be resumed");
    let row = replica.until(&run, RunState::Done).await;
    assert_eq!(row.attempt, 4);
    assert_eq!(replica.steps(&run).await, pairs(&[("n", "reused"), ("s", "reused"), ("again", "done")]));
    let reports: Vec<Value> =
        replica.service.store().attempts(&run).await.expect("told").into_iter().filter_map(|one| one.report).collect();
    let figures = |report: &Value| ["rows_in", "rows_out", "bytes_out"].map(|name| report["steps"][0][name].clone());
    assert_eq!(figures(&reports[3]), figures(&reports[0]), "a reused step tells what it did when it was done");
    assert_ne!(reports[3]["steps"][0]["rows_out"], 0);

    // Whatever its steps are called by then.
    let run = replica.submit(&body).await;
    replica.until(&run, RunState::Failed).await;
    std::fs::remove_file(house.folder.path().join("sum.txt")).expect("it was written");
    let renamed = changed_ids(&body.replace("needs: ready.txt", ""));
    replica.service.resume(&run, Some(renamed), true, "ann").await.expect("it can be resumed");
    replica.until(&run, RunState::Done).await;
    assert_eq!(replica.steps(&run).await, pairs(&[("read", "reused"), ("load", "reused"), ("again", "done")]));
    assert_eq!(house.sum(), None, "nothing was written twice");
}

fn changed_ids(body: &str) -> String {
    let body = body.replace("{id: n,", "{id: read,").replace("depends_on: n", "depends_on: read");
    body.replace("{id: s,", "{id: load,").replace("depends_on: s", "depends_on: load")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_main_output_is_done_with_runs_for_another_one() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let run = replica
        .submit(
            "
steps:
  - {id: n, service: numbers, params: {rows: 50000}}
  - {id: p, service: parts, depends_on: n}
  - {id: s, service: sum, depends_on: p}
  - {id: late, service: numbers, params: {rows: 10, needs: ready.txt}, depends_on: s}
  - {id: both, service: second-then-first, inputs: {first: p.rest, second: late}}
",
        )
        .await;
    let row = replica.until(&run, RunState::Failed).await;
    assert_eq!(row.fault.expect("a fault")["message"], "the source is out of reach", "in every attempt");
    std::fs::write(house.folder.path().join("ready.txt"), "").expect("written");
    replica.service.resume(&run, None, true, "ann").await.expect("it can be resumed");
    replica.until(&run, RunState::Done).await;
    let steps = [("n", "done"), ("p", "done"), ("s", "reused"), ("late", "done"), ("both", "done")];
    assert_eq!(replica.steps(&run).await, pairs(&steps));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_output_feeds_a_changed_load_and_a_spoilt_one_is_made_again() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let body = CHAIN.replace("service: sum, depends_on: n", "service: second-then-first, depends_on: [n, n]");
    let failing = format!("{body}  - {{id: w, service: numbers, params: {{rows: 1, fail_after: 0}}, depends_on: s}}\n");
    let run = replica.submit(&failing).await;
    replica.until(&run, RunState::Failed).await;
    let mended = format!("{body}  - {{id: w, service: sum, depends_on: s}}\n");
    let kept = async || serde_json::to_value(replica.service.store().kept(&run).await.expect("told")).expect("JSON");
    let before = kept().await;
    replica.service.resume(&run, Some(mended.clone()), true, "ann").await.expect("it can be resumed");
    replica.until(&run, RunState::Done).await;
    assert_eq!(kept().await, before, "what is reused is not kept anew");
    assert_eq!(replica.steps(&run).await, pairs(&[("n", "reused"), ("s", "done"), ("w", "done")]));
    assert_eq!(house.sum(), Some(99_999 * 100_000));

    let run = replica.submit(&failing).await;
    replica.until(&run, RunState::Failed).await;
    let kept = replica.service.store().kept(&run).await.expect("told").remove(0);
    let file = replica.service.own_folder().path().join(kept.path);
    let mut bytes = std::fs::read(&file).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("spoilt");
    replica.service.resume(&run, Some(mended), true, "ann").await.expect("it can be resumed");
    replica.until(&run, RunState::Done).await;
    assert_eq!(replica.steps(&run).await, pairs(&[("n", "done"), ("s", "done"), ("w", "done")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_finally_waits_for_the_last_attempt() {
    let house = House::new();
    let replica = replica(&house, unhurried()).await;
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 10, needs: ready.txt}}
finally:
  - {id: told, service: numbers, params: {rows: 5}}
  - {id: wrote, service: sum, depends_on: told}
";
    let run = replica.submit(body).await;
    let row = replica.until(&run, RunState::Failed).await;
    assert_eq!(row.attempt, 3, "{row:?}");
    assert_eq!(house.sum(), Some(10));
    let commits = replica.events(&run).await.iter().filter(|event| event.kind == "committing").count();
    assert_eq!(commits, 1, "once, at the end of all attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_what_runs_finally_is_not_tried_again() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 5}}
  - {id: s, service: sum, depends_on: n}
finally:
  - {id: late, service: numbers, params: {rows: 10, needs: ready.txt}}
";
    let run = replica.submit(body).await;
    let row = replica.until(&run, RunState::Failed).await;
    assert_eq!((row.attempt, house.sum()), (1, Some(10)), "{row:?}");
    assert_eq!(replica.steps(&run).await, pairs(&[("n", "done"), ("s", "done"), ("late", "failed")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_still_does_what_it_does_finally() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 10000, stall_after: 5000}}
finally:
  - {id: told, service: numbers, params: {rows: 5}, when: run.status == 'cancelled'}
  - {id: wrote, service: sum, depends_on: told}
";
    let run = replica.submit(body).await;
    replica.until(&run, RunState::Running).await;
    replica.service.cancel(&run, "ann").await.expect("it can be cancelled");
    replica.until(&run, RunState::Cancelled).await;
    assert_eq!(house.sum(), Some(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_finally_runs_also_if_the_run_cannot_be_planned_any_more() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let root = house.env.data_root.path();
    std::fs::write(root.join("in.csv"), "").expect("written");
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 10, needs: ready.txt}, for_each: {files: 'in*.csv'}}
finally:
  - {id: told, service: numbers, params: {rows: 5}, when: run.status == 'failed'}
  - {id: wrote, service: sum, depends_on: told}
";
    let run = replica.submit(body).await;
    replica.until(&run, RunState::Failed).await;
    assert_eq!(house.sum(), Some(10));
    for file in ["in.csv", "sum.txt"] {
        std::fs::remove_file(root.join(file)).expect("it was there");
    }
    replica.service.resume(&run, None, true, "ann").await.expect("it can be resumed");
    let row = replica.until(&run, RunState::Failed).await;
    assert!(row.fault.expect("a fault")["message"].as_str().is_some_and(|told| told.contains("in*.csv")));
    assert_eq!(house.sum(), Some(10), "again");
    let attempts = replica.service.store().attempts(&run).await.expect("told");
    let report = attempts.last().and_then(|attempt| attempt.report.clone()).expect("a report");
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(replica.steps(&run).await, pairs(&[("told", "done"), ("wrote", "done")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_between_two_attempts_does_what_it_does_finally() {
    let house = House::new();
    let hour = Duration::from_secs(3600);
    let retry = RetryPolicy { attempts: 3, first: hour, longest: hour };
    let replica = replica(&house, Settings { retry, ..settings() }).await;
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 10, needs: ready.txt}}
finally:
  - {id: told, service: numbers, params: {rows: 5}, when: run.status == 'cancelled' and steps.n.status == 'skipped'}
  - {id: wrote, service: sum, depends_on: told}
";
    let run = replica.submit(body).await;
    replica.until_true(&run, |row| row.state == RunState::Queued && row.attempt == 1).await;
    assert_eq!(house.sum(), None, "it goes on");
    replica.service.cancel(&run, "ann").await.expect("it can be cancelled");
    replica.until(&run, RunState::Cancelled).await;
    assert_eq!(house.sum(), Some(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_remembers_the_figures_of_a_step_that_is_not_done_again() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let body = "
steps:
  - {id: n, service: numbers, checkpoint: true, params: {rows: 3000}}
  - {id: j, service: second-then-first, checkpoint: true, depends_on: [n, n]}
  - {id: s, service: sum, depends_on: j}
  - {id: again, service: numbers, params: {rows: 10, needs: ready.txt}, depends_on: s}
  - {id: last, service: numbers, params: {rows: 10}, depends_on: again, when: steps.j.rows_in == 6000}
";
    let run = replica.submit(body).await;
    replica.until(&run, RunState::Failed).await;
    std::fs::write(house.env.data_root.path().join("ready.txt"), "").expect("written");
    replica.service.resume(&run, None, true, "ann").await.expect("it can be resumed");
    replica.until(&run, RunState::Done).await;
    let ended = [("n", "reused"), ("j", "reused"), ("s", "reused"), ("again", "done"), ("last", "done")];
    assert_eq!(replica.steps(&run).await, pairs(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_finds_a_step_that_is_not_done_again_as_it_was_when_it_was_done() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 3000}}
  - {id: s, service: sum, depends_on: n}
  - {id: again, service: numbers, params: {rows: 10, needs: ready.txt}, depends_on: s}
";
    let run = replica.submit(body).await;
    replica.until(&run, RunState::Failed).await;
    assert_eq!(replica.steps(&run).await, pairs(&[("n", "reused"), ("s", "reused"), ("again", "failed")]));
    // A condition that only the resumed run has asks for what the first attempt has done.
    let figures = "steps.n.rows_out == 3000 and steps.n.bytes_out > 0 and steps.s.rows_out == 1";
    let asks = format!("steps.n.status == 'done' and steps.s.status == 'done' and {figures}");
    let body = format!(
        "{body}  - {{id: last, service: numbers, params: {{rows: 10}}, depends_on: again, when: \"{asks}\"}}\n"
    );
    std::fs::write(house.env.data_root.path().join("ready.txt"), "").expect("written");
    replica.service.resume(&run, Some(body), true, "ann").await.expect("it can be resumed");
    replica.until(&run, RunState::Done).await;
    let ended = [("n", "reused"), ("s", "reused"), ("again", "done"), ("last", "done")];
    assert_eq!(replica.steps(&run).await, pairs(&ended));
}
