//! Pipelines that run by themselves, and ranges that are filled back.

use super::*;
use orchestrator::service::{Backfill, Occurrence, Outcome};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// A schedule of the pipeline `sums`.
fn schedule(cron: &str, overlap: Overlap, catch_up: CatchUp) -> ScheduleSpec {
    ScheduleSpec {
        pipeline: "sums".to_owned(),
        version: None,
        params: BTreeMap::new(),
        set: Vec::new(),
        cron: cron.to_owned(),
        zone: "UTC".to_owned(),
        overlap,
        catch_up,
        jitter_seconds: 0,
    }
}

/// The pipeline, which stands still half-way.
fn stalled() -> String {
    CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 5000")
}

impl Replica {
    async fn store_pipeline(&self, body: &str) {
        let definition = Definition::new(body);
        self.service.store().put_pipeline("sums", &definition, &Expected::Any, "ann").await.expect("stored");
    }

    /// Stores the schedule `tick`, which comes in these minutes of each hour and has not been looked at since the first of
    /// them: each is so many minutes ago.
    async fn due_since(&self, minutes: &[i64], overlap: Overlap, catch_up: CatchUp) -> Vec<i64> {
        let store = self.service.store();
        let this_minute = store.now().await.expect("a time") / MINUTE;
        let times: Vec<i64> = minutes.iter().map(|ago| this_minute - ago).collect();
        let cron = times.iter().map(|time| (time % 60).to_string()).collect::<Vec<_>>().join(",");
        let spec = schedule(&format!("{cron} * * * *"), overlap, catch_up);
        store.put_schedule("tick", &spec, Some(times[0] * MINUTE), "ann").await.expect("stored");
        times.iter().map(|time| time * MINUTE).collect()
    }

    /// Waits until `tick` was looked at, and returns all runs, the youngest first.
    async fn looked_at(&self) -> Vec<RunRow> {
        let store = self.service.store();
        let waiting = async {
            while store.schedule("tick").await.expect("there").next_at <= store.now().await.ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, waiting).await.expect("it is looked at");
        store.runs(&RunFilter::default(), None, 100).await.expect("listed").items
    }

    /// Fills back the schedule `daily` from the first day of 1970 to the end of another one.
    async fn fill(&self, until: i64, again: bool) -> Vec<Occurrence> {
        let range = Backfill { from: DAY / 4, until: until * DAY, concurrency: Some(1), again };
        self.service.backfill("daily", &range, "bo").await.expect("filled back")
    }
}

fn outcomes(occurrences: &[Occurrence]) -> Vec<Outcome> {
    occurrences.iter().map(|one| one.outcome).collect()
}

fn runs(occurrences: &[Occurrence]) -> Vec<&str> {
    occurrences.iter().map(|one| one.run.as_str()).collect()
}

#[tokio::test]
async fn a_schedule_runs_its_pipeline_once_for_each_time() {
    let house = House::new();
    let replicas = [replica(&house, settings()).await, replica(&house, settings()).await];
    replicas[0].store_pipeline(CHAIN).await;
    let mut times = replicas[0].due_since(&[7, 5, 3], Overlap::Queue, CatchUp::All).await;
    let runs = replicas[1].looked_at().await;
    times.reverse();
    let of: Vec<Option<i64>> = runs.iter().map(|run| run.scheduled_at).collect();
    assert_eq!(of, times.iter().map(|time| Some(*time)).collect::<Vec<_>>(), "{runs:?}");
    assert!(runs.iter().all(|run| run.submitted_by == "ann"));
    let shown = replicas[0].service.store().schedule("tick").await.expect("there");
    assert!(shown.last_run.is_some() && shown.last_error.is_none(), "{shown:?}");
}

#[tokio::test]
async fn a_run_that_takes_longer_than_its_schedule_is_waited_for_or_cancelled() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    replica.store_pipeline(&stalled()).await;
    replica.due_since(&[3], Overlap::Skip, CatchUp::Last).await;
    let first = replica.looked_at().await.remove(0);
    assert_eq!(first.origin, "schedule:tick");
    replica.until(&first.id, RunState::Running).await;
    replica.due_since(&[2], Overlap::Skip, CatchUp::Last).await;
    assert_eq!(replica.looked_at().await.len(), 1, "the time is left out");
    replica.due_since(&[1], Overlap::Queue, CatchUp::Last).await;
    let second = replica.looked_at().await.remove(0);
    assert_ne!(first.id, second.id);
    replica.due_since(&[0], Overlap::Cancel, CatchUp::Last).await;
    let third = replica.looked_at().await.remove(0);
    for old in [&first, &second] {
        let old = replica.until(&old.id, RunState::Cancelled).await;
        assert_eq!(old.started_at.is_some(), old.id == first.id, "the second waited for the first: {old:?}");
    }
    replica.until(&third.id, RunState::Running).await;
}

#[tokio::test]
async fn times_that_were_missed_run_one_after_another_whatever_is_said_of_overlap() {
    for overlap in [Overlap::Skip, Overlap::Cancel] {
        let house = House::new();
        let replica = replica(&house, settings()).await;
        replica.store_pipeline(CHAIN).await;
        let times = replica.due_since(&[5, 4, 3, 2], overlap, CatchUp::All).await;
        let mut runs = replica.looked_at().await;
        runs.reverse();
        assert_eq!(runs.iter().filter_map(|run| run.scheduled_at).collect::<Vec<_>>(), times);
        let mut ended = None;
        for run in runs {
            let run = replica.until(&run.id, RunState::Done).await;
            assert!(run.started_at >= ended, "{run:?} began before {ended:?}");
            ended = run.ended_at;
        }
    }
}

#[tokio::test]
async fn a_new_time_cancels_none_of_those_that_were_missed() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    replica.store_pipeline(&stalled()).await;
    replica.due_since(&[5, 4], Overlap::Cancel, CatchUp::All).await;
    assert_eq!(replica.looked_at().await.len(), 2);
    replica.due_since(&[1], Overlap::Cancel, CatchUp::Last).await;
    let runs = replica.looked_at().await;
    replica.until(&runs[2].id, RunState::Running).await;
    let store = replica.service.store();
    let states: Vec<RunState> =
        store.runs(&RunFilter::default(), None, 9).await.expect("listed").items.iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Queued, RunState::Queued, RunState::Running]);
}

#[tokio::test]
async fn a_time_whose_pipeline_cannot_be_planned_leaves_a_failed_run() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    replica.store_pipeline(&CHAIN.replace("rows", "raws")).await;
    let times = replica.due_since(&[0], Overlap::Skip, CatchUp::Last).await;
    let run = replica.looked_at().await.remove(0);
    let run = replica.until(&run.id, RunState::Failed).await;
    let fault = run.fault.expect("a fault").to_string();
    assert!(fault.contains("line 3: n: missing parameter"), "{fault}");
    assert_eq!(run.scheduled_at, Some(times[0]));
    let shown = replica.service.store().schedule("tick").await.expect("there");
    assert_eq!((shown.last_run, shown.last_error), (Some(run.id), None));
}

#[tokio::test]
async fn what_can_never_run_is_no_schedule() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    replica.store_pipeline(CHAIN).await;
    let daily = schedule("0 6 * * *", Overlap::Skip, CatchUp::Last);
    let refused = async |spec: ScheduleSpec| {
        replica.service.put_schedule("daily", &spec, "ann").await.expect_err("refused").to_string()
    };
    let never = refused(ScheduleSpec { cron: "0 6 30 2 *".to_owned(), ..daily.clone() }).await;
    assert!(never.contains("never comes"), "{never}");
    let every_second = refused(ScheduleSpec { cron: "* * * * * *".to_owned(), ..daily.clone() }).await;
    assert!(every_second.contains("6 fields"), "{every_second}");
    let jitter = |cron: &str, jitter_seconds| ScheduleSpec { cron: cron.to_owned(), jitter_seconds, ..daily.clone() };
    let late = refused(jitter("0 6,7 * * *", 3600)).await;
    assert!(late.contains("3600 s may lie between"), "{late}");
    replica.service.put_schedule("daily", &jitter("0 6,7 * * *", 3599), "ann").await.expect("stored");
    let param = [("day".to_owned(), "1".into())].into();
    let unknown = refused(ScheduleSpec { params: param, ..daily.clone() }).await;
    assert!(unknown.starts_with("1:1: ") && unknown.contains("\"day\""), "{unknown}");
    let no_step = refused(ScheduleSpec { set: vec!["m.rows=1".to_owned()], ..daily.clone() }).await;
    assert!(no_step.contains("no step \"m\""), "{no_step}");
    replica.store_pipeline(&format!("params: {{day: {{type: date}}, n: {{type: integer}}}}{}", with_day())).await;
    let given = |n: &str| {
        let day = ("day".to_owned(), "{{ date }}".into());
        ScheduleSpec { params: [day, ("n".to_owned(), n.into())].into(), ..daily.clone() }
    };
    let missing = refused(daily.clone()).await;
    assert!(missing.contains("day") && missing.contains("n"), "{missing}");
    let wrong = refused(given("many")).await;
    assert!(wrong.contains("many"), "{wrong}");
    replica.service.put_schedule("daily", &given("7"), "ann").await.expect("stored");
}

/// The pipeline, with parameters that it uses.
fn with_day() -> String {
    CHAIN.replace("rows: 100000", "rows: \"{{ n }}\", needs: \"{{ day }}\"")
}

#[tokio::test]
async fn a_range_is_filled_back_with_what_has_not_run_well() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    replica.store_pipeline(CHAIN).await;
    let daily = schedule("0 6 * * *", Overlap::Skip, CatchUp::Last);
    replica.service.put_schedule("daily", &daily, "ann").await.expect("stored");
    let first = replica.fill(3, false).await;
    assert_eq!(outcomes(&first), [Outcome::Queued; 3]);
    assert_eq!(first[0].time, "1970-01-01T06:00:00+00:00", "the moment from which it is filled is in it");
    for one in &first {
        let run = replica.until(&one.run, RunState::Done).await;
        assert_eq!((run.origin.as_str(), run.submitted_by.as_str()), ("backfill:daily", "bo"));
    }
    let wider = replica.fill(4, false).await;
    assert_eq!(outcomes(&wider), [Outcome::Done, Outcome::Done, Outcome::Done, Outcome::Queued]);
    assert_eq!(runs(&wider)[..3], runs(&first));
    replica.until(&wider[3].run, RunState::Done).await;
    let again = replica.fill(3, true).await;
    assert_eq!(outcomes(&again), [Outcome::Queued; 3]);
    assert!(runs(&again).iter().all(|run| !runs(&first).contains(run)));
    replica.until(&again[2].run, RunState::Done).await;
    let elsewhere = Backfill { from: 0, until: DAY / 8, ..Backfill::default() };
    assert!(replica.service.backfill("daily", &elsewhere, "bo").await.is_err(), "nothing lies in the range");
}

#[tokio::test]
async fn what_has_changed_or_failed_is_filled_back_anew() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    replica.store_pipeline(CHAIN).await;
    let daily = schedule("0 6 * * *", Overlap::Skip, CatchUp::Last);
    replica.service.put_schedule("daily", &daily, "ann").await.expect("stored");
    let first = replica.fill(1, false).await;
    replica.until(&first[0].run, RunState::Done).await;
    let other = ScheduleSpec { set: vec!["n.rows=7".to_owned()], ..daily.clone() };
    replica.service.put_schedule("daily", &other, "ann").await.expect("stored");
    let changed = replica.fill(1, false).await;
    assert_eq!(outcomes(&changed), [Outcome::Queued]);
    replica.until(&changed[0].run, RunState::Done).await;
    replica.store_pipeline(&CHAIN.replace("rows", "raws")).await;
    let failing = replica.fill(1, false).await;
    replica.until(&failing[0].run, RunState::Failed).await;
    let failed = replica.fill(1, false).await;
    assert_eq!(outcomes(&failed), [Outcome::Queued]);
    assert_ne!(failed, failing);
    replica.store_pipeline(&stalled()).await;
    replica.service.put_schedule("daily", &daily, "ann").await.expect("stored");
    let under_way = replica.fill(1, false).await;
    for again in [false, true] {
        let once_more = replica.fill(1, again).await;
        assert_eq!((outcomes(&once_more), runs(&once_more)), (vec![Outcome::UnderWay], runs(&under_way)));
    }
    replica.store_pipeline(CHAIN).await;
    let back = replica.fill(1, false).await;
    assert_eq!((outcomes(&back), runs(&back)), (vec![Outcome::Done], runs(&first)), "as it was at first");
}

#[tokio::test]
async fn a_backfill_is_cancelled_as_a_whole_and_nothing_else_is() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let store = replica.service.store();
    replica.store_pipeline(&stalled()).await;
    let daily = schedule("0 6 * * *", Overlap::Skip, CatchUp::Last);
    replica.service.put_schedule("daily", &daily, "ann").await.expect("stored");
    let filled = replica.fill(40, false).await;
    let ids = runs(&filled);
    replica.until(ids[0], RunState::Running).await;
    let other = replica.submit(CHAIN).await;
    store.delete_schedule("daily").await.expect("deleted");
    let cancelled = replica.service.cancel_backfill("daily", "bo").await.expect("asked for");
    assert_eq!(cancelled.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ids);
    assert_eq!(cancelled[0].state, RunState::Cancelling);
    assert!(cancelled[1..].iter().all(|run| run.state == RunState::Cancelled && run.attempt == 0), "{cancelled:?}");
    replica.until(ids[0], RunState::Cancelled).await;
    replica.until(&other, RunState::Done).await;
    assert!(replica.service.cancel_backfill("daily", "bo").await.is_err(), "there is no such schedule");
    replica.service.put_schedule("daily", &daily, "ann").await.expect("stored");
    assert!(replica.service.cancel_backfill("daily", "bo").await.expect("asked for").is_empty());
}
