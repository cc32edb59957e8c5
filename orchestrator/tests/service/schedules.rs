//! Pipelines that run by themselves, and ranges that are filled back.

use super::*;

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
