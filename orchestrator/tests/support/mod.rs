//! Small real steps, and both doors to them: what the engine's tests run on.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

pub mod receiver;
pub mod steps;

use flight_common::client::StepClient;
use flight_common::server::{Limits, Listener, Server, Settings};
use flight_common::{DataRoot, MemoryBudget, Registry, SpillSpace, StepEnv};
use orchestrator::mesh::{FlightMesh, InProcess, Mesh, Planner};
use orchestrator::pipeline::{self, Arguments, Source};
use orchestrator::run::{Engine, Progress, RunOptions, RunReport};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use steps::{Adds, Numbers, Parts, Pays, SecondThenFirst, Sum};

/// Waits until the first step has given `rows` rows.
pub async fn rows_flow(progress: &Progress, rows: u64) {
    while progress.step(0).rows_out.load(Ordering::Relaxed) < rows {
        tokio::task::yield_now().await;
    }
}

/// A data root, and steps that use it with this much memory.
pub struct House {
    pub folder: tempfile::TempDir,
    pub env: StepEnv,
}

impl House {
    pub fn with_memory(bytes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data_root = DataRoot::open(folder.path()).expect("it is there");
        let space = SpillSpace::new(MemoryBudget::new(bytes), std::env::temp_dir(), u64::MAX);
        Self { folder, env: StepEnv { data_root, space, http_allow: Default::default() } }
    }

    pub fn new() -> Self {
        Self::with_memory(64 << 20)
    }

    pub fn registry() -> Registry {
        Registry::new().with(Numbers).with(SecondThenFirst).with(Sum).with(Pays).with(Parts).with(Adds)
    }

    pub fn in_process(&self) -> InProcess {
        InProcess::new(Self::registry(), self.env.clone())
    }

    /// The steps behind a server of their own.
    pub async fn served(&self) -> (FlightMesh, Server) {
        self.serving(Self::registry()).await
    }

    /// These steps behind a server of their own.
    pub async fn serving(&self, registry: Registry) -> (FlightMesh, Server) {
        let (address, server) = self.listening(registry).await;
        let client = StepClient::tcp(&address.to_string()).expect("an address");
        (FlightMesh::connect(vec![client], self.env.data_root.clone()).await.expect("it answers"), server)
    }

    /// A server of these steps, and where it listens.
    pub async fn listening(&self, registry: Registry) -> (SocketAddr, Server) {
        let listener = Listener::tcp("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let address = listener.address().expect("a TCP address");
        (address, self.serve(listener, registry).await)
    }

    /// A server of these steps.
    pub async fn serve(&self, listener: Listener, registry: Registry) -> Server {
        let settings =
            Settings { registry, env: self.env.clone(), limits: Limits::default(), drain: Duration::from_secs(5) };
        Server::start(settings, listener).await
    }

    /// How often was paid.
    pub fn paid(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("paid.txt")).map_or(0, |text| text.lines().count())
    }

    /// What the load wrote.
    pub fn sum(&self) -> Option<i64> {
        std::fs::read_to_string(self.folder.path().join("sum.txt")).ok()?.parse().ok()
    }

    /// Every name in the data root.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    pub async fn run<M: Mesh + Planner>(&self, mesh: M, yaml: &str, options: RunOptions) -> RunReport {
        self.run_watched(mesh, yaml, options, Arc::new(Progress::new(8))).await
    }

    /// As `run`, and its figures can be read while it goes on. `progress` has room for all steps.
    pub async fn run_watched<M: Mesh + Planner>(
        &self,
        mesh: M,
        yaml: &str,
        options: RunOptions,
        progress: Arc<Progress>,
    ) -> RunReport {
        let plan =
            pipeline::check(&Source::new("test", yaml), &Arguments::default(), &mesh).await.expect("a good pipeline");
        let engine = Engine::new(Arc::new(mesh), self.env.space.clone());
        engine.run(&plan, &RunOptions { run_id: "test-run".to_owned(), ..options }, progress).await
    }
}

/// Waits for what must come.
pub async fn until(what: &str, is_true: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let waiting = async {
        while !is_true() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("{what}"));
}
