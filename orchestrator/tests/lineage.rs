//! Lineage: what an OpenLineage consumer is told of runs, and that its moods cost them nothing.

mod support;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use orchestrator::run::Engine;
use orchestrator::service::{LineageSettings, RetryPolicy, Service, Settings, Submission};
use orchestrator::store::{RunState, Store};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::House;
use support::receiver::{Received, Receiver, SOON};
use tokio_util::sync::{CancellationToken, DropGuard};

const RUNS: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 1000}}
  - {id: s, service: sum, depends_on: n}
";

async fn good(_: String, _: usize) -> Response {
    StatusCode::CREATED.into_response()
}

async fn busy_at_first(_: String, before: usize) -> Response {
    if before < 2 { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { StatusCode::CREATED.into_response() }
}

async fn busy_once(_: String, before: usize) -> Response {
    if before < 1 { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { StatusCode::CREATED.into_response() }
}

async fn hanging(_: String, _: usize) -> Response {
    std::future::pending().await
}

struct Replica {
    service: Service,
    working: tokio::task::JoinHandle<()>,
    stop: DropGuard,
}

impl Replica {
    async fn start(house: &House, url: &str) -> Self {
        let retry = RetryPolicy { attempts: 2, first: Duration::from_millis(1), longest: Duration::from_millis(1) };
        let lineage = LineageSettings::new(url, "api/v1/lineage", "tests", Some("a key")).expect("an address");
        let settings = Settings { lineage: Some(lineage), retry, ..Settings::default() };
        let root = house.env.data_root.clone();
        let own = root.own_folder().expect("a folder");
        let store = Store::open(&format!("sqlite://{}/quiver.db", own.path().display())).await.expect("it opens");
        let engine = Engine::new(Arc::new(house.in_process()), house.env.space.clone());
        let service = Service::new(store, Arc::new(engine), root, settings).expect("it begins");
        let stop = CancellationToken::new();
        let working = service.start(stop.clone());
        Self { service, working, stop: stop.drop_guard() }
    }

    /// Runs a pipeline to its end.
    async fn run(&self, body: &str) -> (String, RunState) {
        let submission =
            Submission { pipeline: Some("sums".to_owned()), body: body.to_owned(), ..Submission::default() };
        let run = self.service.submit(submission).await.expect("a good pipeline").run.id;
        let ended = async {
            loop {
                let state = self.service.store().run(&run).await.expect("a run").state;
                if state.is_final() {
                    return state;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let state = tokio::time::timeout(SOON, ended).await.expect("it ends");
        (run, state)
    }
}

/// `START sums`, in the order in which they came.
fn said(events: &[Received]) -> Vec<String> {
    let said = |event: &Received| {
        let event = event.json();
        format!("{} {}", event["eventType"].as_str().expect("a type"), event["job"]["name"].as_str().expect("a name"))
    };
    events.iter().map(said).collect()
}

fn names(datasets: &Value) -> Vec<String> {
    let datasets = datasets.as_array().expect("a list");
    datasets.iter().map(|one| format!("{}:{}", one["namespace"], one["name"]).replace('"', "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_tells_what_it_read_and_wrote() {
    let (house, receiver) = (House::new(), Receiver::start(good).await);
    let replica = Replica::start(&house, &receiver.url).await;
    let (run, state) = replica.run(RUNS).await;
    assert_eq!(state, RunState::Done);
    let events = receiver.until(|events| events.len() == 6).await;
    let expected =
        ["START sums", "START sums.n", "COMPLETE sums.n", "START sums.s", "COMPLETE sums.s", "COMPLETE sums"];
    assert_eq!(said(&events), expected);
    assert!(
        events.iter().all(|event| event.path == "/api/v1/lineage" && event.header("authorization") == "Bearer a key")
    );

    let (load, whole) = (events[4].json(), events[5].json());
    let written = format!("file:{}", house.env.data_root.path().join("sum.txt").display());
    for event in [&load, &whole] {
        assert_eq!(names(&event["inputs"]), ["tests:numbers"]);
        assert_eq!(names(&event["outputs"]), [written.as_str()]);
    }
    assert_eq!(whole["run"]["runId"], run);
    assert_eq!(load["run"]["facets"]["parent"]["run"]["runId"], run);
    assert_eq!(load["job"]["namespace"], "tests");
    assert_eq!(load["outputs"][0]["facets"]["schema"]["fields"], json!([{"name": "n", "type": "Int64"}]));
    assert_eq!(load["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"], 1000);
    assert_eq!(load["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"], 1000);
    let ids: HashSet<String> = events.iter().map(|event| event.json()["run"]["runId"].to_string()).collect();
    assert_eq!(ids.len(), 3, "a run of the pipeline, and of each of its steps: {ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_says_why_once_its_last_attempt_has_failed() {
    let (house, receiver) = (House::new(), Receiver::start(good).await);
    let replica = Replica::start(&house, &receiver.url).await;
    let (_, state) = replica.run(&RUNS.replace("rows: 1000", "rows: 1000, needs: no")).await;
    assert_eq!(state, RunState::Failed);
    let events = receiver.until(|events| said(events).iter().any(|said| said == "FAIL sums")).await;
    let of_the_pipeline: Vec<String> = said(&events).into_iter().filter(|said| said.ends_with(" sums")).collect();
    assert_eq!(of_the_pipeline, ["START sums", "RUNNING sums", "FAIL sums"]);
    let last = events.last().expect("an event").json();
    let message = last["run"]["facets"]["errorMessage"]["message"].as_str().expect("a message");
    assert!(message.contains("the source is out of reach"), "{message}");
    assert_eq!(last["outputs"], json!([]), "nothing was written");
    let tries: HashSet<String> = events
        .iter()
        .map(Received::json)
        .filter(|event| event["job"]["name"] == "sums.n")
        .map(|event| event["run"]["runId"].to_string())
        .collect();
    assert_eq!(tries.len(), 2, "each attempt of a step is a run of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_between_two_attempts_is_told_to_be_over() {
    let (house, receiver) = (House::new(), Receiver::start(good).await);
    let replica = Replica::start(&house, &receiver.url).await;
    let body = RUNS.replace("rows: 1000", "rows: 1000, needs: no");
    let body = format!("retry: {{attempts: 2, first: 60s, longest: 60s}}\n{body}");
    let submission = Submission { pipeline: Some("sums".to_owned()), body, ..Submission::default() };
    let run = replica.service.submit(submission).await.expect("a good pipeline").run.id;
    receiver.until(|events| said(events).iter().any(|said| said == "FAIL sums.n")).await;
    let cancelled = async {
        // Its attempt may not have ended yet.
        while replica.service.store().run(&run).await.expect("a run").state != RunState::Queued {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        replica.service.cancel(&run, "ann").await.expect("it waits")
    };
    let row = tokio::time::timeout(SOON, cancelled).await.expect("it waits for another attempt");
    assert_eq!((row.state, row.attempt), (RunState::Cancelled, 1));
    let events = receiver.until(|events| said(events).iter().any(|said| said == "ABORT sums")).await;
    assert_eq!(events.last().expect("an event").json()["run"]["runId"], run);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_consumer_is_asked_again_and_told_everything_in_order() {
    let (house, receiver) = (House::new(), Receiver::start(busy_at_first).await);
    let replica = Replica::start(&house, &receiver.url).await;
    replica.run(RUNS).await;
    let events = receiver.until(|events| events.len() == 8).await;
    assert_eq!(said(&events)[..4], ["START sums", "START sums", "START sums", "START sums.n"]);
    assert_eq!(said(&events)[7], "COMPLETE sums");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_hangs_or_is_gone_costs_nothing() {
    let hanging = Receiver::start(hanging).await;
    for url in [hanging.url.as_str(), "http://127.0.0.1:1"] {
        let house = House::new();
        let replica = Replica::start(&house, url).await;
        for _ in 0..20 {
            assert_eq!(replica.run(RUNS).await.1, RunState::Done);
        }
        let begun = Instant::now();
        drop(replica.stop);
        tokio::time::timeout(SOON, replica.working).await.expect("it goes down").expect("well");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_before_the_replica_is_gone() {
    // Busier, it would leave little of the three seconds that the last events may take.
    let (house, receiver) = (House::new(), Receiver::start(busy_once).await);
    let replica = Replica::start(&house, &receiver.url).await;
    replica.run(RUNS).await;
    drop(replica.stop);
    tokio::time::timeout(SOON, replica.working).await.expect("it goes down").expect("well");
    assert_eq!(said(&receiver.received()).last().map(String::as_str), Some("COMPLETE sums"));
}

#[test]
fn an_address_that_is_none_is_refused_and_a_key_is_not_shown() {
    for wrong in ["", "consumer", "ftp://host"] {
        assert!(LineageSettings::new(wrong, "api/v1/lineage", "tests", None).is_err(), "{wrong}");
    }
    let settings = LineageSettings::new("http://host:5000/", "/api/v1/lineage", "tests", Some("hush")).expect("good");
    assert_eq!(settings.url, "http://host:5000/api/v1/lineage");
    assert!(!format!("{settings:?}").contains("hush"));
}
