//! `outliers` keeps the contract of steps.

use arrow::array::AsArray;
use arrow::compute::take_record_batch;
use arrow::datatypes::Int64Type;
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use outliers::Outliers;
use serde_json::{Value, json};

#[tokio::test]
async fn the_contract_is_kept() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let case = ContractCase::new(json!({"column": "count", "z_threshold": 1.5}), readme).input(awkward(50));
    let case = case.keeps_apart(|inputs, output| {
        let kept = output["id"].as_primitive::<Int64Type>();
        let kept = take_record_batch(&inputs[0], kept).map_err(|error| error.to_string())?;
        let removed = inputs[0].num_rows() - output.num_rows();
        if kept == *output && removed == 10 { Ok(()) } else { Err(format!("{removed} rows are gone, {output:?} stay")) }
    });
    assert_kept(Outliers, case).await;
}

async fn kept_with(params: Value) {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let case = ContractCase::new(params, readme).input(awkward(50)).keeps_apart(|inputs, output| {
        // All rows are there, in their order.
        let (given, left) = (&inputs[0]["name"], &output["name"]);
        if given == left { Ok(()) } else { Err("rows are gone".to_owned()) }
    });
    assert_kept(Outliers, case).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_fences_in_groups() {
    let columns = json!(["count", "amount", "price"]);
    kept_with(json!({"columns": columns, "method": "iqr", "group_by": ["group", "word", "amount"], "action": "clip"}))
        .await;
}

#[tokio::test]
async fn the_contract_is_kept_by_deviations_from_the_median() {
    kept_with(json!({"columns": ["count", "amount"], "method": "mad", "action": "flag"})).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_scores_in_groups() {
    kept_with(json!({"column": "id", "z_threshold": 1.2, "group_by": "flag", "action": "flag"})).await;
}
