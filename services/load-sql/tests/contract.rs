//! `load-sql` keeps the contract of steps.

mod support;

use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use load_sql::LoadSql;
use serde_json::json;
use support::{Database, params};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

#[tokio::test]
async fn the_contract_is_kept_with_sqlite() {
    let case = ContractCase::new(params("sqlite:rows.db", json!({"mode": "replace"})), README).input(awkward(50));
    assert_kept(LoadSql::default(), case).await;
}

#[tokio::test]
async fn the_contract_is_kept_with_postgres() {
    let database = Database::new().await;
    let case = ContractCase::new(params(&database.url, json!({"mode": "replace"})), README).input(awkward(50));
    assert_kept(LoadSql::default(), case).await;
}
