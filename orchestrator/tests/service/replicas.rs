//! Replicas die, come back and go down in good order.

use super::*;
use orchestrator::store::AuditRecord;

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
async fn conditions_find_what_was_done_before_the_replica_died() {
    let house = House::new();
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 3000}}
  - {id: s, service: sum, depends_on: n}
  - {id: k, service: numbers, params: {rows: 20}, checkpoint: true}
  - {id: slow, service: numbers, params: {rows: 10, waits_for: ready.txt}}
  - {id: last, service: numbers, params: {rows: 10}, depends_on: slow,
     when: steps.n.rows_out == 3000 and steps.n.bytes_out > 0 and steps.s.rows_in == 3000}
finally:
  - {id: none, service: numbers, params: {rows: 10}, when: steps.n.rows_out == 0}
";
    let first = replica(&house, settings()).await;
    let run = first.submit(body).await;
    let store = first.service.store();
    let both_are_told = async {
        while store.told(&run).await.expect("told").len() < 2 || store.kept(&run).await.expect("told").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, both_are_told).await.expect("they end");
    first.working.abort();
    std::fs::write(house.env.data_root.path().join("ready.txt"), "").expect("written");
    let second = replica(&house, settings()).await;
    second.until(&run, RunState::Done).await;
    let ended =
        [("n", "reused"), ("s", "reused"), ("k", "done"), ("slow", "done"), ("last", "done"), ("none", "skipped")];
    assert_eq!(second.steps(&run).await, pairs(&ended));
    let audit = second.service.store().audit(&run).await.expect("told");
    let told = |record: &AuditRecord| {
        (record.attempt, record.id.clone(), record.status.clone(), record.rows_in.max(record.rows_out))
    };
    let told: Vec<_> = audit.iter().map(told).filter(|(_, id, ..)| ["s", "k", "slow"].contains(&id.as_str())).collect();
    let wanted = [
        (1, "s", "done", 3000),
        (1, "k", "done", 20),
        (1, "slow", "lost", 0),
        (2, "s", "reused", 3000),
        (2, "k", "done", 20),
        (2, "slow", "done", 10),
    ];
    assert_eq!(told, wanted.map(|(attempt, id, status, rows)| (attempt, id.to_owned(), status.to_owned(), rows)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_its_replica_has_and_does_not_run_is_run() {
    let house = House::new();
    let service = idle(&house, settings()).await;
    let submission = Submission { pipeline: Some("test".to_owned()), body: CHAIN.to_owned(), ..Submission::default() };
    let run = service.submit(submission).await.expect("a good pipeline").run.id;
    // As if its attempt had panicked.
    let claimed = service.store().claim(service.owner(), Duration::from_secs(600), 1, &Limits::default()).await;
    assert_eq!(claimed.expect("it is there").claims.len(), 1);
    let replica = at_work(service);
    let row = replica.until(&run, RunState::Done).await;
    assert_eq!(row.attempt, 2);
    assert_eq!(house.sum(), Some(99_999 * 100_000 / 2));
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
    let run = run.expect("it was queued");
    let row = last.until(&run, RunState::Failed).await;
    let audit = last.service.store().audit(&run).await.expect("told");
    let told: Vec<_> =
        audit.iter().map(|record| (record.attempt, record.id.as_str(), record.status.as_str())).collect();
    let wanted = [(1, "n"), (1, "s"), (2, "n"), (2, "s"), (3, "n"), (3, "s")];
    assert_eq!(told, wanted.map(|(attempt, id)| (attempt, id, "lost")));
    let fault = row.fault.expect("a fault");
    assert!(fault["message"].as_str().expect("text").starts_with("given up after 3 attempts"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_finally_is_given_up_too_when_replicas_die_of_it() {
    let house = House::new();
    let body = CHAIN.replace("rows: 100000", "rows: 1000, fail_after: 1")
        + "finally:
  - {id: bell, service: numbers, params: {rows: 100000, stall_after: 5000}}
";
    let once = || Settings { retry: RetryPolicy { attempts: 1, ..settings().retry }, ..settings() };
    let first = replica(&house, once()).await;
    let run = first.submit(&body).await;
    first.until_true(&run, |row| row.attempt == 1).await;
    first.working.abort();
    let second = replica(&house, once()).await;
    second.until_true(&run, |row| row.attempt == 2).await;
    second.working.abort();
    let third = replica(&house, once()).await;
    let row = third.until(&run, RunState::Failed).await;
    assert_eq!(row.attempt, 3);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_goes_down_while_something_runs_finally_gives_its_run_back() {
    let house = House::new();
    let hour = Duration::from_secs(3600);
    let patient = || Settings { retry: RetryPolicy { attempts: 2, first: hour, longest: hour }, ..settings() };
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 10, needs: never.txt}}
finally:
  - {id: told, service: numbers, params: {rows: 10000, stall_after: 5000}, when: run.status == 'cancelled'}
";
    let first = replica(&house, patient()).await;
    let run = first.submit(body).await;
    first.until_true(&run, |row| row.state == RunState::Queued && row.attempt == 1).await;
    first.service.cancel(&run, "ann").await.expect("it can be cancelled");
    first.until_true(&run, |row| row.attempt == 2).await;
    first.stop.cancel();
    tokio::time::timeout(SOON, first.working).await.expect("it drains").expect("without a panic");
    let row = first.service.store().run(&run).await.expect("there");
    assert_eq!((row.state, row.owner), (RunState::Cancelling, None));
    // However often: that is no failure of the run.
    for attempt in 3..6 {
        let next = replica(&house, patient()).await;
        next.until_true(&run, |row| row.attempt == attempt && row.state == RunState::Cancelling).await;
        let events = next.events(&run).await;
        assert!(events.iter().all(|event| event.kind != "taken_over"), "{events:?}");
        next.stop.cancel();
        tokio::time::timeout(SOON, next.working).await.expect("it drains").expect("without a panic");
        let row = next.service.store().run(&run).await.expect("there");
        assert_eq!((row.state, row.owner), (RunState::Cancelling, None), "not given up: {attempt}");
    }
}
