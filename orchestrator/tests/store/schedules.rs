//! Schedules: stored, due, moved on once.

use crate::databases::{Fresh, new_run, on_both};
use orchestrator::schedule::{CatchUp, Overlap, ScheduleSpec};
use orchestrator::store::{Definition, Expected, NewRun, Store, StoreError};

on_both!(
    a_schedule_is_due_when_its_time_has_come,
    of_two_replicas_one_moves_a_schedule_on,
    a_schedule_and_its_pipeline_stay_together,
    the_runs_of_a_range_of_times_are_found,
);

async fn store_sums(store: &Store) {
    store.put_pipeline("sums", &Definition::new("steps: []"), &Expected::Any, "ann").await.expect("stored");
}

fn spec() -> ScheduleSpec {
    ScheduleSpec {
        pipeline: "sums".to_owned(),
        version: Some(2),
        params: [("day".to_owned(), serde_json::json!("{{ date }}"))].into(),
        set: vec!["read.rows={{ date }}".to_owned()],
        cron: "0 6 * * *".to_owned(),
        zone: "Europe/Berlin".to_owned(),
        overlap: Overlap::Cancel,
        catch_up: CatchUp::All,
        jitter_seconds: 7,
    }
}

async fn a_schedule_is_due_when_its_time_has_come(fresh: Fresh) {
    let store = fresh.store;
    store_sums(&store).await;
    let now = store.now().await.expect("a time");
    let due = async || store.due_schedules(store.now().await.expect("a time")).await.expect("told");
    let stored = store.put_schedule("daily", &spec(), Some(now + 3_600_000), "ann").await.expect("stored");
    assert_eq!((stored.spec, stored.paused, stored.updated_by.as_str()), (spec(), false, "ann"));
    assert_eq!(due().await, []);
    store.put_schedule("daily", &spec(), Some(now - 1), "bo").await.expect("stored again");
    let seen = due().await.pop().expect("it is due");
    assert!(store.is_still_due(&seen).await.expect("told"));
    let paused = store.pause_schedule("daily", true, None).await.expect("paused");
    assert!(paused.paused && paused.next_at.is_none());
    assert!(!store.is_still_due(&seen).await.expect("told"), "it was paused after it was seen to be due");
    assert_eq!(due().await, []);
    let again = store.put_schedule("daily", &spec(), Some(now - 1), "bo").await.expect("stored again");
    assert!(again.paused && again.next_at.is_none(), "nobody has resumed it");
    assert_eq!(due().await, []);
    store.note_schedule("daily", now, Err("no such pipeline")).await.expect("noted");
    let shown = store.schedule("daily").await.expect("there");
    assert_eq!((shown.last_at, shown.last_error.as_deref()), (Some(now), Some("no such pipeline")));
    store.delete_schedule("daily").await.expect("gone");
    assert!(store.schedule("daily").await.is_err());
    assert!(store.delete_schedule("daily").await.is_err());
}

async fn of_two_replicas_one_moves_a_schedule_on(fresh: Fresh) {
    let store = fresh.store;
    store_sums(&store).await;
    store.put_schedule("daily", &spec(), Some(1000), "ann").await.expect("stored");
    let moves = (0..8).map(|_| store.advance_schedule("daily", 1000, Some(2000)));
    let moved = futures::future::join_all(moves).await;
    assert_eq!(moved.into_iter().filter(|moved| matches!(moved, Ok(true))).count(), 1);
    assert_eq!(store.schedule("daily").await.expect("there").next_at, Some(2000));
}

async fn a_schedule_and_its_pipeline_stay_together(fresh: Fresh) {
    let store = fresh.store;
    store_sums(&store).await;
    let other = ScheduleSpec { pipeline: "others".to_owned(), ..spec() };
    let error = store.put_schedule("daily", &other, None, "ann").await.expect_err("no such pipeline");
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    for name in ["weekly", "daily"] {
        store.put_schedule(name, &spec(), None, "ann").await.expect("stored");
    }
    let error = store.delete_pipeline("sums", &Expected::Any).await.expect_err("it is used");
    assert!(matches!(&error, StoreError::Conflict(why) if why.contains("daily, weekly")), "{error}");
    assert_eq!(store.versions("sums").await.expect("still there").len(), 1);
    for name in ["weekly", "daily"] {
        store.delete_schedule(name).await.expect("gone");
    }
    store.delete_pipeline("sums", &Expected::Any).await.expect("gone");
}

async fn the_runs_of_a_range_of_times_are_found(fresh: Fresh) {
    let store = fresh.store;
    let run =
        |id: &str, origin: &str, scheduled_at| NewRun { origin: origin.to_owned(), scheduled_at, ..new_run(id, "a") };
    let queued = [
        run("1", "x", Some(1)),
        run("2", "x", Some(2)),
        run("3", "y", Some(3)),
        run("4", "z", Some(4)),
        run("5", "other", Some(3)),
        run("6", "x", None),
    ];
    for run in &queued {
        store.submit(run).await.expect("queued");
    }
    let found = store.scheduled_runs(["x", "y", "z"], 2, 4).await.expect("told");
    let found: Vec<(&str, Option<i64>)> = found.iter().map(|run| (run.id.as_str(), run.scheduled_at)).collect();
    assert_eq!(found, [("4", Some(4)), ("3", Some(3)), ("2", Some(2))]);
}
