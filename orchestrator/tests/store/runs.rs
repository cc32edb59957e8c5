//! Runs from their submission to their end, and what is told of them.

use crate::databases::{Fresh, LEASE, claim_one, kinds, new_run, on_both, sqlite};
use flight_common::testing::locks_on;
use flight_common::{DataRoot, Fault};
use orchestrator::store::{Ending, NewRun, RunFilter, RunState, Store, StoreError};
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

on_both!(
    a_run_goes_from_the_queue_to_its_end,
    of_how_far_a_run_was_its_log_tells_only_the_last,
    a_repeated_request_finds_the_run_of_the_first,
    what_failed_is_tried_again_when_it_is_due,
    a_begun_run_with_something_that_runs_finally_is_taken_once_more_to_be_cancelled,
    a_run_that_waits_is_cancelled_at_once_and_one_that_runs_when_it_has_stopped,
    a_run_is_read_as_it_was_written,
    a_long_list_has_every_run_once_and_in_order,
    runs_are_listed_in_parts_and_by_state,
    a_store_opened_again_holds_what_it_held,
);

async fn a_run_goes_from_the_queue_to_its_end(fresh: Fresh) {
    let store = fresh.store;
    let submitted = store.submit(&new_run("1", "hr")).await.expect("queued");
    assert!(submitted.fresh);
    assert_eq!(submitted.run.state, RunState::Queued);
    let claim = claim_one(&store, "me").await;
    assert_eq!((claim.run.attempt, claim.tries, claim.reuse, claim.definition.as_str()), (1, 0, false, "steps: []"));
    assert_eq!(claim.run.sets, ["a.b=1"]);
    store.permit(&claim.lease, "load", LEASE).await.expect("the lease holds");
    let report = json!({"steps": []});
    assert_eq!(store.end(&claim.lease, &Ending::Done, &report).await.expect("ended"), RunState::Done);
    let run = store.run("1").await.expect("it is there");
    assert_eq!((run.state, run.attempt, run.owner), (RunState::Done, 1, None));
    assert!(run.ended_at >= run.started_at && run.started_at >= Some(run.created_at));
    let attempts = store.attempts("1").await.expect("told");
    assert_eq!((attempts.len(), attempts[0].state.as_str(), &attempts[0].report), (1, "done", &Some(report)));
    assert_eq!(kinds(&store, "1").await, ["queued", "started", "committing", "done"]);
    // What is over is over.
    let error = store.end(&claim.lease, &Ending::Done, &json!({})).await.expect_err("it has ended");
    assert!(matches!(error, StoreError::LeaseLost(_)), "{error}");
    let error = store.cancel("1", false, "ann").await.expect_err("it has ended");
    assert_eq!(error.to_string(), "run 1 is done: it cannot be cancelled");
}

async fn of_how_far_a_run_was_its_log_tells_only_the_last(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&new_run("1", "hr")).await.expect("queued");
    let claim = claim_one(&store, "me").await;
    let logged = async || store.logged("1").await.expect("told").into_iter().map(|one| one.seq).collect::<Vec<_>>();
    for rows in [1, 2] {
        store.note(&claim.lease, "progress", &json!({"rows": rows})).await.expect("noted");
    }
    assert_eq!(logged().await, [1, 2, 4]);
    store.permit(&claim.lease, "load", LEASE).await.expect("the lease holds");
    assert_eq!(logged().await, [1, 2, 5]);
}

async fn a_repeated_request_finds_the_run_of_the_first(fresh: Fresh) {
    let store = fresh.store;
    let keyed = |id: &str| NewRun { idempotency_key: Some("monday".to_owned()), ..new_run(id, "hr") };
    let (one, two) = (keyed("1"), keyed("2"));
    let both = tokio::join!(store.submit(&one), store.submit(&two));
    let (first, second) = (both.0.expect("queued"), both.1.expect("found"));
    assert_eq!(first.run.id, second.run.id);
    assert!(first.fresh != second.fresh);
    let other = NewRun { sets: Vec::new(), ..keyed("3") };
    let with_params = NewRun { params: BTreeMap::new(), ..keyed("3") };
    let sooner = NewRun { priority: 8, ..keyed("3") };
    let one_at_a_time = NewRun { concurrency: Some(1), ..keyed("3") };
    for other in [other, with_params, sooner, one_at_a_time] {
        let error = store.submit(&other).await.expect_err("not the same request");
        assert!(matches!(&error, StoreError::KeyTaken { run, .. } if *run == first.run.id), "{error}");
    }
    assert!(store.run("3").await.is_err(), "nothing was queued");
    store.submit(&new_run("4", "hr")).await.expect("without a key each is its own");
}

async fn what_failed_is_tried_again_when_it_is_due(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&new_run("1", "hr")).await.expect("queued");
    let claim = claim_one(&store, "me").await;
    let fault = Fault::upstream("the source is down");
    let hour = Duration::from_secs(3600);
    let state = store.end(&claim.lease, &Ending::Retry(fault.clone(), hour), &json!({})).await.expect("ended");
    assert_eq!(state, RunState::Queued);
    let limits = orchestrator::store::Limits::default();
    assert!(store.claim("me", hour, 9, &limits).await.expect("it answers").claims.is_empty(), "it is not due");
    assert_eq!(store.run("1").await.expect("there").fault.expect("the fault")["message"], "the source is down");

    store.submit(&new_run("2", "hr")).await.expect("queued");
    let claim = claim_one(&store, "me").await;
    store.end(&claim.lease, &Ending::Retry(fault, Duration::ZERO), &json!({})).await.expect("ended");
    let again = claim_one(&store, "me").await;
    assert_eq!((again.lease.run.as_str(), again.run.attempt, again.tries, again.reuse), ("2", 2, 1, true));
    assert_eq!(store.attempts("2").await.expect("told").len(), 2);
}

async fn a_begun_run_with_something_that_runs_finally_is_taken_once_more_to_be_cancelled(fresh: Fresh) {
    let store = fresh.store;
    let hour = Duration::from_secs(3600);
    for (run, finally) in [("1", false), ("2", true)] {
        store.submit(&new_run(run, "hr")).await.expect("queued");
        let claim = claim_one(&store, "me").await;
        let retry = Ending::Retry(Fault::upstream("down"), hour);
        store.end(&claim.lease, &retry, &json!({})).await.expect("ended");
        let state = store.cancel(run, finally, "ann").await.expect("cancelled").state;
        assert_eq!(state, if finally { RunState::Cancelling } else { RunState::Cancelled });
    }
    let claim = claim_one(&store, "me").await;
    assert_eq!((claim.lease.run.as_str(), claim.run.attempt, claim.cancelling), ("2", 2, true));
    store.permit_finally(&claim.lease, "load", LEASE).await.expect("what runs finally may commit");
    store.end(&claim.lease, &Ending::Cancelled, &json!({})).await.expect("confirmed");
    assert_eq!(store.run("2").await.expect("there").state, RunState::Cancelled);
    store.submit(&new_run("3", "hr")).await.expect("queued");
    assert_eq!(store.cancel("3", true, "ann").await.expect("cancelled").state, RunState::Cancelled, "it never began");
}

async fn a_run_that_waits_is_cancelled_at_once_and_one_that_runs_when_it_has_stopped(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&new_run("1", "hr")).await.expect("queued");
    assert_eq!(store.cancel("1", false, "ann").await.expect("cancelled").state, RunState::Cancelled);
    store.submit(&new_run("2", "hr")).await.expect("queued");
    let claim = claim_one(&store, "me").await;
    assert_eq!(store.cancel("2", false, "ann").await.expect("asked").state, RunState::Cancelling);
    assert_eq!(store.cancel("2", false, "ann").await.expect("asked again").state, RunState::Cancelling);
    let held = store.heartbeat("me", Duration::from_secs(60)).await.expect("it answers");
    assert_eq!(held, [(claim.lease.clone(), RunState::Cancelling)]);
    let error = store.permit(&claim.lease, "load", LEASE).await.expect_err("no load may commit any more");
    assert!(matches!(error, StoreError::LeaseLost(_)), "{error}");
    store.end(&claim.lease, &Ending::Cancelled, &json!({})).await.expect("confirmed");
    assert_eq!(store.run("2").await.expect("there").state, RunState::Cancelled);
    assert_eq!(kinds(&store, "2").await, ["queued", "started", "cancelling", "cancelled"]);
}

async fn a_run_is_read_as_it_was_written(fresh: Fresh) {
    let store = fresh.store;
    let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let params = BTreeMap::from([("day".to_owned(), json!("a\u{1f}b"))]);
    let full =
        NewRun { traceparent, version: Some(3), params, scheduled_at: Some(7), ..new_run("1", "it's \"quoted\" ü") };
    store.submit(&full).await.expect("queued");
    let claim = claim_one(&store, "me").await;
    let fault = Fault::bad_data("a \"bad\" row").row(1 << 60);
    store.end(&claim.lease, &Ending::Failed(fault.clone()), &json!({})).await.expect("ended");
    let bare = NewRun { sets: Vec::new(), params: BTreeMap::new(), ..new_run("2", "hr") };
    store.submit(&bare).await.expect("queued");
    let listed = store.runs(&RunFilter::default(), None, 10).await.expect("listed").items;
    let [second, first] = &listed[..] else { panic!("two: {listed:?}") };
    let wanted = json!({
        "id": "1", "pipeline": "it's \"quoted\" ü", "version": 3, "definition": full.definition.hash, "sets": full.sets,
        "params": {"day": "a\u{1f}b"}, "state": "failed", "priority": full.priority, "attempt": 1,
        "not_before": first.not_before, "created_at": first.created_at, "started_at": first.started_at,
        "ended_at": first.ended_at, "paused_ms": 0, "owner": null, "fault": fault,
        "trace_id": "0af7651916cd43dd8448eb211c80319c", "submitted_by": full.submitted_by, "origin": full.origin,
        "scheduled_at": 7,
    });
    assert_eq!(json!(first), wanted);
    let times = [Some(first.created_at), first.started_at, first.ended_at];
    assert!(times.is_sorted() && times[0] > Some(0), "{times:?}");
    let wanted = json!({
        "id": "2", "pipeline": "hr", "version": null, "definition": bare.definition.hash, "sets": [], "params": {},
        "state": "queued", "priority": bare.priority, "attempt": 0, "not_before": 0, "created_at": second.created_at,
        "started_at": null, "ended_at": null, "paused_ms": 0, "owner": null, "fault": null, "trace_id": null,
        "submitted_by": bare.submitted_by, "origin": bare.origin, "scheduled_at": null,
    });
    assert_eq!(json!(second), wanted);
    for run in &listed {
        assert_eq!(json!(store.run(&run.id).await.expect("there")), json!(run));
    }
    assert!(store.runs(&RunFilter::default(), Some("1"), 10).await.expect("listed").items.is_empty());
}

async fn a_long_list_has_every_run_once_and_in_order(fresh: Fresh) {
    let store = fresh.store;
    const RUNS: usize = 1203;
    let mut submitted = tokio::task::JoinSet::new();
    for n in 0..RUNS {
        let store = store.clone();
        submitted.spawn(async move { store.submit(&new_run(&format!("{n:04}"), "hr")).await.map(drop) });
    }
    for done in submitted.join_all().await {
        done.expect("queued");
    }
    let list = async |cursor, limit| {
        let page = store.runs(&RunFilter::default(), cursor, limit).await.expect("listed");
        (page.items.into_iter().map(|run| run.id).collect::<Vec<_>>(), page.next)
    };
    let all: Vec<String> = (0..RUNS).rev().map(|n| format!("{n:04}")).collect();
    for more in [0, 1, 1000] {
        assert_eq!(list(None, RUNS + more).await, (all.clone(), None));
    }
    for limit in [1, 199, 200, 201, 1000, RUNS - 1] {
        assert_eq!(list(None, limit).await, (all[..limit].to_vec(), Some(all[limit - 1].clone())), "{limit}");
        assert_eq!(list(Some(&all[limit - 1]), RUNS).await, (all[limit..].to_vec(), None), "{limit}");
    }
}

async fn runs_are_listed_in_parts_and_by_state(fresh: Fresh) {
    let store = fresh.store;
    for n in 0..10 {
        store.submit(&new_run(&format!("{n}"), if n % 2 == 0 { "even" } else { "odd" })).await.expect("queued");
    }
    store.cancel("4", false, "ann").await.expect("cancelled");
    let all = RunFilter::default();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.runs(&all, cursor.as_deref(), 4).await.expect("listed");
        seen.extend(page.items.into_iter().map(|run| run.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]);
    let filter = RunFilter {
        pipeline: Some("even".to_owned()),
        states: vec![RunState::Queued, RunState::Running],
        ..RunFilter::default()
    };
    let page = store.runs(&filter, None, 100).await.expect("listed");
    assert_eq!(page.items.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["8", "6", "2", "0"]);
    let filter = RunFilter { ending: Some("6".to_owned()), ..filter };
    let page = store.runs(&filter, Some("9"), 100).await.expect("listed");
    assert_eq!(page.items.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["6"]);
    assert_eq!(store.unfinished().await.expect("counted"), [(RunState::Queued, 9)]);
}

async fn a_store_opened_again_holds_what_it_held(fresh: Fresh) {
    fresh.store.submit(&new_run("1", "hr")).await.expect("queued");
    fresh.store.close().await;
    let again = Store::open(&fresh.url).await.expect("it opens");
    assert_eq!(again.run("1").await.expect("there").state, RunState::Queued);
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_told_at_once_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("other.db");
    std::fs::write(&other, "no database ".repeat(100)).expect("written");
    for (url, parts) in [
        (format!("sqlite://{}", other.display()), ["other.db", "not a database"]),
        ("sqlite:///nowhere/quiver.db".to_owned(), ["no folder /nowhere ", "store"]),
        ("postgres://ann:secret@127.0.0.1:1/runs".to_owned(), ["127.0.0.1:1/runs", "refused"]),
    ] {
        let begun = Instant::now();
        let error = Store::open(&url).await.expect_err("there is none");
        let (told, fault) = (error.to_string(), Fault::from(error));
        let help = fault.help_text().expect("what to try");
        assert!(help.contains("--store") && !help.contains("server"), "{fault:?}");
        assert!(parts.iter().all(|part| told.contains(part)) && !told.contains("secret"), "{told}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{told}");
    }
}

#[tokio::test]
async fn a_store_that_would_keep_nothing_is_none() {
    for url in ["sqlite::memory:", "sqlite:", "sqlite://", "sqlite:///runs?mode=memory"] {
        let refused = Store::open(url).await;
        assert!(matches!(&refused, Err(StoreError::Unaddressed(told)) if told == url), "{url}: {:?}", refused.err());
    }
}

#[tokio::test]
async fn nobody_in_this_process_opens_the_file_of_a_store_otherwise() {
    let fresh = sqlite().await;
    let folder = Path::new(fresh.url.trim_start_matches("sqlite://")).parent().expect("a folder");
    std::fs::hard_link(folder.join("quiver.db"), folder.join("linked.csv")).expect("linked");
    let root = DataRoot::open(folder).expect("a root");
    symlink("quiver.db-shm", folder.join("index.csv")).expect("linked");
    fresh.store.submit(&new_run("1", "hr")).await.expect("queued");
    let held = || {
        let locks = locks_on(&[&folder.join("quiver.db"), &folder.join("quiver.db-shm")]);
        // Readers of the log come and go; these two say that SQLite has the file and its index open.
        ["READ 1073741826 1073742335", "READ 128 128"].map(|lock| locks.iter().any(|held| held == lock))
    };
    assert_eq!(held(), [true, true]);
    for name in ["quiver.db", "linked.csv", "quiver.db-shm", "index.csv"] {
        assert!(root.open_file(name, "path").is_err(), "{name} is the store");
        root.identity_of(name, "path").expect("it is there");
    }
    assert_eq!(held(), [true, true]);
}
