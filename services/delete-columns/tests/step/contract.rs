//! `delete-columns` keeps the contract of steps.

use delete_columns::DeleteColumns;
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use serde_json::json;

#[tokio::test]
async fn the_contract_is_kept() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let case = ContractCase::new(json!({"columns": "count, day"}), readme).input(awkward(50));
    assert_kept(DeleteColumns, case.passes_values_through()).await;
}
