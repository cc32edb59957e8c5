//! Pipelines that turn a file into another of the same name: it is turned once, also when the run goes on after that.

use crate::support::{Runs, behind_a_proxy, env, strike};
use orchestrator::mesh::InProcess;
use orchestrator::store::RunState;

/// The check of the receipt fails once the file is written.
const BODY: &str = "
steps:
  - {id: read, service: extract-csv, params: {file_path: n.csv}}
  - {id: double, service: sql, params: {query: 'SELECT n * 2 AS n FROM input'}, depends_on: read}
  - {id: write, service: load-data, params: {path: n.csv}, depends_on: double}
  - {id: check, service: data-quality, params: {fail_on_errors: true, rules: {min_rows: 100}}, depends_on: write}
";
const FILE: (&str, &str) = ("n.csv", "n\n1\n2\n");

/// The same with a check that does not fail.
fn mended() -> String {
    BODY.replace("min_rows: 100", "min_rows: 1")
}

fn file(runs: &Runs) -> String {
    std::fs::read_to_string(runs.root.path().join(FILE.0)).expect("it is there")
}

async fn resumed(runs: &Runs, run: &str, state: RunState, body: &str) {
    runs.service.resume(run, Some(body.to_owned()), true, "ann").await.expect("it can be resumed");
    runs.until(run, state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_run_has_turned_is_not_turned_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = env(folder.path(), &[FILE]);
    let runs = Runs::on(InProcess::new(quiver::registry(), env.clone()), &env).await;
    let run = runs.ended(BODY, RunState::Failed).await;
    assert_eq!(file(&runs), "n\n2\n4\n");
    resumed(&runs, &run, RunState::Failed, BODY).await;
    resumed(&runs, &run, RunState::Done, &mended()).await;
    assert_eq!(file(&runs), "n\n2\n4\n", "it was done");
    runs.ended(&mended(), RunState::Done).await;
    assert_eq!(file(&runs), "n\n4\n8\n", "another run");
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_has_changed_since_is_read_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = env(folder.path(), &[FILE]);
    let runs = Runs::on(InProcess::new(quiver::registry(), env.clone()), &env).await;
    let run = runs.ended(BODY, RunState::Failed).await;
    std::fs::write(folder.path().join(FILE.0), "n\n1000\n").expect("written");
    resumed(&runs, &run, RunState::Done, &mended()).await;
    assert_eq!(file(&runs), "n\n2000\n");
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_turning_was_not_heard_of_is_turned_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = env(folder.path(), &[FILE]);
    let (mesh, proxy, server) = behind_a_proxy(&env, strike("load-data")).await;
    let runs = Runs::on(mesh, &env).await;
    let run = runs.ended(BODY, RunState::Failed).await;
    proxy.struck().await;
    assert_eq!(runs.service.store().commits(&run).await.expect("told"), []);
    assert_eq!(file(&runs), "n\n2\n4\n", "it was written all the same");
    resumed(&runs, &run, RunState::Done, &mended()).await;
    assert_eq!(file(&runs), "n\n2\n4\n", "the same once more");
    runs.end().await;
    server.stop().await.expect("it goes down");
}
