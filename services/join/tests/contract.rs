//! `join` keeps the contract of steps, whatever its type.

use arrow::array::RecordBatch;
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use join::Join;
use serde_json::json;

/// Rows of which some have a partner on the left and some do not.
fn right(rows: usize) -> RecordBatch {
    let all = awkward(rows + rows / 2);
    all.slice(rows / 2, rows)
}

async fn kept_with(join_type: &str) {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let params = json!({"join_key": ["id", "name"], "join_type": join_type});
    let case = ContractCase::new(params, readme).input(awkward(50)).input(right(40));
    assert_kept(Join, case.larger(vec![awkward(20_000), right(20_000)])).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_inner_joins() {
    kept_with("inner").await;
}

#[tokio::test]
async fn the_contract_is_kept_by_left_joins() {
    kept_with("left").await;
}

#[tokio::test]
async fn the_contract_is_kept_by_right_joins() {
    kept_with("right").await;
}

#[tokio::test]
async fn the_contract_is_kept_by_outer_joins() {
    kept_with("outer").await;
}

#[tokio::test]
async fn the_contract_is_kept_by_semi_joins() {
    kept_with("semi").await;
}

#[tokio::test]
async fn the_contract_is_kept_by_anti_joins() {
    kept_with("anti").await;
}
