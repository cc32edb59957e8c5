//! `load-sql` keeps the contract of steps.

use crate::support::params;
use arrow::array::{Array, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use load_sql::LoadSql;
use serde_json::json;
use std::sync::Arc;
use test_servers::{Database, MariaDatabase, PostgresDatabase};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

#[tokio::test]
async fn the_contract_is_kept_with_sqlite() {
    let case = ContractCase::new(params("sqlite:rows.db", json!({"mode": "replace"})), README).input(awkward(50));
    assert_kept(LoadSql::default(), case).await;
}

#[tokio::test]
async fn the_contract_is_kept_with_postgres() {
    let database = PostgresDatabase::new().await;
    let case = ContractCase::new(params(database.url(), json!({"mode": "replace"})), README).input(awkward(50));
    assert_kept(LoadSql::default(), case).await;
}

#[tokio::test]
async fn the_contract_is_kept_with_mariadb() {
    let database = MariaDatabase::new().await;
    let case = ContractCase::new(params(database.url(), json!({"mode": "replace"})), README).input(of_this_century(50));
    assert_kept(LoadSql::default(), case).await;
}

/// Awkward rows, with instants that a `TIMESTAMP` holds.
fn of_this_century(rows: usize) -> RecordBatch {
    let batch = awkward(rows);
    let seen = batch["seen"].as_primitive::<TimestampMicrosecondType>();
    let later: TimestampMicrosecondArray = seen.iter().map(|at| at.map(|at| at.max(0) + 1)).collect();
    let place = batch.schema().index_of("seen").expect("it is there");
    let mut columns = batch.columns().to_vec();
    columns[place] = Arc::new(later.with_data_type(seen.data_type().clone()));
    RecordBatch::try_new(batch.schema(), columns).expect("the same types")
}
