//! Appends of a run whose steps are called otherwise by a later attempt: what was written under the old name is not written again.

use crate::support::{SqliteFile, eventually, params, people};
use arrow::array::RecordBatch;
use flight_common::testing::{Bench, Ran, batch};
use flight_common::{Fault, FaultKind, Permission};
use futures::future::join_all;
use load_sql::LoadSql;
use serde_json::json;
use std::sync::Arc;
use test_servers::{Database, MariaDatabase, PostgresDatabase};
use tokio::sync::Semaphore;

/// The step of a run that is called so, and may have been called otherwise.
fn step(node: &str, formerly: &[&str]) -> Bench {
    Bench::new().of_run("renamed").at_node(node).formerly(formerly)
}

async fn load(database: &impl Database, step: Bench, rows: &RecordBatch) -> Result<Ran, Fault> {
    step.run(LoadSql::default(), params(database.url(), json!({})), std::slice::from_ref(rows)).await
}

/// Whether the rows were there: else they are added.
async fn were_there(database: &impl Database, node: &str, formerly: &[&str], rows: &RecordBatch) -> bool {
    let before = database.figure(COUNT).await;
    let ran = load(database, step(node, formerly), rows).await.expect("loaded");
    let there = ran.report.counters.get("rows_loaded_before").copied();
    let count = rows.num_rows();
    assert_eq!(ran.rows()["rows"].as_ref(), &arrow::array::Int64Array::from(vec![count as i64]));
    let added = usize::try_from(database.figure(COUNT).await - before).expect("none is gone");
    match there {
        Some(rows) => assert_eq!((rows, added), (count as u64, 0)),
        None => assert_eq!(added, count),
    }
    there.is_some()
}

const COUNT: &str = "SELECT count(*) FROM t";
/// The names of the steps that lines of the ledger know.
const LINES: &str = "SELECT run FROM quiver_loads ORDER BY run";

async fn assert_a_renamed_load_is_known(database: &impl Database) {
    load(database, step("old", &[]), &people()).await.expect("loaded");
    let turned = batch!("id" => Int64Array [2, 1], "name" => StringArray [None, Some("Ann")]);
    assert!(were_there(database, "new", &["gone", "old"], &turned).await);
    assert!(were_there(database, "new", &["gone", "old"], &people()).await, "by its own name");
    assert!(
        !were_there(database, "second", &["gone", "old"], &people()).await,
        "what was written once stands for one step"
    );
    assert_eq!(database.rows(LINES).await, [["renamed/new"], ["renamed/second"]]);
    // The rows of a step that is still there, and other rows, are not taken for its own.
    assert!(!were_there(database, "third", &[], &people()).await);
    assert!(!were_there(database, "fourth", &["new"], &people().slice(0, 1)).await);
    let fault = load(database, step("new", &["second"]), &people().slice(0, 1)).await.expect_err("other rows");
    assert!(fault.message().contains("has appended other rows"), "{fault}");
    let lines = ["renamed/fourth", "renamed/new", "renamed/second", "renamed/third"];
    assert_eq!(database.rows(LINES).await.concat(), lines);
    // Nor are those of another run, or of another table.
    assert!(!were_there_in_another_run(database).await);
    let other = params(database.url(), json!({"table": "other"}));
    let ran = step("new", &["second"]).run(LoadSql::default(), other, &[people()]).await.expect("loaded");
    assert_eq!(ran.report.counters.get("rows_loaded_before"), None);
    assert_eq!(database.figure("SELECT count(*) FROM other").await, 2);
    // A name that is too long for a ledger stands in it shortened.
    let long = "x".repeat(300);
    assert!(!were_there(database, &long, &[], &people()).await);
    assert!(were_there(database, &"y".repeat(300), &[&long], &people()).await);
}

async fn were_there_in_another_run(database: &impl Database) -> bool {
    let ran = load(database, step("new", &["second"]).of_run("another"), &people()).await.expect("loaded");
    ran.report.counters.contains_key("rows_loaded_before")
}

/// The likelier name is asked for first: the other one may be another step's.
async fn assert_the_first_name_counts(database: &impl Database) {
    for old in ["a", "z"] {
        load(database, step(old, &[]), &people()).await.expect("loaded");
    }
    assert!(were_there(database, "new", &["z", "a"], &people()).await);
    assert_eq!(database.rows(LINES).await, [["renamed/a"], ["renamed/new"]]);
}

/// Rows that a unique index would not take a second time are known before they are written.
async fn assert_a_unique_index_is_not_in_the_way(database: &impl Database) {
    database.run("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(9))").await;
    load(database, step("old", &[]), &people()).await.expect("loaded");
    assert!(were_there(database, "new", &["old"], &people()).await);
    let fault = load(database, step("other", &["new"]), &people().slice(0, 1)).await.expect_err("it is there");
    assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
    let more = batch!("id" => Int64Array [3, 4], "name" => StringArray ["Bo", "Cy"]);
    assert!(!were_there(database, "other", &["new"], &more).await);
    assert_eq!(database.rows("SELECT name FROM t WHERE id > 2 ORDER BY id").await, [["Bo"], ["Cy"]]);
}

/// What may not commit leaves the line to another one; a table that is gone is told.
async fn assert_a_line_is_taken_over_in_a_transaction(database: &impl Database) {
    load(database, step("old", &[]), &people()).await.expect("loaded");
    let forbidden = step("new", &["old"]).forbidding("another one runs it");
    let fault = load(database, forbidden, &people()).await.expect_err("it may not");
    assert_eq!(fault.message(), "another one runs it");
    assert_eq!(database.rows(LINES).await, [["renamed/old"]]);
    assert!(were_there(database, "new", &["old"], &people()).await);
    database.run("DROP TABLE t").await;
    let fault = load(database, step("newer", &["new"]), &people()).await.expect_err("it is gone");
    assert!(fault.message().contains("there is no such table any more"), "{fault}");
    assert_eq!(database.rows(LINES).await, [["renamed/new"]]);
}

/// Loads at once that may all have written one line: one of them has it. `waiting` counts those that wait at the server for the
/// one that has it and is not let commit yet.
async fn assert_of_loads_at_once_one_has_it(database: &impl Database, waiting: Option<&str>) {
    load(database, step("old", &[]), &people()).await.expect("loaded");
    // None is let commit before all of them are under way.
    let doors = Arc::new(Semaphore::new(0));
    let asking = doors.clone();
    let permission = Permission::by_asking(move || {
        let asking = asking.clone();
        async move {
            asking.acquire().await.expect("it stays").forget();
            Ok(None)
        }
    });
    let names = ["a", "b", "c", "d"];
    let load = async |name: &str| {
        let step = Bench { permission: permission.clone(), ..step(name, &["old"]) };
        let ran = load(database, step, &people()).await.expect("loaded");
        ran.report.counters.contains_key("rows_loaded_before")
    };
    let opened = async {
        if let Some(waiting) = waiting {
            eventually("the others wait", async || database.figure(waiting).await == 3).await;
        }
        doors.add_permits(names.len());
    };
    let (there, ()) = futures::join!(join_all(names.map(load)), opened);
    assert_eq!(there.iter().filter(|there| **there).count(), 1, "{there:?}");
    assert_eq!(database.figure(COUNT).await, 8);
    assert_eq!(database.rows(LINES).await.concat(), names.map(|name| format!("renamed/{name}")));
}

#[tokio::test]
async fn a_renamed_load_is_known() {
    assert_a_renamed_load_is_known(&SqliteFile::new()).await;
    assert_a_renamed_load_is_known(&PostgresDatabase::new().await).await;
    assert_a_renamed_load_is_known(&MariaDatabase::new().await).await;
}

#[tokio::test]
async fn the_first_name_counts() {
    assert_the_first_name_counts(&SqliteFile::new()).await;
    assert_the_first_name_counts(&PostgresDatabase::new().await).await;
    assert_the_first_name_counts(&MariaDatabase::new().await).await;
}

#[tokio::test]
async fn a_unique_index_is_not_in_the_way() {
    assert_a_unique_index_is_not_in_the_way(&SqliteFile::new()).await;
    assert_a_unique_index_is_not_in_the_way(&PostgresDatabase::new().await).await;
    assert_a_unique_index_is_not_in_the_way(&MariaDatabase::new().await).await;
}

#[tokio::test]
async fn a_line_is_taken_over_in_a_transaction() {
    assert_a_line_is_taken_over_in_a_transaction(&SqliteFile::new()).await;
    assert_a_line_is_taken_over_in_a_transaction(&PostgresDatabase::new().await).await;
    assert_a_line_is_taken_over_in_a_transaction(&MariaDatabase::new().await).await;
}

#[tokio::test]
async fn of_loads_at_once_one_has_it() {
    assert_of_loads_at_once_one_has_it(&SqliteFile::new(), None).await;
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    assert_of_loads_at_once_one_has_it(&PostgresDatabase::new().await, Some(waiting)).await;
    let waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'UPDATE%'";
    assert_of_loads_at_once_one_has_it(&MariaDatabase::new().await, Some(waiting)).await;
}
