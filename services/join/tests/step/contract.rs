//! `join` keeps the contract of steps.

use arrow::array::RecordBatch;
use arrow::compute::{sort_to_indices, take_record_batch};
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use join::Join;
use serde_json::json;

/// With the ids 0, 1, 2 … on both sides, the left columns come out as they were, once they are in order again.
fn left_is_unchanged(inputs: &[RecordBatch], output: &RecordBatch) -> Result<(), String> {
    let order = sort_to_indices(output.column(0), None, None).map_err(|error| error.to_string())?;
    let output = take_record_batch(output, &order).map_err(|error| error.to_string())?;
    for (field, column) in inputs[0].schema().fields().iter().zip(inputs[0].columns()) {
        if output.column_by_name(field.name()) != Some(column) {
            return Err(format!("column {} was changed", field.name()));
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_contract_is_kept() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let params = json!({"join_key": "id", "join_type": "left", "suffixes": ["", "_right"]});
    let case = ContractCase::new(params, readme).input(awkward(50)).input(awkward(30));
    assert_kept(Join, case.keeps_apart(left_is_unchanged)).await;
}
