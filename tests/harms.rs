//! Every golden pipeline × every call of a step in it × every point of that call × every harm on its way: the run ends well
//! within its deadline, with exactly one committed output of each load, nothing is left over, and the next run gets its
//! turn.
//!
//! Processes that are killed, and those that stand still, are in `kills.rs`.

use flight_common::client::StepClient;
use flight_common::server::{Limits, Listener, Server};
use flight_common::{DataRoot, MemoryBudget, SpillSpace, StepEnv, server};
use futures::{StreamExt, stream};
use orchestrator::mesh::{FlightMesh, InProcess};
use orchestrator::pipeline::{self, Arguments, Source};
use orchestrator::run::Engine;
use orchestrator::service::{RetryPolicy, Service, Settings, Submission};
use orchestrator::store::{RunState, Store};
use quiver_tests::House;
use quiver_tests::proxy::{Harm, Point, Proxy, Strike};
use quiver_tests::service::{is_left_over, written};
use sqlx::Connection;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");
/// A peer that says nothing is given up after an unanswered ping, within 15 seconds; several times that.
const DEADLINE: Duration = Duration::from_secs(60);
/// Cases at a time: most of them wait.
const AT_ONCE: usize = 24;

/// Each pipeline, and what one run of it commits: files, or the rows of its table.
const GOLDEN: [(&str, usize); 12] = [
    ("budget_from_excel", 1),
    ("category_report", 1),
    ("departments_diamond", 1),
    ("ecommerce_analytics", 1),
    ("hr_analytics", 1),
    ("legacy_hr", 1),
    ("museum_visits", 1),
    ("orders_from_sql", 1),
    ("orders_quality", 2),
    ("orders_to_database", 464),
    ("orders_two_ways", 3),
    ("reviews", 1),
];

#[derive(Clone, Debug)]
struct Case {
    pipeline: &'static str,
    commits: usize,
    strike: Strike,
}

fn env(house: &House) -> StepEnv {
    let data_root = DataRoot::open(house.path()).expect("it is there");
    let space = SpillSpace::new(MemoryBudget::new(256 << 20), std::env::temp_dir(), u64::MAX);
    StepEnv { data_root, space, http_allow: Default::default() }
}

/// The text of a pipeline, with a table to which each run adds, so that what is loaded twice is seen.
fn text(house: &House, pipeline: &str) -> String {
    let file = house.path().join(format!("examples/pipelines/{pipeline}.yaml"));
    std::fs::read_to_string(file).expect("an example").replace("mode: upsert\n      keys: [OrderID]", "mode: append")
}

/// The database that a pipeline loads into.
const DATABASE: &str = "reports/orders.db";

/// How many files are written, and rows in the database.
async fn committed(house: &House) -> usize {
    let files = written(house).len();
    let database = house.path().join(DATABASE);
    if !database.exists() {
        return files;
    }
    let address = format!("sqlite://{}?mode=ro", database.display());
    let mut connection = sqlx::SqliteConnection::connect(&address).await.expect("it opens");
    let rows: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM orders").fetch_one(&mut connection).await.expect("a table");
    connection.close().await.expect("closed");
    files + usize::try_from(rows).expect("a count")
}

/// The steps that a pipeline calls.
async fn steps(pipeline: &str) -> BTreeSet<String> {
    let house = House::new(PROGRAM);
    let here = InProcess::new(quiver::registry(), env(&house));
    let source = Source::new(pipeline, text(&house, pipeline));
    let plan = pipeline::check(&source, &Arguments::default(), &here).await.expect("a good pipeline");
    plan.nodes.into_iter().filter(|node| !node.left_out).map(|node| node.step).collect()
}

async fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (pipeline, commits) in GOLDEN {
        for step in steps(pipeline).await {
            for harm in [Harm::Cut, Harm::Reset, Harm::Hang, Harm::Repeat] {
                // What is said again is said when all is over.
                let points =
                    if harm == Harm::Repeat { &[Point::End][..] } else { &[Point::Begin, Point::Midway, Point::End] };
                for point in points {
                    let strike = Strike { step: step.clone(), point: *point, harm };
                    cases.push(Case { pipeline, commits, strike });
                }
            }
        }
    }
    cases
}

/// What a run fails with rather than pay twice; an operator then looks, and resumes it.
const UNASKED: &str = "it is not done again unasked";

/// Runs a pipeline to its end. Why it did not end well, or what has happened to it if it does not end in time.
async fn ended(service: &Service, text: &str) -> Result<(), String> {
    let submission = Submission { pipeline: Some("golden".to_owned()), body: text.to_owned(), ..Submission::default() };
    let run = service.submit(submission).await.expect("a good pipeline").run.id;
    match end_of(service, &run).await {
        Err(why) if why.contains(UNASKED) => {
            service.resume(&run, None, true, "an operator").await.expect("it has failed");
            end_of(service, &run).await
        }
        end => end,
    }
}

async fn end_of(service: &Service, run: &str) -> Result<(), String> {
    let ended = async {
        loop {
            let row = service.store().run(run).await.expect("a run");
            if row.state.is_final() {
                return (row.state, row.fault);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(DEADLINE, ended).await {
        Ok((RunState::Done, _)) => Ok(()),
        Ok((state, fault)) => Err(format!("{state}: {fault:?}")),
        Err(_) => {
            let events = service.store().events(run, 0, 100).await.expect("told").into_iter();
            Err(events
                .map(|event| format!("{} {} {}", event.at, event.kind, event.body))
                .collect::<Vec<_>>()
                .join("\n  "))
        }
    }
}

/// What is wrong after a case, if anything is. An answer that comes in one piece has no middle at which it could be harmed:
/// then it is tried again.
async fn wrong(case: &Case) -> Option<String> {
    for _ in 0..2 {
        match tried(case).await {
            Some(wrong) if wrong.contains(UNHARMED) => {}
            found => return found,
        }
    }
    tried(case).await
}

/// What is said of a case in which nothing was done.
const UNHARMED: &str = "nothing was done to it";

async fn tried(case: &Case) -> Option<String> {
    let house = House::new(PROGRAM);
    let text = text(&house, case.pipeline);
    let env = env(&house);
    let listener = Listener::tcp("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.address().expect("a TCP address");
    let settings = server::Settings {
        registry: quiver::registry(),
        env: env.clone(),
        limits: Limits::default(),
        drain: Duration::from_secs(1),
    };
    let server = Server::start(settings, listener).await;
    let proxy = Proxy::start(address, case.strike.clone()).await;
    let client = StepClient::tcp(&proxy.address).expect("an address");
    let mesh = FlightMesh::connect(vec![client], env.data_root.clone()).await.expect("it answers");

    let own = env.data_root.own_folder().expect("a folder");
    let store = Store::open(&format!("sqlite://{}/quiver.db", own.path().display())).await.expect("it opens");
    let engine = Engine::new(Arc::new(mesh), env.space.clone());
    let retry = RetryPolicy { attempts: 3, first: Duration::from_millis(5), longest: Duration::from_millis(5) };
    let settings = Settings { slots: 1, retry, ..Settings::default() };
    let service = Service::new(store, Arc::new(engine), env.data_root.clone(), settings).expect("it begins");
    let stop = CancellationToken::new();
    let working = service.start(stop.clone());

    let mut wrong = Vec::new();
    let first = ended(&service, &text).await;
    if first.is_err() {
        wrong.push(format!("it is {first:?}"));
    }
    if tokio::time::timeout(DEADLINE, proxy.struck()).await.is_err() {
        wrong.push(UNHARMED.to_owned());
    }
    let once = committed(&house).await;
    if once != case.commits {
        wrong.push(format!("it committed {once}: {:?}", house.outputs()));
    }
    // The only slot is free again.
    let next = ended(&service, &text).await;
    let twice = committed(&house).await;
    if next.is_err() || twice != 2 * case.commits {
        wrong.push(format!("the next run is {next:?}, and {twice} are committed: {:?}", house.outputs()));
    }
    stop.cancel();
    working.await.expect("it goes down");
    server.stop().await.expect("it goes down");
    let left: Vec<String> =
        house.outputs().into_iter().filter(|path| is_left_over(path) && !is_meant(case, path)).collect();
    if !left.is_empty() {
        wrong.push(format!("left over: {left:?}"));
    }
    (!wrong.is_empty()).then(|| format!("{case:?}: {}", wrong.join("; ")))
}

/// Whether a file is one that the pipeline is to leave beside its outputs: reports, a database, and what it keeps by itself
/// around a paid step.
fn is_meant(case: &Case, path: &str) -> bool {
    path == DATABASE
        || path.starts_with("quality/")
        || (case.pipeline == "reviews" && path.starts_with(".quiver/kept/"))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_a_call_on_its_way_the_run_ends_once() {
    let cases = cases().await;
    assert!(cases.len() > 400, "{}", cases.len());
    let wrong: Vec<String> =
        stream::iter(&cases).map(wrong).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
