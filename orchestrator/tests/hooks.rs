//! Hooks: who is told how a run ended, against a receiver that is moody.

mod support;

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{StatusCode, header};
use orchestrator::mesh::Secrets;
use orchestrator::run::Engine;
use orchestrator::schedule::{CatchUp, Overlap, ScheduleSpec};
use orchestrator::service::{HookSettings, RetryPolicy, Service, Settings, Submission};
use orchestrator::store::{Definition, EventRow, Expected, RunFilter, RunState, Store};
use serde_json::Value;
use sha2::Sha256;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use support::House;
use support::receiver::{Received, Receiver, SOON};
use tokio_util::sync::{CancellationToken, DropGuard};

const KEY: &str = "of the tests";

const RUNS: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 1000}}
  - {id: s, service: sum, depends_on: n}
";

/// Checks a message as a receiver should: the signature, and that it is no old one.
fn is_signed(message: &Received) -> bool {
    let (id, sent_at) = (message.header("webhook-id"), message.header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("a key");
    mac.update(format!("{id}.{sent_at}.").as_bytes());
    mac.update(&message.body);
    let signed = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let age = chrono::Utc::now().timestamp() - sent_at.parse::<i64>().expect("a time");
    age.abs() < 60 && message.header("webhook-signature") == signed
}

async fn moody(path: String, before: usize) -> Response {
    match path.as_str() {
        "/twice-not" if before < 2 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/never" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/gone" => StatusCode::GONE.into_response(),
        "/hang" if before < 1 => std::future::pending().await,
        _ if path.starts_with("/hang-always/") => std::future::pending().await,
        "/elsewhere" => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/stolen")]).into_response(),
        "/much" => {
            // 1 GiB, if anybody reads it.
            let piece = Bytes::from(vec![b'x'; 1 << 20]);
            let pieces = futures::stream::iter((0..1024).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
            axum::body::Body::from_stream(pieces).into_response()
        }
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

struct Replica {
    service: Service,
    working: tokio::task::JoinHandle<()>,
    _guard: DropGuard,
}

fn settings(allow_private: bool) -> Settings {
    let retry = RetryPolicy { attempts: 4, first: Duration::from_millis(10), longest: Duration::from_millis(20) };
    let secrets = Secrets::with_variables(|name| (name == "QUIVER_SECRET_HOOK_KEY").then(|| KEY.to_owned()), None);
    let hooks = HookSettings {
        allow_private,
        // A receiver on a busy machine may take seconds to answer: it is not to be asked again for that.
        deadline: SOON,
        retry,
        secrets: Some(secrets.expect("it opens")),
        public_url: Some("https://quiver.example.org/".to_owned()),
    };
    let retry = RetryPolicy { attempts: 2, first: Duration::from_millis(1), longest: Duration::from_millis(1) };
    Settings { hooks, retry, lease: Duration::from_millis(600), ..Settings::default() }
}

/// For receivers that hang: the end of a try, and of its lease, is waited for.
fn hasty() -> Settings {
    let mut settings = settings(true);
    settings.hooks.deadline = Duration::from_secs(1);
    settings
}

async fn idle(house: &House, settings: Settings) -> Service {
    let root = house.env.data_root.clone();
    let own = root.own_folder().expect("a folder");
    let store = Store::open(&format!("sqlite://{}/quiver.db", own.path().display())).await.expect("it opens");
    let engine = Engine::new(Arc::new(house.in_process()), house.env.space.clone());
    Service::new(store, Arc::new(engine), root, settings).expect("it begins")
}

async fn replica(house: &House, settings: Settings) -> Replica {
    let service = idle(house, settings).await;
    let stop = CancellationToken::new();
    let working = service.start(stop.clone());
    Replica { service, working, _guard: stop.drop_guard() }
}

async fn submit(service: &Service, body: &str) -> String {
    let submission = Submission { pipeline: Some("test".to_owned()), body: body.to_owned(), ..Submission::default() };
    service.submit(submission).await.expect("a good pipeline").run.id
}

/// Waits for an event of this kind, and returns all that have come.
async fn until(service: &Service, run: &str, kind: &str) -> Vec<EventRow> {
    let waiting = async {
        loop {
            let events = service.store().events(run, 0, 100).await.expect("told");
            if events.iter().any(|event| event.kind == kind) {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(SOON, waiting).await {
        Ok(events) => events,
        Err(_) => panic!("no {kind}: {:?}", service.store().events(run, 0, 100).await),
    }
}

fn count(events: &[EventRow], kind: &str) -> usize {
    events.iter().filter(|event| event.kind == kind).count()
}

/// Runs a pipeline that ends well and tells so at this address, until an event of this kind has come. All that have.
async fn told_at(service: &Service, url: &str, end: &str) -> Vec<EventRow> {
    let run = submit(service, &format!("hooks: {{on_success: \"{url}\"}}{RUNS}")).await;
    let events = until(service, &run, end).await;
    let state = service.store().run(&run).await.expect("there").state;
    assert_eq!(state, RunState::Done, "a hook changes nothing of its run");
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_told_once_signed_and_with_all_that_came_of_the_run() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let replica = replica(&house, settings(true)).await;
    let hooks = format!("hooks: {{on_success: {{url: \"{}/good\", secret: \"secret://hook-key\"}}}}", receiver.url);
    let run = submit(&replica.service, &format!("{hooks}{RUNS}")).await;
    let events = until(&replica.service, &run, "hook_delivered").await;
    let told = events.last().expect("an event");
    assert_eq!((&told.body["status"], &told.body["try"]), (&204.into(), &1.into()), "{told:?}");
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    assert!(is_signed(&received[0]), "{received:?}");
    let body = received[0].json();
    let data = &body["data"];
    assert_eq!((&body["type"], &data["run_id"]), (&"run.done".into(), &run.as_str().into()));
    assert_eq!(data["link"], format!("https://quiver.example.org/api/v1/runs/{run}"));
    assert_eq!((&data["steps"][1]["id"], &data["steps"][1]["rows_in"]), (&"s".into(), &1000.into()), "{body:#}");
    let shown = format!("{body}{events:?}{:?}", replica.service.store().definition_of(&run).await);
    assert!(!shown.contains(KEY), "the secret is shown nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_at_its_end_and_not_at_each_attempt() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let replica = replica(&house, settings(true)).await;
    let hooks = format!("hooks: {{on_failure: \"{0}/bad\", on_success: \"{0}/good\"}}", receiver.url);
    let run =
        submit(&replica.service, &format!("{hooks}{}", RUNS.replace("rows: 1000", "rows: 1000, needs: no"))).await;
    until(&replica.service, &run, "hook_delivered").await;
    let received = receiver.received();
    let paths: Vec<&str> = received.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["/bad"]);
    let body = received[0].json();
    assert_eq!((&body["type"], &body["data"]["attempt"]), (&"run.failed".into(), &2.into()));
    assert_eq!(body["data"]["fault"]["message"], "the source is out of reach", "{body:#}");
    assert_eq!(received[0].header("webhook-signature"), "", "without a secret there is no signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moody_receiver_is_asked_again_under_the_same_id_and_given_up_in_the_end() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let replica = replica(&house, settings(true)).await;
    let run_with =
        async |path: &str, end: &str| told_at(&replica.service, &format!("{}{path}", receiver.url), end).await;
    let events = run_with("/twice-not", "hook_delivered").await;
    assert_eq!(count(&events, "hook_failed"), 2, "{events:?}");
    let ids: HashSet<String> = receiver.received().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");

    let events = run_with("/never", "hook_given_up").await;
    assert_eq!((count(&events, "hook_failed"), count(&events, "hook_given_up")), (3, 1));
    assert_eq!(events.last().expect("an event").body["status"], 500);
    let events = run_with("/gone?token=hunter2", "hook_given_up").await;
    assert_eq!(count(&events, "hook_failed"), 0, "who wants no more is not asked again");
    let url = events.last().expect("an event").body["url"].to_string();
    assert!(url.contains("/gone?token=*") && !url.contains("hunter2"), "{url}");

    run_with("/elsewhere", "hook_given_up").await;
    assert!(receiver.received().iter().all(|one| one.path != "/stolen"), "no redirect is followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_waited_for_no_longer_than_told_and_not_listened_to_for_long() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let replica = replica(&house, hasty()).await;
    let events = told_at(&replica.service, &format!("{}/hang", receiver.url), "hook_delivered").await;
    let failed = events.iter().find(|event| event.kind == "hook_failed").expect("it hung");
    assert_eq!(failed.body["fault"]["message"], "it did not answer in time", "{failed:?}");
    told_at(&replica.service, &format!("{}/much", receiver.url), "hook_delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_secret_was_looked_for_is_told() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let replica = replica(&house, settings(true)).await;
    let hooks = format!("hooks: {{on_success: {{url: \"{}/good\", secret: \"secret://missing\"}}}}", receiver.url);
    let run = submit(&replica.service, &format!("{hooks}{RUNS}")).await;
    let events = until(&replica.service, &run, "hook_given_up").await;
    assert_eq!(count(&events, "hook_failed"), 3, "it may be put there before the next try");
    for event in events.iter().filter(|event| event.kind.starts_with("hook_")) {
        let help = event.body["fault"]["help"].as_str().expect("what to try");
        assert!(help.contains("QUIVER_SECRET_MISSING"), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_holds_up_no_other() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let mut settings = settings(true);
    // Each try outlasts the test.
    settings.hooks.deadline = Duration::from_secs(600);
    let replica = replica(&house, settings).await;
    let to = |path: &str| format!("hooks: {{on_success: {{url: \"{}{path}\"}}}}{RUNS}", receiver.url);
    let mut hanging = Vec::new();
    for n in 0..80 {
        hanging.push(submit(&replica.service, &to(&format!("/hang-always/{n}"))).await);
    }
    for run in &hanging {
        until(&replica.service, run, "done").await;
    }
    let other = Receiver::start(moody).await;
    let good = format!("hooks: {{on_success: {{url: \"{}/good\"}}}}{RUNS}", other.url);
    let run = submit(&replica.service, &good).await;
    until(&replica.service, &run, "hook_delivered").await;
    let asked = receiver.received().len();
    assert!((1..8).contains(&asked), "{asked} wait for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_unless_the_operator_allows_it() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let replica = replica(&house, settings(false)).await;
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    for url in [&receiver.url, &by_name] {
        let run = submit(&replica.service, &format!("hooks: {{on_success: \"{url}/good\"}}{RUNS}")).await;
        let events = until(&replica.service, &run, "hook_given_up").await;
        let told = events.last().expect("an event");
        assert_eq!(told.body["fault"]["kind"], "denied", "{told:?}");
    }
    assert!(receiver.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_told_when_a_replica_died_is_told_by_the_next() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let hooks = format!("hooks: {{on_cancel: \"{}/good\", on_success: \"{0}/hang\"}}", receiver.url);
    // Ended by a replica that sends nothing: it died between the end of the run and the sending.
    let first = idle(&house, hasty()).await;
    let run = submit(&first, &format!("{hooks}{RUNS}")).await;
    first.cancel(&run, "ann").await.expect("it waits");
    drop(first);
    let second = replica(&house, hasty()).await;
    until(&second.service, &run, "hook_delivered").await;
    assert_eq!(receiver.received()[0].json()["type"], "run.cancelled");

    // Killed while it sends: the message is sent again, under its id, once its lease is over.
    let run = submit(&second.service, &format!("{hooks}{RUNS}")).await;
    receiver.until(|received| received.iter().any(|one| one.path == "/hang")).await;
    second.working.abort();
    let third = replica(&house, hasty()).await;
    let events = until(&third.service, &run, "hook_delivered").await;
    // A busy machine may be too late for a try or two.
    assert!(events.last().expect("an event").body["try"].as_i64() >= Some(2), "{events:?}");
    let received = receiver.received();
    let ids: HashSet<&str> =
        received.iter().filter(|one| one.path == "/hang").map(|one| one.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_tell_each_end_once() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let replicas = [replica(&house, settings(true)).await, replica(&house, settings(true)).await];
    let body = format!("hooks: {{on_success: [\"{0}/one\", \"{0}/two\"]}}{RUNS}", receiver.url);
    let mut runs = Vec::new();
    for n in 0..6 {
        runs.push(submit(&replicas[n % 2].service, &body).await);
    }
    let received = receiver.until(|received| received.len() >= 12).await;
    let ids: HashSet<&str> = received.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!((received.len(), ids.len()), (12, 12));
    for run in &runs {
        until(&replicas[0].service, run, "hook_delivered").await;
    }
    assert!(!replicas[0].service.store().messages_due(&[]).await.expect("asked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_is_kept_in_the_store_and_in_its_file() {
    let house = House::new();
    let replica = replica(&house, settings(true)).await;
    let run = submit(&replica.service, RUNS).await;
    until(&replica.service, &run, "done").await;
    let records = replica.service.store().audit(&run).await.expect("told");
    let seen: Vec<_> = records.iter().map(|one| (one.id.as_str(), one.status.as_str(), one.rows_in)).collect();
    assert_eq!(seen, [("n", "done", 0), ("s", "done", 1000)]);
    assert_eq!(
        (&records[0].params["rows"], records[0].columns.as_deref()),
        (&1000.into(), Some(&["n Int64".to_owned()][..]))
    );
    let folder = replica.service.own_folder().path().join("audit");
    let file = std::fs::read_dir(folder).expect("a folder").flatten().next().expect("a file");
    let lines = std::fs::read_to_string(file.path()).expect("read");
    let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first, serde_json::to_value(&records[0]).expect("JSON"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_whose_pipeline_cannot_be_planned_is_told_of() {
    let (house, receiver) = (House::new(), Receiver::start(moody).await);
    let replica = replica(&house, settings(true)).await;
    let hooks = format!("hooks: {{on_failure: \"{}/good\"}}", receiver.url);
    let store = replica.service.store();
    let definition = Definition::new(format!("{hooks}{}", RUNS.replace("rows", "raws")));
    store.put_pipeline("sums", &definition, &Expected::Any, "ann").await.expect("stored");
    let spec = ScheduleSpec {
        pipeline: "sums".to_owned(),
        version: None,
        params: Default::default(),
        set: Vec::new(),
        cron: "0 6 * * *".to_owned(),
        zone: "UTC".to_owned(),
        overlap: Overlap::Skip,
        catch_up: CatchUp::Last,
        jitter_seconds: 0,
    };
    store.put_schedule("daily", &spec, Some(store.now().await.expect("a time")), "ann").await.expect("stored");
    let told = receiver.until(|received| !received.is_empty()).await[0].json();
    let run = store.runs(&RunFilter::default(), None, 2).await.expect("listed").items.remove(0);
    assert_eq!((&told["type"], &told["data"]["run_id"]), (&"run.failed".into(), &run.id.into()), "{told:#}");
    assert!(told["data"]["errors"].to_string().contains("raws"), "{told:#}");
}
