//! What a run asks before it commits, and what is so whatever happens then.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

const PAYS: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 5}}
  - {id: p, service: pays, params: {plans: none}, depends_on: n}
  - {id: s, service: sum, depends_on: p}
";

/// What the step in the middle does to the world, how many it comes after, and whether what it reads is kept.
async fn planned(mesh: &impl Mesh, yaml: &str) -> (Effects, usize, bool) {
    let plan = pipeline::check(&Source::new("test", yaml), &Arguments::default(), mesh).await.expect("a good pipeline");
    (plan.nodes[1].effects, plan.nodes[1].after.len(), plan.nodes[0].checkpoint)
}

#[tokio::test]
async fn what_a_step_does_to_the_world_is_what_it_plans_or_else_describes() {
    let described = PAYS.replace("{plans: none}", "{}");
    let house = House::new();
    let (flight, server) = house.served().await;
    for (yaml, wanted) in [(PAYS, (Effects::None, 0, false)), (&described, (Effects::External, 1, true))] {
        assert_eq!(planned(&house.in_process(), yaml).await, wanted, "{yaml}");
        assert_eq!(planned(&flight, yaml).await, wanted, "{yaml}");
    }
    server.stop().await.expect("nothing is left running");
}

/// Permits nothing to one step.
struct Forbids(&'static str);

impl Attendant for Forbids {
    fn permit<'a>(&'a self, step: &'a str) -> BoxFuture<'a, Result<Holds, Fault>> {
        let answer = if step == self.0 { Err(Fault::denied("somebody else runs it")) } else { Ok(None) };
        std::future::ready(answer).boxed()
    }
}

#[tokio::test]
async fn a_transform_that_commits_asks_for_permission_and_may_not_forget_it() {
    let options = || RunOptions { attendant: Arc::new(Forbids("p")), ..RunOptions::default() };
    for (house, report) in both(64 << 20, &PAYS.replace("none", "commits"), options).await {
        assert_eq!(report.fault.as_ref().map(Fault::kind), Some(FaultKind::Denied), "{report:?}");
        assert_eq!(house.sum(), None);
    }
    for (house, report) in both(64 << 20, PAYS, options).await {
        assert_eq!((report.status, house.sum()), (Status::Done, Some(10)), "it does nothing: {report:?}");
    }
    for (house, report) in both(64 << 20, &PAYS.replace("none", "forgets"), RunOptions::default).await {
        assert_eq!(report.fault.as_ref().map(Fault::kind), Some(FaultKind::Internal), "{report:?}");
        assert_eq!(house.sum(), None);
    }
}

/// Lets every load commit, and has the run stopped at the same moment.
struct StopsWhilePermitting(CancellationToken);

impl Attendant for StopsWhilePermitting {
    fn permit<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Holds, Fault>> {
        self.0.cancel();
        // Whoever waits for the stop comes first.
        async {
            tokio::task::yield_now().await;
            Ok(None)
        }
        .boxed()
    }
}

/// Permits for no time at all, but the third time.
struct Hesitates(AtomicUsize);

impl Attendant for Hesitates {
    fn permit<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Holds, Fault>> {
        let time = self.0.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Some(Duration::from_secs(if time < 2 { 0 } else { 3600 })))).boxed()
    }
}

#[tokio::test]
async fn a_load_asks_again_when_the_answer_holds_no_more() {
    let attendants = std::cell::RefCell::new(Vec::new());
    let options = || {
        let attendant = Arc::new(Hesitates(AtomicUsize::new(0)));
        attendants.borrow_mut().push(attendant.clone());
        RunOptions { attendant, ..RunOptions::default() }
    };
    for (house, report) in both(64 << 20, CHAIN, options).await {
        assert_eq!((report.status, house.sum()), (Status::Done, Some(249_999 * 250_000 / 2)), "{report:?}");
    }
    let asked: Vec<_> = attendants.borrow().iter().map(|one| one.0.load(Ordering::SeqCst)).collect();
    assert_eq!(asked, [3, 3]);
}

#[tokio::test]
async fn a_load_that_was_let_commit_ends_though_the_run_is_stopped() {
    let options = || {
        let cancel = CancellationToken::new();
        let attendant = Arc::new(StopsWhilePermitting(cancel.clone()));
        RunOptions { cancel, attendant, ..RunOptions::default() }
    };
    for (house, report) in both(64 << 20, CHAIN, options).await {
        assert_eq!(status_of(&report, "s"), Status::Done, "{report:?}");
        assert_eq!((report.status, house.sum()), (Status::Done, Some(249_999 * 250_000 / 2)));
    }
}

#[tokio::test]
async fn what_a_run_says_of_its_loads_is_so_at_whatever_moment_its_time_is_over() {
    let house = House::with_memory(64 << 20);
    let (mesh, server) = house.served().await;
    let mesh = Arc::new(mesh);
    for tenths in 0..60 {
        let _ = std::fs::remove_file(house.folder.path().join("sum.txt"));
        let options = RunOptions { limit: Some(Duration::from_micros(tenths * 100)), ..RunOptions::default() };
        let yaml = CHAIN.replace("250000", "10");
        let report = match tenths % 2 {
            0 => house.run(house.in_process(), &yaml, options).await,
            _ => house.run(mesh.clone(), &yaml, options).await,
        };
        let done = report.status == Status::Done;
        assert_eq!((house.sum().is_some(), status_of(&report, "s") == Status::Done), (done, done), "{report:?}");
    }
    server.stop().await.expect("nothing is left running");
}
