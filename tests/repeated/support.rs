//! Runs on the real steps, in one process and behind a server.

use flight_common::client::StepClient;
use flight_common::server::{Limits, Listener, Server};
use flight_common::{DataRoot, MemoryBudget, SpillSpace, StepEnv, server};
use orchestrator::mesh::{FlightMesh, Mesh};
use orchestrator::run::Engine;
use orchestrator::service::{RetryPolicy, Service, Settings, Submission};
use orchestrator::store::{RunRow, RunState, Store};
use quiver_tests::proxy::{Harm, Point, Proxy, Strike};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What steps draw on, with these files in the data root.
pub fn env(root: &Path, files: &[(&str, &str)]) -> StepEnv {
    for (name, text) in files {
        std::fs::write(root.join(name), text).expect("written");
    }
    let data_root = DataRoot::open(root).expect("it is there");
    let space = SpillSpace::new(MemoryBudget::new(64 << 20), std::env::temp_dir(), u64::MAX);
    StepEnv { data_root, space, http_allow: Default::default() }
}

/// A service on these steps that tries nothing again by itself.
pub struct Runs {
    pub service: Service,
    pub root: DataRoot,
    stop: CancellationToken,
    working: tokio::task::JoinHandle<()>,
}

impl Runs {
    pub async fn on(mesh: impl Mesh, env: &StepEnv) -> Self {
        let root = env.data_root.clone();
        let own = root.own_folder().expect("a folder");
        let store = Store::open(&format!("sqlite://{}/quiver.db", own.path().display())).await.expect("it opens");
        let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
        let engine = Engine::new(Arc::new(mesh), env.space.clone());
        let service = Service::new(store, Arc::new(engine), root.clone(), Settings { retry, ..Settings::default() });
        let (service, stop) = (service.expect("it begins"), CancellationToken::new());
        Self { working: service.start(stop.clone()), service, root, stop }
    }

    /// Submits a pipeline, and waits until its run has ended so.
    pub async fn ended(&self, body: &str, state: RunState) -> String {
        let submission = Submission { pipeline: Some("p".to_owned()), body: body.to_owned(), ..Submission::default() };
        let run = self.service.submit(submission).await.expect("a good pipeline").run.id;
        self.until(&run, state).await;
        run
    }

    pub async fn until(&self, run: &str, state: RunState) {
        let ended = async {
            loop {
                let row: RunRow = self.service.store().run(run).await.expect("a run");
                if row.state.is_final() {
                    return row;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let row = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends");
        assert_eq!(row.state, state, "{:?}", row.fault);
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.working.await.expect("it goes down");
    }
}

/// The answer of a step's first call is lost.
pub fn strike(step: &str) -> Strike {
    Strike { step: step.to_owned(), point: Point::End, harm: Harm::Cut }
}

/// All steps behind a server, and a proxy before it.
pub async fn behind_a_proxy(env: &StepEnv, strike: Strike) -> (FlightMesh, Proxy, Server) {
    let listener = Listener::tcp("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.address().expect("a TCP address");
    let (limits, drain) = (Limits::default(), Duration::from_secs(1));
    let settings = server::Settings { registry: quiver::registry(), env: env.clone(), limits, drain };
    let server = Server::start(settings, listener).await;
    let proxy = Proxy::start(address, strike).await;
    let client = StepClient::tcp(&proxy.address).expect("an address");
    (FlightMesh::connect(vec![client], env.data_root.clone()).await.expect("it answers"), proxy, server)
}
