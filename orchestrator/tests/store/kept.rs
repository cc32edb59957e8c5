//! What a run has kept, committed and told: taken over by its next attempt, and forgotten in the end.

use crate::databases::{Fresh, LEASE, claim_one, new_run, on_both};
use flight_common::Fault;
use orchestrator::pipeline::HookRules;
use orchestrator::store::{Changed, Definition, Ending, KeptOutput, Lease, Ruled, RunState, Store, StoreError, Told};
use serde_json::json;
use sqlx::Connection;
use std::slice;
use std::time::Duration;

on_both!(
    the_newest_output_of_each_step_is_found_however_old_it_is,
    a_failed_run_is_resumed_with_what_it_kept,
    what_was_done_is_called_as_its_steps_are,
    what_was_kept_goes_with_age_and_size,
    a_run_that_is_over_is_not_resumed_while_it_is_held,
    a_run_that_ended_long_ago_is_forgotten_and_nothing_else,
);

fn kept(run: &str, step: &str, bytes: i64) -> KeptOutput {
    KeptOutput {
        run_id: run.to_owned(),
        step: step.to_owned(),
        output: "output".to_owned(),
        fingerprint: "f".to_owned(),
        path: format!("{run}/{step}.arrow"),
        rows: 10,
        bytes,
        checksum: "c".to_owned(),
        created_at: 0,
    }
}

async fn failed(store: &Store, id: &str, kept_bytes: i64) {
    store.submit(&new_run(id, "hr")).await.expect("queued");
    let claim = claim_one(store, "me").await;
    store.keep(&claim.lease, &kept(id, "clean", kept_bytes)).await.expect("kept");
    let told =
        Told { step: "load".to_owned(), attempt: 1, fingerprint: "g".to_owned(), figures: json!({"rows_in": 1}) };
    store.committed(&claim.lease, &told, &json!({"rows": 1}), Some("v1")).await.expect("noted");
    store.end(&claim.lease, &Ending::Failed(Fault::bad_data("no")), &json!({})).await.expect("ended");
}

async fn the_newest_output_of_each_step_is_found_however_old_it_is(fresh: Fresh) {
    let store = fresh.store;
    for (id, pipeline, step) in [("1", "hr", "read"), ("2", "hr", "clean"), ("3", "hr", "clean"), ("4", "it", "clean")]
    {
        store.submit(&new_run(id, pipeline)).await.expect("queued");
        let claim = claim_one(&store, "me").await;
        store.keep(&claim.lease, &kept(id, step, 7)).await.expect("kept");
        store.end(&claim.lease, &Ending::Done, &json!({})).await.expect("ended");
    }
    let newest = async |pipeline| {
        let newest = store.newest_kept(pipeline).await.expect("told").into_iter();
        newest.map(|(pipeline, kept)| [pipeline, kept.step, kept.run_id].join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(newest(None).await, ["it clean 4", "hr clean 3", "hr read 1"]);
    assert_eq!(newest(Some("hr")).await, ["hr clean 3", "hr read 1"]);
    assert!(newest(Some("nobody")).await.is_empty());
}

async fn a_failed_run_is_resumed_with_what_it_kept(fresh: Fresh) {
    let store = fresh.store;
    failed(&store, "1", 10).await;
    let changed = Definition::new("steps: [changed]");
    let changed = Changed {
        definition: changed,
        services: vec!["sum".to_owned()],
        hooks: HookRules::default(),
        priority: Ruled { before: None, now: Some(7) },
        concurrency: Ruled::default(),
    };
    let run = store.resume("1", Some(&changed), true, "ann").await.expect("queued");
    assert_eq!(run.priority, 7);
    store.cancel("1", false, "ann").await.expect("it waits");
    let changed = Changed { priority: Ruled { before: None, now: Some(9) }, ..changed };
    let run = store.resume("1", Some(&changed), true, "ann").await.expect("queued");
    assert_eq!(run.priority, 7, "the text before had not said it");
    assert_eq!((run.state, run.definition, run.fault), (RunState::Queued, changed.definition.hash, None));
    let pause = Duration::from_millis(40);
    tokio::time::sleep(pause).await;
    let claim = claim_one(&store, "me").await;
    let run = store.run("1").await.expect("there");
    let worked = run.took_ms(run.started_at.expect("begun") + run.paused_ms);
    assert!((39..5000).contains(&run.paused_ms) && worked == Some(0), "a pause of {pause:?}: {run:?}");
    assert_eq!(
        (claim.run.attempt, claim.tries, claim.reuse, claim.definition.as_str()),
        (2, 0, true, "steps: [changed]")
    );
    assert_eq!((store.kept("1").await.expect("told").len(), store.commits("1").await.expect("told").len()), (1, 1));
    let told =
        Told { step: "load".to_owned(), attempt: 1, fingerprint: "g".to_owned(), figures: json!({"rows_in": 1}) };
    assert_eq!(store.told("1").await.expect("told"), slice::from_ref(&told));
    let again = Told { attempt: 2, fingerprint: "h".to_owned(), ..told };
    store.tell(&claim.lease, &again).await.expect("noted");
    assert_eq!(store.told("1").await.expect("told"), [again]);
    let error = store.resume("1", None, true, "ann").await.expect_err("it runs");
    assert_eq!(error.to_string(), "run 1 is running: it cannot be run again");
    store.end(&claim.lease, &Ending::Failed(Fault::bad_data("no")), &json!({})).await.expect("ended");
    store.resume("1", None, false, "ann").await.expect("queued");
    assert!(store.kept("1").await.expect("told").is_empty(), "from the beginning means that nothing is taken over");
    assert!(store.told("1").await.expect("told").is_empty());
    let claim = claim_one(&store, "me").await;
    assert!(!claim.reuse);
    let before = store.run("1").await.expect("there").paused_ms;
    let stands_still = store.now().await.expect("a time");
    store.end(&claim.lease, &Ending::Failed(Fault::bad_data("no")), &json!({})).await.expect("ended");
    store.resume("1", None, true, "ann").await.expect("queued");
    tokio::time::sleep(pause).await;
    store.cancel("1", false, "ann").await.expect("cancelled");
    store.resume("1", None, true, "ann").await.expect("queued");
    tokio::time::sleep(pause).await;
    let run = store.cancel("1", false, "ann").await.expect("cancelled");
    let paused = run.paused_ms - before;
    let passed = store.now().await.expect("a time") - stands_still;
    assert!((2 * 39..=passed).contains(&paused), "no moment counts twice: {paused} of {passed} ms");
    let passed = run.ended_at.expect("ended") - run.started_at.expect("begun");
    assert!(run.took_ms(0).is_some_and(|took| took <= passed - 2 * 39), "it stood still twice: {run:?}");
}

async fn what_was_done_is_called_as_its_steps_are(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&new_run("1", "hr")).await.expect("queued");
    let claim = claim_one(&store, "me").await;
    for (step, print) in [("a", "1"), ("b", "2"), ("c", "3")] {
        let output = KeptOutput { fingerprint: print.to_owned(), ..kept("1", step, 1) };
        store.keep(&claim.lease, &output).await.expect("kept");
        let told = Told { step: step.to_owned(), attempt: 1, fingerprint: print.to_owned(), figures: json!({}) };
        store.committed(&claim.lease, &told, &json!({}), None).await.expect("noted");
    }
    let name = |old: &str, print: &str, new: &str| ((old.to_owned(), print.to_owned()), new.to_owned());
    // Two take each other's names, and one takes that of none that goes by it any more. Of another's work nothing is said.
    let names = [name("a", "1", "b"), name("b", "2", "a"), name("c", "other", "d")].into();
    store.rename_steps(&claim.lease, &names).await.expect("renamed");
    let called = async || {
        let commits = store.commits("1").await.expect("told").into_iter();
        let commits: Vec<_> = commits.map(|commit| commit.step + &commit.fingerprint).collect();
        let kept = store.kept("1").await.expect("told").into_iter();
        let mut kept: Vec<_> = kept.map(|kept| kept.step + &kept.fingerprint).collect();
        kept.sort();
        let told = store.told("1").await.expect("told").into_iter();
        assert_eq!(told.map(|told| told.step + &told.fingerprint).collect::<Vec<_>>(), commits);
        assert_eq!(kept, commits);
        commits
    };
    assert_eq!(called().await, ["a2", "b1", "c3"]);
    let told = store.names_of_loads("1").await.expect("told");
    assert_eq!(told.iter().map(|event| &event.body).collect::<Vec<_>>(), [&json!({"loads": {"a": "b", "b": "a"}})]);
    store.rename_steps(&claim.lease, &[name("b", "1", "c")].into()).await.expect("renamed");
    assert_eq!(called().await, ["a2", "c1"], "what was called so before is another's");
    let old = Lease { fence: claim.lease.fence - 1, ..claim.lease };
    assert!(matches!(store.rename_steps(&old, &names).await, Err(StoreError::LeaseLost(_))));
}

async fn what_was_kept_goes_with_age_and_size(fresh: Fresh) {
    let store = fresh.store;
    for id in ["1", "2", "3"] {
        failed(&store, id, 100).await;
    }
    store.submit(&new_run("4", "hr")).await.expect("queued");
    let claim = claim_one(&store, "me").await;
    store.keep(&claim.lease, &kept("4", "clean", 1000)).await.expect("kept");
    let day = Duration::from_secs(24 * 3600);
    assert!(
        store.expire(day, 300).await.expect("told").is_empty(),
        "there is room, and a run under way does not count"
    );
    let gone = store.expire(day, 250).await.expect("told");
    assert_eq!(gone.iter().map(|one| one.run_id.as_str()).collect::<Vec<_>>(), ["1"], "the oldest goes first");
    let mut clock = sqlx::AnyConnection::connect(&fresh.url).await.expect("it is there");
    sqlx::query("UPDATE kept SET created_at = 0").execute(&mut clock).await.expect("set back");
    assert!(store.expire(day, 300).await.expect("told").is_empty(), "an age is that of the end of a run");
    while store.expire(Duration::ZERO, 250).await.expect("told").len() < 2 {
        assert!(store.kept("2").await.expect("told").len() == 1, "both go at once, when the clock has moved on");
    }
    assert_eq!(store.kept("4").await.expect("told").len(), 1);
}

async fn a_run_that_is_over_is_not_resumed_while_it_is_held(fresh: Fresh) {
    let store = fresh.store;
    failed(&store, "1", 100).await;
    let over = store.over("1").await.expect("it answers").expect("it is over");
    assert_eq!(over.kept.iter().map(|one| one.bytes).collect::<Vec<_>>(), [100]);
    let other = store.clone();
    let mut resuming = tokio::spawn(async move { other.resume("1", None, true, "ann").await });
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut resuming).await.is_err(), "it waits");
    over.release();
    assert_eq!(resuming.await.expect("no panic").expect("resumed").state, RunState::Queued);
    assert!(store.over("1").await.expect("it answers").is_none());
    assert!(store.over("nobody").await.expect("it answers").is_none());
}

async fn a_run_that_ended_long_ago_is_forgotten_and_nothing_else(fresh: Fresh) {
    let store = fresh.store;
    for id in ["ended", "kept", "waiting"] {
        store.submit(&new_run(id, "hr")).await.expect("queued");
    }
    for _ in ["ended", "kept"] {
        let claim = claim_one(&store, "me").await;
        store.permit(&claim.lease, "load", LEASE).await.expect("the lease holds");
        let told = Told { step: "load".to_owned(), attempt: 1, fingerprint: "f".to_owned(), figures: json!({}) };
        store.committed(&claim.lease, &told, &json!({}), None).await.expect("written down");
        if claim.lease.run == "kept" {
            store.keep(&claim.lease, &kept("kept", "read", 7)).await.expect("kept");
        }
        store.end(&claim.lease, &Ending::Done, &json!({"steps": []})).await.expect("ended");
    }
    assert_eq!(store.forget(Duration::from_secs(60), 10).await.expect("it answers"), 0, "none is old");
    // As soon as the clock has moved on.
    while store.forget(Duration::ZERO, 10).await.expect("it answers") == 0 {}
    assert!(store.run("ended").await.is_err());
    assert!(store.events("ended", 0, 10).await.expect("told").is_empty());
    assert_eq!(store.run("kept").await.expect("its output is kept").state, RunState::Done);
    assert_eq!(store.run("waiting").await.expect("it waits").state, RunState::Queued);
    assert_eq!(store.expire(Duration::from_secs(60), 0).await.expect("it answers").len(), 1);
    while store.forget(Duration::ZERO, 10).await.expect("it answers") == 0 {}
    assert!(store.run("kept").await.is_err());
}
