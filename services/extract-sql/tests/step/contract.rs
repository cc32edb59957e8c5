//! `extract-sql` keeps the contract of steps.

use extract_sql::ExtractSql;
use flight_common::testing::contract::{ContractCase, assert_kept};
use rusqlite::Connection;
use serde_json::json;
use test_servers::{Database, MariaDatabase, PostgresDatabase};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

#[tokio::test]
async fn the_contract_is_kept_with_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Connection::open(folder.path().join("rows.db")).expect("made");
    let rows = "CREATE TABLE t (id INTEGER, name TEXT, amount REAL);
        WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100000)
        INSERT INTO t SELECT i, nullif(printf('a rather long name %d', i % 7), 'a rather long name 3'), i / 4.0 FROM c";
    database.execute_batch(rows).expect("filled");
    let asked = json!({"db_url": "sqlite:rows.db", "query": "SELECT * FROM t"});
    let case = ContractCase::new(asked, README).data_root(folder.path()).memory(4 << 20);
    assert_kept(ExtractSql::default(), case).await;
}

#[tokio::test]
async fn the_contract_is_kept_with_postgres() {
    let rows = "CREATE TABLE t AS SELECT n AS id, nullif('a rather long name ' || n % 7, 'a rather long name 3') AS name, n / 4.0 AS amount
        FROM generate_series(1, 100000) AS n";
    let database = PostgresDatabase::with(rows).await;
    let asked = json!({"db_url": database.url(), "query": "SELECT * FROM t"});
    // The pieces under way have a size of their own, on many cores.
    let case = ContractCase::new(asked, README).memory(8 << 20);
    assert_kept(ExtractSql::default(), case).await;
}

#[tokio::test]
async fn the_contract_is_kept_with_mariadb() {
    let database = MariaDatabase::new().await;
    let query = "SELECT seq AS id, NULLIF(CONCAT('a rather long name ', seq % 7), 'a rather long name 3') AS name, seq / 4 AS amount
        FROM seq_1_to_100000";
    let asked = json!({"db_url": database.url(), "query": query});
    assert_kept(ExtractSql::default(), ContractCase::new(asked, README).memory(4 << 20)).await;
}
