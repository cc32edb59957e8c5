//! Rows that a run has appended and that a replace has deleted: they are written again when the append is done again.

use crate::support::{SqliteFile, params, people};
use flight_common::testing::Bench;
use load_sql::LoadSql;
use serde_json::{Value, json};
use test_servers::{Database, MariaDatabase, PostgresDatabase};

/// How many rows of the table were there before this load of two.
async fn before(url: &str, node: &str, more: Value) -> Option<u64> {
    let bench = Bench::new().of_run("one run").at_node(node);
    let ran = bench.run(LoadSql::default(), params(url, more), &[people()]).await.expect("loaded");
    ran.report.counters.get("rows_loaded_before").copied()
}

const COUNT: &str = "SELECT count(*) FROM t";
const LINES: &str = "SELECT loaded, run FROM quiver_loads ORDER BY loaded, run";

async fn assert_a_replace_forgets_what_it_deletes(database: &impl Database) {
    let url = database.url();
    for load in ["first", "second"] {
        assert_eq!(before(url, load, json!({})).await, None);
    }
    assert_eq!(before(url, "first", json!({"table": "other"})).await, None);
    assert_eq!(before(url, "anew", json!({"mode": "replace"})).await, None);
    assert_eq!(database.figure(COUNT).await, 2);
    assert_eq!(database.rows(LINES).await, [["other", "one run/first"]]);
    for (known, rows) in [(None, 4), (Some(2), 4)] {
        assert_eq!(before(url, "first", json!({})).await, known);
        assert_eq!(database.figure(COUNT).await, rows);
    }
    assert_eq!(before(url, "first", json!({"table": "other"})).await, Some(2));
    // As it does of a table that was dropped.
    database.run("DROP TABLE t").await;
    assert_eq!(before(url, "anew", json!({"mode": "replace"})).await, None);
    assert_eq!(before(url, "first", json!({})).await, None);
    assert_eq!(database.figure(COUNT).await, 4);
}

/// A replace that does not come to its end forgets nothing.
async fn assert_a_replace_that_fails_forgets_nothing(database: &impl Database) {
    let url = database.url();
    assert_eq!(before(url, "first", json!({})).await, None);
    let forbidden = Bench::new().of_run("one run").at_node("anew").forbidding("another one runs it");
    let asked = params(url, json!({"mode": "replace"}));
    forbidden.run(LoadSql::default(), asked, &[people()]).await.expect_err("it may not");
    assert_eq!(before(url, "first", json!({})).await, Some(2));
    assert_eq!(database.figure(COUNT).await, 2);
}

#[tokio::test]
async fn a_replace_forgets_what_it_deletes() {
    assert_a_replace_forgets_what_it_deletes(&SqliteFile::new()).await;
    assert_a_replace_forgets_what_it_deletes(&PostgresDatabase::new().await).await;
    assert_a_replace_forgets_what_it_deletes(&MariaDatabase::new().await).await;
}

#[tokio::test]
async fn a_replace_that_fails_forgets_nothing() {
    assert_a_replace_that_fails_forgets_nothing(&SqliteFile::new()).await;
    assert_a_replace_that_fails_forgets_nothing(&PostgresDatabase::new().await).await;
    assert_a_replace_that_fails_forgets_nothing(&MariaDatabase::new().await).await;
}

/// A ledger that the user may read and not change is no hindrance: its lines stay.
#[tokio::test]
async fn a_ledger_of_others_is_left_as_it_is() {
    let database = PostgresDatabase::new().await;
    let user = format!("reader_of_{}", database.rows("SELECT current_database()").await[0][0]);
    let theirs = database.url().replace("postgres@", &format!("{user}@"));
    before(database.url(), "first", json!({})).await;
    let grant = format!(
        "CREATE ROLE {user} LOGIN; GRANT SELECT, INSERT, DELETE ON t TO {user}; GRANT SELECT ON quiver_loads TO {user}"
    );
    database.run(&grant).await;
    before(&theirs, "anew", json!({"mode": "replace"})).await;
    assert_eq!(database.rows(LINES).await, [["t", "one run/first"]]);
    assert_eq!(database.figure(COUNT).await, 2);
    database.run(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;

    let database = MariaDatabase::new().await;
    let (name, user) = (database.name(), format!("{}_r", database.name()));
    let theirs = database.url().replace("root@", &format!("{user}@"));
    before(database.url(), "first", json!({})).await;
    for grant in [
        format!("CREATE USER {user}@localhost"),
        format!("GRANT SELECT, INSERT, DELETE ON {name}.t TO {user}@localhost"),
        format!("GRANT SELECT ON {name}.quiver_loads TO {user}@localhost"),
    ] {
        database.run(&grant).await;
    }
    before(&theirs, "anew", json!({"mode": "replace"})).await;
    assert_eq!(database.rows(LINES).await, [["t", "one run/first"]]);
    assert_eq!(database.figure(COUNT).await, 2);
    database.run(&format!("DROP USER {user}@localhost")).await;
}
