//! Durable runs: from the queue to the end, through retries, resumes, cancels, and the loss of a replica.

mod support;

use orchestrator::run::Engine;
use orchestrator::schedule::{CatchUp, Overlap, ScheduleSpec};
use orchestrator::service::{RetryPolicy, Service, Settings, Submission};
use orchestrator::store::{Definition, EventRow, RunFilter, RunRow, RunState, Store};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::House;
use tokio_util::sync::{CancellationToken, DropGuard};

/// No test waits longer than this for what must come.
const SOON: Duration = Duration::from_secs(30);

/// A replica on a data root, and its end.
struct Replica {
    service: Service,
    stop: CancellationToken,
    working: tokio::task::JoinHandle<()>,
    _guard: DropGuard,
}

fn settings() -> Settings {
    let retry = RetryPolicy { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(1) };
    Settings { lease: Duration::from_millis(600), drain: Duration::from_millis(200), retry, ..Settings::default() }
}

async fn replica(house: &House, settings: Settings) -> Replica {
    let root = house.env.data_root.clone();
    let own = root.own_folder().expect("a folder");
    let store = Store::open(&format!("sqlite://{}/quiver.db", own.path().display())).await.expect("it opens");
    let engine = Engine::new(Arc::new(house.in_process()), house.env.space.clone());
    let service = Service::new(store, Arc::new(engine), root, settings).expect("it begins");
    let stop = CancellationToken::new();
    let working = service.start(stop.clone());
    Replica { service, working, _guard: stop.clone().drop_guard(), stop }
}

impl Replica {
    async fn submit(&self, body: &str) -> String {
        let submission =
            Submission { pipeline: Some("test".to_owned()), body: body.to_owned(), ..Submission::default() };
        self.service.submit(submission).await.expect("a good pipeline").run.id
    }

    /// Waits until the run is in this state.
    async fn until(&self, run: &str, state: RunState) -> RunRow {
        self.until_true(run, |row| row.state == state).await
    }

    async fn until_true(&self, run: &str, enough: impl Fn(&RunRow) -> bool) -> RunRow {
        let store = self.service.store();
        let mut changes = store.changes();
        let waiting = async {
            loop {
                let row = store.run(run).await.expect("it is there");
                if enough(&row) {
                    return row;
                }
                // Another replica may have changed it.
                let _ = tokio::time::timeout(Duration::from_millis(50), changes.changed()).await;
            }
        };
        let seen = tokio::time::timeout(SOON, waiting).await;
        match seen {
            Ok(row) => row,
            Err(_) => panic!("it does not come: {:?}", store.run(run).await),
        }
    }

    async fn events(&self, run: &str) -> Vec<EventRow> {
        self.service.store().events(run, 0, 100).await.expect("told")
    }

    /// What the last attempt says of each step.
    async fn steps(&self, run: &str) -> Vec<(String, String)> {
        let attempts = self.service.store().attempts(run).await.expect("told");
        self.steps_of(run, attempts.len() - 1).await
    }

    /// What this attempt says of each step.
    async fn steps_of(&self, run: &str, attempt: usize) -> Vec<(String, String)> {
        let attempts = self.service.store().attempts(run).await.expect("told");
        let report = attempts[attempt].report.clone().expect("a report");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let steps = report["steps"].as_array().expect("steps").iter();
        steps.map(|step| (text(&step["id"]), text(&step["status"]))).collect()
    }
}

fn pairs(steps: &[(&str, &str)]) -> Vec<(String, String)> {
    steps.iter().map(|(id, status)| ((*id).to_owned(), (*status).to_owned())).collect()
}

const CHAIN: &str = "
steps:
  - {id: n, service: numbers, checkpoint: true, params: {rows: 100000}}
  - {id: s, service: sum, depends_on: n}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_queued_run_and_told() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let run = replica.submit(CHAIN).await;
    let row = replica.until(&run, RunState::Done).await;
    assert_eq!((row.attempt, row.fault), (1, None));
    assert_eq!(house.sum(), Some(99_999 * 50_000));
    let kinds: Vec<String> = replica.events(&run).await.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["queued", "started", "committing", "done"]);
    assert_eq!(replica.steps(&run).await, pairs(&[("n", "done"), ("s", "done")]));
    let kept = replica.service.store().kept(&run).await.expect("told");
    assert_eq!((kept.len(), kept[0].step.as_str(), kept[0].rows), (1, "n", 100_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_what_it_was_given_and_runs_with_it() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let body = format!("params: {{rows: {{type: integer}}}}{}", CHAIN.replace("100000", "'{{ rows }}'"));
    let submission = |rows: &str| Submission {
        pipeline: Some("test".to_owned()),
        body: body.clone(),
        params: [("rows".to_owned(), rows.into())].into(),
        idempotency_key: Some("monday".to_owned()),
        ..Submission::default()
    };
    let run = replica.service.submit(submission("1000")).await.expect("a good pipeline").run.id;
    let row = replica.until(&run, RunState::Done).await;
    assert_eq!((row.params["rows"].as_str(), house.sum()), (Some("1000"), Some(999 * 500)));
    replica.service.submit(submission("1001")).await.expect_err("another request with the same key");
    replica.service.submit(Submission { params: [].into(), ..submission("1") }).await.expect_err("a value is missing");
    replica.service.check_unfilled("test", &body).await.expect("good to keep");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_says_how_its_runs_are_run() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let rules = "retry: {attempts: 2, first: 1ms}\npriority: 7\nconcurrency: 1\ntimeout: 1h";
    let body = format!("{rules}{}", CHAIN.replace("rows: 100000", "rows: 100000, needs: ready.txt"));
    let run = replica.submit(&body).await;
    let row = replica.until(&run, RunState::Failed).await;
    assert_eq!((row.attempt, row.priority), (2, 7), "{row:?}");
    let more = Submission { pipeline: Some("test".to_owned()), body, priority: 9, ..Submission::default() };
    assert_eq!(replica.service.submit(more).await.expect("a good pipeline").run.priority, 9);
    let slow = format!("timeout: 50ms{}", CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 1000"));
    let run = replica.submit(&format!("retry: {{attempts: 1}}\n{slow}")).await;
    let row = replica.until(&run, RunState::Failed).await;
    assert_eq!(row.fault.expect("a fault")["message"], "the run took longer than its limit of 0.05 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time_where_the_pipeline_says_so() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let body = format!("concurrency: 1{}", CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 1000"));
    let first = replica.submit(&body).await;
    let second = replica.submit(&body).await;
    replica.until(&first, RunState::Running).await;
    // A run of another pipeline that was queued later passes it by.
    let other = Submission { pipeline: Some("other".to_owned()), body: CHAIN.to_owned(), ..Submission::default() };
    let other = replica.service.submit(other).await.expect("a good pipeline").run.id;
    replica.until(&other, RunState::Done).await;
    assert_eq!(replica.service.store().run(&second).await.expect("there").state, RunState::Queued);
    replica.service.cancel(&first, "ann").await.expect("it runs");
    replica.until(&second, RunState::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_pipeline_is_refused_with_its_places_and_queues_nothing() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let bad = Submission { body: CHAIN.replace("rows", "raws"), ..Submission::default() };
    let refused = replica.service.submit(bad).await.expect_err("it is wrong");
    let orchestrator::service::Refused::Wrong(problems) = refused else { panic!("{refused:?}") };
    assert_eq!(problems.iter().next().expect("a problem").line, 3);
    assert!(replica.service.store().unfinished().await.expect("counted").is_empty());
}

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
    replica.service.resume(&run, Some(mended.clone()), true, "ann").await.expect("it can be resumed");
    replica.until(&run, RunState::Done).await;
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
    let replica = replica(&house, settings()).await;
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
async fn a_run_under_way_is_cancelled_within_a_second() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let run = replica.submit(&CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 5000")).await;
    replica.until(&run, RunState::Running).await;
    replica.service.cancel(&run, "ann").await.expect("it runs");
    let ended = tokio::time::timeout(Duration::from_secs(1), replica.until(&run, RunState::Cancelled)).await;
    let row = ended.expect("within a second");
    assert_eq!((row.owner, row.fault), (None, None));
    assert_eq!(house.sum(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_of_a_replica_that_died_are_taken_over() {
    let house = House::new();
    let first = replica(&house, settings()).await;
    let run = first.submit(&CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 5000")).await;
    first.until(&run, RunState::Running).await;
    // As if by `kill -9`: nothing is told to the store any more.
    first.working.abort();
    let second = replica(&house, settings()).await;
    let row = second.until_true(&run, |row| row.attempt == 2).await;
    assert_eq!(row.owner.as_deref(), Some(second.service.owner()));
    second.service.cancel(&run, "ann").await.expect("it runs");
    second.until(&run, RunState::Cancelled).await;
    assert_eq!(house.sum(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_replicas_die_again_and_again_is_given_up() {
    let house = House::new();
    let body = CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 5000");
    let mut run = None;
    for attempt in 1..=3 {
        let one = replica(&house, settings()).await;
        let id = match &run {
            Some(id) => String::clone(id),
            None => one.submit(&body).await,
        };
        one.until_true(&id, |row| row.attempt == attempt).await;
        one.working.abort();
        run = Some(id);
    }
    let last = replica(&house, settings()).await;
    let row = last.until(&run.expect("it was queued"), RunState::Failed).await;
    let fault = row.fault.expect("a fault");
    assert!(fault["message"].as_str().expect("text").starts_with("given up after 3 attempts"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_goes_down_gives_its_runs_back() {
    let house = House::new();
    let first = replica(&house, settings()).await;
    let run = first.submit(&CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 5000")).await;
    first.until(&run, RunState::Running).await;
    first.stop.cancel();
    tokio::time::timeout(SOON, first.working).await.expect("it drains").expect("without a panic");
    let row = first.service.store().run(&run).await.expect("there");
    assert_eq!((row.state, row.owner, row.attempt), (RunState::Queued, None, 1));
}

/// A schedule that comes every second.
fn every_second(overlap: Overlap) -> ScheduleSpec {
    ScheduleSpec {
        pipeline: "sums".to_owned(),
        version: None,
        params: BTreeMap::new(),
        set: Vec::new(),
        cron: "* * * * * *".to_owned(),
        zone: "UTC".to_owned(),
        overlap,
        catch_up: CatchUp::Last,
        jitter_seconds: 0,
    }
}

impl Replica {
    async fn store_pipeline(&self, body: &str) {
        let definition = Definition::new(body);
        self.service.store().put_pipeline("sums", &definition, None, "ann").await.expect("stored");
    }

    /// Waits until the schedule has queued `count` runs, and returns all of them, the youngest first.
    async fn scheduled(&self, count: usize) -> Vec<RunRow> {
        let waiting = async {
            loop {
                let runs = self.service.store().runs(&RunFilter::default(), None, 100).await.expect("listed").items;
                if runs.len() >= count {
                    return runs;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, waiting).await.expect("they come")
    }
}

#[tokio::test]
async fn a_schedule_runs_its_pipeline_once_for_each_time() {
    let house = House::new();
    let replicas = [replica(&house, settings()).await, replica(&house, settings()).await];
    replicas[0].store_pipeline(CHAIN).await;
    replicas[0].service.put_schedule("tick", &every_second(Overlap::Queue), "ann").await.expect("stored");
    let runs = replicas[0].scheduled(3).await;
    replicas[1].service.pause_schedule("tick", true).await.expect("paused");
    let mut times: Vec<i64> = runs.iter().map(|run| run.created_at / 1000).collect();
    times.dedup();
    assert_eq!(times.len(), runs.len(), "two replicas queued the same time: {runs:?}");
    assert!(runs.iter().all(|run| run.origin == "schedule:tick" && run.submitted_by == "ann"));
    let shown = replicas[0].service.store().schedule("tick").await.expect("there");
    assert!(shown.last_run.is_some() && shown.last_error.is_none(), "{shown:?}");
}

#[tokio::test]
async fn a_run_that_takes_longer_than_its_schedule_is_waited_for_or_cancelled() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    replica.store_pipeline(&CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 5000")).await;
    replica.service.put_schedule("tick", &every_second(Overlap::Skip), "ann").await.expect("stored");
    let first = replica.scheduled(1).await.remove(0);
    replica.until(&first.id, RunState::Running).await;
    // Three more times pass, and none of them is run for.
    let before = replica.service.store().now().await.expect("a time");
    while replica.service.store().now().await.expect("a time") < before + 2500 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(replica.scheduled(1).await.len(), 1);
    replica.service.put_schedule("tick", &every_second(Overlap::Cancel), "ann").await.expect("stored");
    replica.until(&first.id, RunState::Cancelled).await;
    let second = replica.scheduled(2).await.remove(0);
    assert_ne!(first.id, second.id);
    replica.service.pause_schedule("tick", true).await.expect("paused");
}

#[tokio::test]
async fn a_range_is_filled_back_once_with_its_dates() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    replica.store_pipeline(CHAIN).await;
    let daily = ScheduleSpec { cron: "0 6 * * *".to_owned(), ..every_second(Overlap::Skip) };
    replica.service.put_schedule("daily", &daily, "ann").await.expect("stored");
    let day = 24 * 3_600_000;
    let fill = || replica.service.backfill("daily", 0, 5 * day, Some(1), "bo");
    let runs = fill().await.expect("filled back");
    assert_eq!(runs.len(), 5);
    assert_eq!(fill().await.expect("again"), runs, "asked again, it finds them");
    for run in &runs {
        replica.until(run, RunState::Done).await;
    }
    assert!(replica.service.backfill("daily", 0, 1, None, "bo").await.is_err(), "nothing lies in the range");
    let wrong = ScheduleSpec { cron: "0 6 30 2 *".to_owned(), ..daily };
    assert!(replica.service.put_schedule("never", &wrong, "ann").await.is_err());
}

const PAYING: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 5000}}
  - {id: p, service: pays, depends_on: n}
  - {id: s, service: sum, depends_on: p}
";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_back_is_not_done_again_unasked() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let run = replica.submit(&PAYING.replace("depends_on: n", "depends_on: n, params: {needs: peer.txt}")).await;
    let row = replica.until(&run, RunState::Failed).await;
    assert_eq!((row.attempt, house.paid()), (2, 1), "the second attempt has seen that it may not");
    let why = row.fault.expect("a reason").to_string();
    assert!(why.contains("an earlier attempt has begun it"), "{why}");
    assert_eq!(replica.steps_of(&run, 0).await[0], ("n".to_owned(), "done".to_owned()));

    std::fs::write(house.folder.path().join("peer.txt"), "").expect("written");
    replica.service.resume(&run, None, true, "ann").await.expect("it failed");
    replica.until(&run, RunState::Done).await;
    assert_eq!(replica.steps(&run).await, pairs(&[("n", "reused"), ("p", "done"), ("s", "done")]));
    assert_eq!((house.paid(), house.sum()), (2, Some(4999 * 2500)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_for_is_kept_and_not_paid_again() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    // The load fails after the step has done its work, as long as a folder is in its way.
    std::fs::create_dir(house.folder.path().join("sum.txt")).expect("made");
    let run = replica.submit(PAYING).await;
    replica.until(&run, RunState::Failed).await;
    assert_eq!(house.paid(), 1);
    std::fs::remove_dir(house.folder.path().join("sum.txt")).expect("removed");
    replica.service.resume(&run, None, true, "ann").await.expect("it failed");
    replica.until(&run, RunState::Done).await;
    assert_eq!((house.paid(), house.sum()), (1, Some(4999 * 2500)));
    assert_eq!(replica.steps(&run).await[1], ("p".to_owned(), "reused".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_paid_before_what_comes_before_has_ended_well() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let run = replica.submit(&PAYING.replace("rows: 5000", "rows: 5000, fail_after: 4000")).await;
    replica.until(&run, RunState::Failed).await;
    assert_eq!(house.paid(), 0);
    assert_eq!(replica.steps(&run).await, pairs(&[("n", "failed"), ("p", "skipped"), ("s", "skipped")]));
}
