//! Durable runs: from the queue to the end, through retries, resumes, cancels, and the loss of a replica.

mod again;
mod external;
mod kept;
mod renamed;
mod replicas;
mod runs;
mod schedules;
#[path = "../support/mod.rs"]
mod support;

use orchestrator::mesh::Mesh;
use orchestrator::run::Engine;
use orchestrator::schedule::{CatchUp, Overlap, ScheduleSpec};
use orchestrator::service::{RetryPolicy, Service, Settings, Submission};
use orchestrator::store::{Definition, EventRow, Expected, Limits, RunFilter, RunRow, RunState, Store};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::{House, until};
use tokio_util::sync::{CancellationToken, DropGuard};

/// No test waits longer than this for what must come.
const SOON: Duration = Duration::from_secs(30);

/// A replica on a data root, and its end.
struct Replica {
    service: Service,
    stop: CancellationToken,
    working: tokio::task::JoinHandle<()>,
    _guard: DropGuard,
}

fn settings() -> Settings {
    let retry = RetryPolicy { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(1) };
    Settings { lease: Duration::from_millis(600), drain: Duration::from_millis(200), retry, ..Settings::default() }
}

/// For a replica that is alone: where nobody waits for the end of a lease, a long one costs nothing, and on a machine
/// that is slow for a moment nothing is asked for twice.
fn unhurried() -> Settings {
    Settings { lease: Settings::default().lease, ..settings() }
}

/// A service that does not work yet.
async fn idle(house: &House, settings: Settings) -> Service {
    idle_on(house, house.in_process(), settings).await
}

/// A service on these steps that does not work yet.
async fn idle_on(house: &House, mesh: impl Mesh, settings: Settings) -> Service {
    let root = house.env.data_root.clone();
    let own = root.own_folder().expect("a folder");
    let store = Store::open(&format!("sqlite://{}/quiver.db", own.path().display())).await.expect("it opens");
    let engine = Engine::new(Arc::new(mesh), house.env.space.clone());
    Service::new(store, Arc::new(engine), root, settings).expect("it begins")
}

async fn replica(house: &House, settings: Settings) -> Replica {
    at_work(idle(house, settings).await)
}

fn at_work(service: Service) -> Replica {
    let stop = CancellationToken::new();
    let working = service.start(stop.clone());
    Replica { service, working, _guard: stop.clone().drop_guard(), stop }
}

impl Replica {
    async fn submit(&self, body: &str) -> String {
        let submission =
            Submission { pipeline: Some("test".to_owned()), body: body.to_owned(), ..Submission::default() };
        self.service.submit(submission).await.expect("a good pipeline").run.id
    }

    /// Waits until the run is in this state.
    async fn until(&self, run: &str, state: RunState) -> RunRow {
        self.until_true(run, |row| row.state == state).await
    }

    async fn until_true(&self, run: &str, enough: impl Fn(&RunRow) -> bool) -> RunRow {
        let store = self.service.store();
        let mut changes = store.changes(run);
        let waiting = async {
            loop {
                let row = store.run(run).await.expect("it is there");
                if enough(&row) {
                    return row;
                }
                // Another replica may have changed it.
                let _ = tokio::time::timeout(Duration::from_millis(50), changes.changed()).await;
            }
        };
        let seen = tokio::time::timeout(SOON, waiting).await;
        match seen {
            Ok(row) => row,
            Err(_) => panic!("it does not come: {:?}", store.run(run).await),
        }
    }

    async fn events(&self, run: &str) -> Vec<EventRow> {
        self.service.store().events(run, 0, 100).await.expect("told")
    }

    /// What the last attempt says of each step.
    async fn steps(&self, run: &str) -> Vec<(String, String)> {
        let attempts = self.service.store().attempts(run).await.expect("told");
        self.steps_of(run, attempts.len() - 1).await
    }

    /// What this attempt says of each step.
    async fn steps_of(&self, run: &str, attempt: usize) -> Vec<(String, String)> {
        let attempts = self.service.store().attempts(run).await.expect("told");
        let report = attempts[attempt].report.clone().expect("a report");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let steps = report["steps"].as_array().expect("steps").iter();
        steps.map(|step| (text(&step["id"]), text(&step["status"]))).collect()
    }
}

fn pairs(steps: &[(&str, &str)]) -> Vec<(String, String)> {
    steps.iter().map(|(id, status)| ((*id).to_owned(), (*status).to_owned())).collect()
}

const CHAIN: &str = "
steps:
  - {id: n, service: numbers, checkpoint: true, params: {rows: 100000}}
  - {id: s, service: sum, depends_on: n}
";
