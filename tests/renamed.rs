//! Appends of a run that is resumed with its loads called otherwise: each row is added once, by the real step, in one process and
//! behind a server.

use flight_common::client::StepClient;
use flight_common::server::{Limits, Listener, Server};
use flight_common::{DataRoot, MemoryBudget, SpillSpace, StepEnv, server};
use orchestrator::mesh::{FlightMesh, InProcess, Mesh};
use orchestrator::run::Engine;
use orchestrator::service::{RetryPolicy, Service, Settings, Submission};
use orchestrator::store::{RunRow, RunState, Store};
use quiver_tests::proxy::{Harm, Point, Proxy, Strike};
use sqlx::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// The check of the receipt fails once the rows are there.
const BODY: &str = "
steps:
  - {id: read, service: extract-csv, params: {file_path: in.csv}}
  - {id: write, service: load-sql, params: {db_url: 'sqlite:out.db', table: t}, depends_on: read}
  - {id: check, service: data-quality, params: {fail_on_errors: true, rules: {min_rows: 100}}, depends_on: write}
finally:
  - {id: read-log, service: extract-csv, params: {file_path: log.csv}}
  - {id: log, service: load-sql, params: {db_url: 'sqlite:out.db', table: log}, depends_on: read-log}
";

/// The same, its loads called otherwise, with a check that does not fail.
fn renamed() -> String {
    let body = BODY.replace("id: write,", "id: put,").replace("depends_on: write", "depends_on: put");
    body.replace("id: log,", "id: journal,").replace("min_rows: 100", "min_rows: 1")
}

fn env(root: &Path) -> StepEnv {
    std::fs::write(root.join("in.csv"), "id,name\n1,Ann\n2,Bo\n").expect("written");
    std::fs::write(root.join("log.csv"), "what\nit has run\n").expect("written");
    let data_root = DataRoot::open(root).expect("it is there");
    let space = SpillSpace::new(MemoryBudget::new(64 << 20), std::env::temp_dir(), u64::MAX);
    StepEnv { data_root, space, http_allow: Default::default() }
}

/// A service on these steps that tries nothing again by itself.
struct Runs {
    service: Service,
    root: DataRoot,
    stop: CancellationToken,
    working: tokio::task::JoinHandle<()>,
}

impl Runs {
    async fn on(mesh: impl Mesh, env: &StepEnv) -> Self {
        let root = env.data_root.clone();
        let own = root.own_folder().expect("a folder");
        let store = Store::open(&format!("sqlite://{}/quiver.db", own.path().display())).await.expect("it opens");
        let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
        let engine = Engine::new(Arc::new(mesh), env.space.clone());
        let service = Service::new(store, Arc::new(engine), root.clone(), Settings { retry, ..Settings::default() });
        let (service, stop) = (service.expect("it begins"), CancellationToken::new());
        Self { working: service.start(stop.clone()), service, root, stop }
    }

    async fn failed(&self) -> String {
        let submission = Submission { pipeline: Some("p".to_owned()), body: BODY.to_owned(), ..Submission::default() };
        let run = self.service.submit(submission).await.expect("a good pipeline").run.id;
        self.until(&run, RunState::Failed).await;
        assert_eq!(self.rows().await, (2, 1), "the rows are there");
        run
    }

    /// Resumes it with its loads called otherwise, until it is done.
    async fn again(&self, run: &str, reuse: bool) {
        self.service.resume(run, Some(renamed()), reuse, "ann").await.expect("it can be resumed");
        self.until(run, RunState::Done).await;
        assert_eq!(self.rows().await, (2, 1), "each row once");
    }

    async fn until(&self, run: &str, state: RunState) {
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

    /// The rows of both tables.
    async fn rows(&self) -> (i64, i64) {
        let address = format!("sqlite://{}?mode=ro", self.root.path().join("out.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&address).await.expect("it opens");
        let counts = "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM log)";
        let rows = sqlx::query_as(counts).fetch_one(&mut connection).await.expect("tables");
        connection.close().await.expect("closed");
        rows
    }

    async fn end(self) {
        self.stop.cancel();
        self.working.await.expect("it goes down");
    }
}

async fn assert_rows_are_added_once(runs: Runs) {
    let run = runs.failed().await;
    let source = std::fs::File::options().append(true).open(runs.root.path().join("in.csv")).expect("there");
    source.set_modified(SystemTime::now() + Duration::from_secs(60)).expect("touched");
    runs.again(&run, true).await;
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_renamed_and_whose_source_was_touched_adds_its_rows_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = env(folder.path());
    assert_rows_are_added_once(Runs::on(InProcess::new(quiver::registry(), env.clone()), &env).await).await;

    let folder = tempfile::tempdir().expect("a folder");
    let (env, nowhere) = (self::env(folder.path()), strike("nowhere"));
    let (mesh, _proxy, server) = behind_a_proxy(&env, nowhere).await;
    assert_rows_are_added_once(Runs::on(mesh, &env).await).await;
    server.stop().await.expect("it goes down");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_begun_anew_under_another_name_adds_its_rows_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = env(folder.path());
    let runs = Runs::on(InProcess::new(quiver::registry(), env.clone()), &env).await;
    let run = runs.failed().await;
    runs.again(&run, false).await;
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_answer_was_lost_adds_its_rows_once_under_another_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = env(folder.path());
    let (mesh, proxy, server) = behind_a_proxy(&env, strike("load-sql")).await;
    let runs = Runs::on(mesh, &env).await;
    let run = runs.failed().await;
    proxy.struck().await;
    let noted = runs.service.store().commits(&run).await.expect("told");
    assert!(noted.iter().all(|commit| commit.step != "write"), "{noted:?}");
    runs.again(&run, true).await;
    runs.end().await;
    server.stop().await.expect("it goes down");
}

/// The answer of a step's first call is lost.
fn strike(step: &str) -> Strike {
    Strike { step: step.to_owned(), point: Point::End, harm: Harm::Cut }
}

/// All steps behind a server, and a proxy before it.
async fn behind_a_proxy(env: &StepEnv, strike: Strike) -> (FlightMesh, Proxy, Server) {
    let listener = Listener::tcp("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.address().expect("a TCP address");
    let (limits, drain) = (Limits::default(), Duration::from_secs(1));
    let settings = server::Settings { registry: quiver::registry(), env: env.clone(), limits, drain };
    let server = Server::start(settings, listener).await;
    let proxy = Proxy::start(address, strike).await;
    let client = StepClient::tcp(&proxy.address).expect("an address");
    (FlightMesh::connect(vec![client], env.data_root.clone()).await.expect("it answers"), proxy, server)
}
