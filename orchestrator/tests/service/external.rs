//! Steps whose effects cannot be taken back.

use super::*;

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
    assert!(
        why.contains("an earlier attempt has begun it, and ended with") && why.contains("the peer is out of reach"),
        "{why}"
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_for_finally_is_not_paid_again_by_the_replica_that_takes_over() {
    let house = House::new();
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 10, fail_after: 5}}
finally:
  - {id: told, service: numbers, params: {rows: 5}}
  - {id: bell, service: pays, depends_on: told}
  - {id: long, service: numbers, params: {rows: 5000, stall_after: 1000}, depends_on: bell}
  - {id: count, service: numbers, params: {rows: 3}}
  - {id: wrote, service: sum, depends_on: count}
";
    let first = replica(&house, settings()).await;
    let run = first.submit(body).await;
    until_paid(&house).await;
    first.working.abort();
    std::fs::remove_file(house.env.data_root.path().join("sum.txt")).ok();
    let second = replica(&house, settings()).await;
    let row = second.until(&run, RunState::Failed).await;
    assert_eq!((row.attempt, house.paid()), (2, 1));
    assert!(
        row.fault.expect("a fault")["message"].as_str().is_some_and(|told| told.contains("\"bell\" cannot take back"))
    );
    let ended = [
        ("n", "skipped"),
        ("told", "done"),
        ("bell", "skipped"),
        ("long", "skipped"),
        ("count", "done"),
        ("wrote", "done"),
    ];
    assert_eq!(second.steps(&run).await, pairs(&ended));
    assert_eq!(house.sum(), Some(3), "what is safe to repeat is repeated");
}

async fn until_paid(house: &House) {
    let paid = async {
        while house.paid() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, paid).await.expect("it pays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_finally_after_something_that_was_paid_for_runs_all_the_same() {
    let house = House::new();
    let hour = Duration::from_secs(3600);
    let retry = RetryPolicy { attempts: 3, first: hour, longest: hour };
    let replica = replica(&house, Settings { retry, ..settings() }).await;
    let body = "
steps:
  - {id: n, service: numbers, params: {rows: 5}}
  - {id: bell, service: pays, depends_on: n}
  - {id: late, service: numbers, params: {rows: 10, needs: ready.txt}, depends_on: bell}
finally:
  - {id: told, service: numbers, params: {rows: 3}, depends_on: bell}
  - {id: wrote, service: sum, depends_on: told}
";
    let run = replica.submit(body).await;
    replica.until_true(&run, |row| row.state == RunState::Queued && row.attempt == 1).await;
    replica.service.cancel(&run, "ann").await.expect("it can be cancelled");
    replica.until(&run, RunState::Cancelled).await;
    assert_eq!((house.paid(), house.sum()), (1, Some(3)));
}
