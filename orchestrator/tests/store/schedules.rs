//! Schedules: stored, due, moved on once.

use crate::databases::{Fresh, on_both};
use orchestrator::schedule::{CatchUp, Overlap, ScheduleSpec};

on_both!(a_schedule_is_due_when_its_time_has_come, of_two_replicas_one_moves_a_schedule_on);

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
    let now = store.now().await.expect("a time");
    let stored = store.put_schedule("daily", &spec(), Some(now + 3_600_000), "ann").await.expect("stored");
    assert_eq!((stored.spec, stored.paused, stored.updated_by.as_str()), (spec(), false, "ann"));
    assert_eq!(store.due_schedules().await.expect("told"), []);
    store.put_schedule("daily", &spec(), Some(now - 1), "bo").await.expect("stored again");
    assert_eq!(store.due_schedules().await.expect("told").len(), 1);
    let paused = store.pause_schedule("daily", true, None).await.expect("paused");
    assert!(paused.paused && paused.next_at.is_none());
    assert_eq!(store.due_schedules().await.expect("told"), []);
    store.note_schedule("daily", now, Err("no such pipeline")).await.expect("noted");
    let shown = store.schedule("daily").await.expect("there");
    assert_eq!((shown.last_at, shown.last_error.as_deref()), (Some(now), Some("no such pipeline")));
    store.delete_schedule("daily").await.expect("gone");
    assert!(store.schedule("daily").await.is_err());
    assert!(store.delete_schedule("daily").await.is_err());
}

async fn of_two_replicas_one_moves_a_schedule_on(fresh: Fresh) {
    let store = fresh.store;
    store.put_schedule("daily", &spec(), Some(1000), "ann").await.expect("stored");
    let moves = (0..8).map(|_| store.advance_schedule("daily", 1000, Some(2000)));
    let moved = futures::future::join_all(moves).await;
    assert_eq!(moved.into_iter().filter(|moved| matches!(moved, Ok(true))).count(), 1);
    assert_eq!(store.schedule("daily").await.expect("there").next_at, Some(2000));
}
