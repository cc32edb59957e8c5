//! Appends of a run that is resumed with its loads called otherwise: each row is added once, by the real step, in one process and
//! behind a server.

use crate::support::{Runs, behind_a_proxy, strike};
use flight_common::StepEnv;
use orchestrator::mesh::InProcess;
use orchestrator::store::RunState;
use sqlx::Connection;
use std::path::Path;
use std::time::{Duration, SystemTime};

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
    crate::support::env(root, &[("in.csv", "id,name\n1,Ann\n2,Bo\n"), ("log.csv", "what\nit has run\n")])
}

async fn failed(runs: &Runs) -> String {
    let run = runs.ended(BODY, RunState::Failed).await;
    assert_eq!(rows(runs).await, (2, 1), "the rows are there");
    run
}

/// Resumes it with its loads called otherwise, until it is done.
async fn again(runs: &Runs, run: &str, reuse: bool) {
    runs.service.resume(run, Some(renamed()), reuse, "ann").await.expect("it can be resumed");
    runs.until(run, RunState::Done).await;
    assert_eq!(rows(runs).await, (2, 1), "each row once");
}

/// The rows of both tables.
async fn rows(runs: &Runs) -> (i64, i64) {
    let address = format!("sqlite://{}?mode=ro", runs.root.path().join("out.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&address).await.expect("it opens");
    let counts = "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM log)";
    let rows = sqlx::query_as(counts).fetch_one(&mut connection).await.expect("tables");
    connection.close().await.expect("closed");
    rows
}

async fn assert_rows_are_added_once(runs: Runs) {
    let run = failed(&runs).await;
    let source = std::fs::File::options().append(true).open(runs.root.path().join("in.csv")).expect("there");
    source.set_modified(SystemTime::now() + Duration::from_secs(60)).expect("touched");
    again(&runs, &run, true).await;
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
    let run = failed(&runs).await;
    again(&runs, &run, false).await;
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_answer_was_lost_adds_its_rows_once_under_another_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = env(folder.path());
    let (mesh, proxy, server) = behind_a_proxy(&env, strike("load-sql")).await;
    let runs = Runs::on(mesh, &env).await;
    let run = failed(&runs).await;
    proxy.struck().await;
    let noted = runs.service.store().commits(&run).await.expect("told");
    assert!(noted.iter().all(|commit| commit.step != "write"), "{noted:?}");
    again(&runs, &run, true).await;
    runs.end().await;
    server.stop().await.expect("it goes down");
}
