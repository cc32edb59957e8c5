//! Leases: who may run what, and what becomes of the runs of a replica that is gone.

use crate::databases::{Fresh, LEASE, claim_one, kinds, new_run, on_both, record};
use flight_common::Fault;
use orchestrator::store::{Ending, Limits, NewRun, RunState, Store, StoreError, Told};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

on_both!(
    a_run_whose_replica_is_gone_is_taken_over_and_the_old_one_can_change_nothing,
    a_replica_does_not_take_its_own_runs_from_itself,
    a_cancel_outlives_the_replica_that_should_have_confirmed_it,
    no_run_is_taken_twice_and_no_limit_is_exceeded,
    a_run_given_back_can_be_taken_at_once,
    a_run_of_a_schedule_does_not_overtake_one_that_waits_to_be_tried_again,
    a_long_backfill_holds_up_nobody_but_itself,
    a_run_behind_others_that_a_limit_holds_back_is_taken,
    a_run_behind_others_is_taken_where_those_taken_with_it_reach_the_limit,
    many_pipelines_take_turns_and_the_highest_priority_goes_first,
);

async fn a_run_whose_replica_is_gone_is_taken_over_and_the_old_one_can_change_nothing(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&new_run("1", "hr")).await.expect("queued");
    let limits = Limits::default();
    let old = store.claim("old", Duration::ZERO, 1, &limits).await.expect("it answers").claims.remove(0);
    let new = until_claimed(&store, "new").await;
    assert_eq!((new.lease.run.as_str(), new.run.attempt, new.tries, new.reuse), ("1", 2, 1, true));
    assert!(new.lease.fence > old.lease.fence);
    let lost = |error: StoreError| assert!(matches!(error, StoreError::LeaseLost(_)), "{error}");
    lost(store.permit(&old.lease, "load", LEASE).await.expect_err("fenced off"));
    lost(store.note(&old.lease, "step", &json!({})).await.expect_err("fenced off"));
    lost(store.end(&old.lease, &Ending::Done, &json!({})).await.expect_err("fenced off"));
    let told = Told { step: "load".to_owned(), attempt: 0, fingerprint: "f".to_owned(), figures: json!({}) };
    lost(store.committed(&old.lease, &told, &json!({}), None).await.expect_err("fenced off"));
    lost(store.write_down(&old.lease, &[record("1")]).await.expect_err("fenced off"));
    lost(store.end_attempt(&old.lease, &Ending::Done, &json!({}), &[record("1")]).await.expect_err("fenced off"));
    assert!(store.commits("1").await.expect("told").is_empty() && store.told("1").await.expect("told").is_empty());
    assert!(store.audit("1").await.expect("told").is_empty());
    assert!(store.heartbeat("old", LEASE).await.expect("it answers").is_empty());
    store.end(&new.lease, &Ending::Done, &json!({})).await.expect("the new one may");
    assert_eq!(kinds(&store, "1").await, ["queued", "started", "taken_over", "done"]);
    let states: Vec<String> = store.attempts("1").await.expect("told").into_iter().map(|one| one.state).collect();
    assert_eq!(states, ["lost", "done"]);
}

/// Takes a run whose lease is over, as soon as the clock has moved on.
async fn until_claimed(store: &Store, owner: &str) -> orchestrator::store::Claim {
    loop {
        if let Some(claim) = store.claim(owner, LEASE, 1, &Limits::default()).await.expect("it answers").claims.pop() {
            return claim;
        }
        tokio::task::yield_now().await;
    }
}

async fn a_replica_does_not_take_its_own_runs_from_itself(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&new_run("1", "hr")).await.expect("queued");
    let claim = store.claim("me", Duration::ZERO, 1, &Limits::default()).await.expect("it answers").claims.remove(0);
    // The lease is over, as after a jump of the clock; nobody else has it, so it can be prolonged, by either way.
    store.permit(&claim.lease, "load", Duration::ZERO).await.expect("nobody has taken it");
    store.submit(&new_run("2", "hr")).await.expect("queued");
    assert_eq!(claim_one(&store, "me").await.lease.run, "2");
    assert_eq!(store.heartbeat("me", LEASE).await.expect("it answers").len(), 2);
    store.permit(&claim.lease, "load", LEASE).await.expect("the lease holds again");
}

async fn a_cancel_outlives_the_replica_that_should_have_confirmed_it(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&new_run("1", "hr")).await.expect("queued");
    store.claim("old", Duration::ZERO, 1, &Limits::default()).await.expect("it answers");
    store.cancel("1", false, "ann").await.expect("asked");
    let new = until_claimed(&store, "new").await;
    assert!(new.cancelling);
    store.end(&new.lease, &Ending::Cancelled, &json!({})).await.expect("confirmed");
    assert_eq!(store.run("1").await.expect("there").state, RunState::Cancelled);
}

async fn no_run_is_taken_twice_and_no_limit_is_exceeded(fresh: Fresh) {
    let store = fresh.store;
    const RUNS: usize = 60;
    for n in 0..RUNS {
        let run = NewRun { concurrency: Some(3), ..new_run(&format!("{n:03}"), ["a", "b", "c"][n % 3]) };
        store.submit(&run).await.expect("queued");
    }
    let limits = Limits { runs: 7, ..Limits::default() };
    let mut replicas = tokio::task::JoinSet::new();
    for name in ["r1", "r2", "r3", "r4"] {
        let (store, limits) = (store.clone(), limits.clone());
        replicas.spawn(async move {
            let mut taken = Vec::new();
            while !store.unfinished().await.expect("counted").is_empty() {
                for claim in store.claim(name, LEASE, 2, &limits).await.expect("it answers").claims {
                    let counts = store.unfinished().await.expect("counted");
                    let running = counts.iter().find(|(state, _)| *state == RunState::Running).map_or(0, |(_, n)| *n);
                    assert!(running <= 7, "{counts:?}");
                    store.end(&claim.lease, &Ending::Done, &json!({})).await.expect("ended");
                    taken.push(claim.lease.run);
                }
            }
            taken
        });
    }
    let taken: Vec<String> = replicas.join_all().await.into_iter().flatten().collect();
    assert_eq!((taken.len(), taken.iter().collect::<HashSet<_>>().len()), (RUNS, RUNS));
}

async fn a_run_given_back_can_be_taken_at_once(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&new_run("1", "hr")).await.expect("queued");
    let claim = claim_one(&store, "old").await;
    store.end(&claim.lease, &Ending::Released, &json!({})).await.expect("given back");
    let again = claim_one(&store, "new").await;
    assert_eq!((again.run.attempt, again.tries, again.reuse), (2, 0, true));
}

async fn a_run_of_a_schedule_does_not_overtake_one_that_waits_to_be_tried_again(fresh: Fresh) {
    let store = fresh.store;
    let scheduled = |id: &str, of_series| NewRun {
        of_series,
        scheduled_at: Some(7),
        origin: "schedule:hourly".to_owned(),
        ..new_run(id, "hr")
    };
    store.submit(&scheduled("1", None)).await.expect("queued");
    let first = claim_one(&store, "me").await;
    store.submit(&scheduled("2", Some(1))).await.expect("queued");
    store.submit(&NewRun { concurrency: Some(9), ..new_run("3", "hr") }).await.expect("queued");
    let later = Ending::Retry(Fault::upstream("not yet"), Duration::from_secs(3600));
    store.end(&first.lease, &later, &json!({})).await.expect("it waits");
    let limits = Limits::default();
    let words = store.waits_for("1", &limits).await.expect("it answers").expect("it waits");
    let seconds = words.strip_prefix("its next attempt is due in ").and_then(|words| words.strip_suffix(" s"));
    let seconds = seconds.and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| (3500..=3600).contains(&seconds)), "{words}");
    let words = store.waits_for("2", &limits).await.expect("it answers");
    assert_eq!(words.as_deref(), Some("an earlier run of the schedule hourly waits for its next attempt"));
    let taken = store.claim("me", LEASE, 9, &limits).await.expect("it answers");
    assert_eq!(taken.claims.iter().map(|one| one.lease.run.as_str()).collect::<Vec<_>>(), ["3"]);
    store.end(&taken.claims[0].lease, &Ending::Done, &json!({})).await.expect("ended");
    assert!(store.claim("me", LEASE, 9, &limits).await.expect("it answers").claims.is_empty());
    store.cancel("1", false, "ann").await.expect("it is over");
    assert_eq!(claim_one(&store, "me").await.lease.run, "2");
}

async fn a_run_behind_others_that_a_limit_holds_back_is_taken(fresh: Fresh) {
    let store = fresh.store;
    let limits = Limits { per_service: HashMap::from([("scarce".to_owned(), 1)]), ..Limits::default() };
    let using = |id: &str, service: &str| NewRun { services: vec![service.to_owned()], ..new_run(id, "hr") };
    for id in ["1", "2", "3", "4"] {
        store.submit(&using(id, "scarce")).await.expect("queued");
    }
    store.submit(&using("5", "plenty")).await.expect("queued");
    store.submit(&NewRun { priority: -1, ..new_run("6", "other") }).await.expect("queued");
    let mut order = Vec::new();
    for _ in 0..4 {
        let taken = store.claim("me", LEASE, 1, &limits).await.expect("it answers");
        assert!(taken.left, "others wait: {order:?}");
        order.extend(taken.claims.into_iter().map(|claim| claim.lease.run));
    }
    // Behind the second one, that may not go, another one of its pipeline waits that may, and before all of lower priority.
    assert_eq!(order, ["1", "5", "6"]);
}

async fn a_run_behind_others_is_taken_where_those_taken_with_it_reach_the_limit(fresh: Fresh) {
    let store = fresh.store;
    let limits = Limits { per_service: HashMap::from([("scarce".to_owned(), 1)]), ..Limits::default() };
    let of = |id: &str, pipeline: &str, service: &str, priority| NewRun {
        services: vec![service.to_owned()],
        priority,
        ..new_run(id, pipeline)
    };
    for id in ["1", "2", "3"] {
        store.submit(&of(id, "hr", "scarce", 5)).await.expect("queued");
    }
    store.submit(&of("4", "hr", "plenty", 5)).await.expect("queued");
    store.submit(&of("5", "other", "plenty", 0)).await.expect("queued");
    let taken = store.claim("me", LEASE, 2, &limits).await.expect("it answers");
    assert_eq!(taken.claims.iter().map(|claim| claim.lease.run.as_str()).collect::<Vec<_>>(), ["1", "4"]);
}

async fn many_pipelines_take_turns_and_the_highest_priority_goes_first(fresh: Fresh) {
    let store = fresh.store;
    const PIPELINES: usize = 30;
    for n in 0..2 * PIPELINES {
        store.submit(&new_run(&format!("{n:02}"), &format!("p{}", n % PIPELINES))).await.expect("queued");
    }
    // The last one of its pipeline, which is the last one in every order.
    store.submit(&NewRun { priority: 1, ..new_run("99", "q") }).await.expect("queued");
    let mut order = Vec::new();
    loop {
        let Some(claim) = store.claim("me", LEASE, 1, &Limits::default()).await.expect("it answers").claims.pop()
        else {
            break;
        };
        store.end(&claim.lease, &Ending::Done, &json!({})).await.expect("ended");
        order.push(claim.lease.run);
    }
    let turns = (0..2 * PIPELINES).map(|n| format!("{n:02}"));
    assert_eq!(order, ["99".to_owned()].into_iter().chain(turns).collect::<Vec<_>>());
}

async fn a_long_backfill_holds_up_nobody_but_itself(fresh: Fresh) {
    let store = fresh.store;
    let of = |id: &str, origin: &str, of_series| NewRun { origin: origin.to_owned(), of_series, ..new_run(id, "hr") };
    for n in 0..40 {
        store.submit(&of(&format!("1{n:02}"), "backfill:day", Some(2))).await.expect("queued");
    }
    store.submit(&of("200", "schedule:day", None)).await.expect("queued");
    store.submit(&of("201", "catch-up:day", Some(1))).await.expect("queued");
    store.submit(&of("202", "test", None)).await.expect("queued");
    let mut taken = Vec::new();
    for _ in 0..5 {
        let claims = store.claim("me", LEASE, 1, &Limits::default()).await.expect("it answers").claims;
        taken.extend(claims.into_iter().map(|claim| claim.lease));
    }
    let names: Vec<&str> = taken.iter().map(|lease| lease.run.as_str()).collect();
    assert_eq!(names, ["100", "101", "200", "202"], "two of the backfill, and none beside the run of its schedule");
    store.end(&taken[2], &Ending::Done, &json!({})).await.expect("ended");
    assert_eq!(claim_one(&store, "me").await.lease.run, "201");
    store.end(&taken[0], &Ending::Done, &json!({})).await.expect("ended");
    assert_eq!(claim_one(&store, "me").await.lease.run, "102");
}

/// Takes runs of PostgreSQL for the replica `me` while another transaction, which has changed a run so, has not ended yet.
async fn claimed_beside(fresh: &Fresh, change: &'static str) -> usize {
    let connect = async || PgConnection::connect(&fresh.url).await.expect("it is there");
    let (mut other, mut looking) = (connect().await, connect().await);
    sqlx::query("BEGIN").execute(&mut other).await.expect("begun");
    sqlx::query(change).execute(&mut other).await.expect("changed");
    let store = fresh.store.clone();
    let claiming = tokio::spawn(async move { store.claim("me", LEASE, 1, &Limits::default()).await });
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while !claiming.is_finished()
        && sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut looking).await.expect("told") == 0
    {
        tokio::task::yield_now().await;
    }
    sqlx::query("COMMIT").execute(&mut other).await.expect("ended");
    claiming.await.expect("no panic").expect("it answers").claims.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_become_something_else_meanwhile_is_not_taken() {
    let fresh = crate::databases::postgres().await;
    fresh.store.submit(&new_run("1", "hr")).await.expect("queued");
    assert_eq!(claimed_beside(&fresh, "UPDATE runs SET state = 'cancelled'").await, 0);
    assert_eq!(fresh.store.run("1").await.expect("there").state, RunState::Cancelled);

    fresh.store.submit(&new_run("2", "hr")).await.expect("queued");
    fresh.store.claim("old", LEASE, 1, &Limits::default()).await.expect("it answers");
    let over = async || {
        let mut clock = PgConnection::connect(&fresh.url).await.expect("it is there");
        sqlx::query("UPDATE runs SET lease_until = 0 WHERE id = '2'").execute(&mut clock).await.expect("changed");
    };
    over().await;
    let prolonged = "UPDATE runs SET lease_until = 9000000000000000 WHERE id = '2'";
    assert_eq!(claimed_beside(&fresh, prolonged).await, 0);
    let run = fresh.store.run("2").await.expect("there");
    assert_eq!((run.owner.as_deref(), run.attempt), (Some("old"), 1));
    over().await;
    assert_eq!(claim_one(&fresh.store, "me").await.run.attempt, 2);
}
