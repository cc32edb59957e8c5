//! A run is queued, checked, run, watched and cancelled.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_queued_run_and_told() {
    let house = House::new();
    let replica = replica(&house, unhurried()).await;
    let run = replica.submit(CHAIN).await;
    let row = replica.until(&run, RunState::Done).await;
    assert_eq!((row.attempt, row.fault), (1, None));
    assert_eq!(house.sum(), Some(99_999 * 50_000));
    let kinds = replica.events(&run).await.into_iter().map(|event| event.kind);
    // How far it is, is told of a run that takes half a second, as any may on a busy machine.
    let kinds: Vec<String> = kinds.filter(|kind| kind != "progress").collect();
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
    replica.service.check_to_keep("test", &body).await.expect("good to keep");
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
    for asked in [9, 0, -1] {
        let more = Submission {
            pipeline: Some("test".to_owned()),
            body: body.clone(),
            priority: Some(asked),
            ..Submission::default()
        };
        assert_eq!(replica.service.submit(more).await.expect("a good pipeline").run.priority, asked);
    }
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
    let waiting = replica.service.store().run(&second).await.expect("there");
    assert_eq!(waiting.state, RunState::Queued);
    let words = replica.service.waits_for(&waiting).await.expect("it answers");
    assert_eq!(words.as_deref(), Some("at most 1 of the pipeline test may run at a time: its `concurrency`"));
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
async fn a_run_under_way_is_cancelled_within_a_second() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let body = CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 5000");
    let mut in_time = false;
    // A machine that is busy with something else may be late, but not each time.
    for _ in 0..5 {
        let run = replica.submit(&body).await;
        replica.until(&run, RunState::Running).await;
        replica.service.cancel(&run, "ann").await.expect("it runs");
        let ended = tokio::time::timeout(Duration::from_secs(1), replica.until(&run, RunState::Cancelled)).await;
        in_time = ended.is_ok();
        let row = replica.until(&run, RunState::Cancelled).await;
        assert_eq!((row.owner, row.fault), (None, None));
        if in_time {
            break;
        }
    }
    assert!(in_time, "never within a second");
    assert_eq!(house.sum(), None);
}
