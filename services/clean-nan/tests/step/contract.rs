//! `clean-nan` keeps the contract of steps, whatever the strategy.

use clean_nan::CleanNan;
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use serde_json::{Value, json};

async fn kept_with(params: Value) {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let case = ContractCase::new(params, readme).input(awkward(50));
    assert_kept(CleanNan, case).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_dropping() {
    kept_with(json!({"columns": ["name", "amount"]})).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_the_mean() {
    kept_with(json!({"strategy": "fill_mean", "columns": ["amount", "price"]})).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_the_median() {
    kept_with(json!({"strategy": "fill_median", "columns": ["amount", "price"]})).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_the_mode() {
    kept_with(json!({"strategy": "fill_mode"})).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_a_value() {
    kept_with(json!({"strategy": "fill_value", "fill_value": {"name": "nobody", "count": 0}})).await;
}

#[tokio::test]
async fn the_contract_is_kept_forwards() {
    kept_with(json!({"strategy": "ffill"})).await;
}

#[tokio::test]
async fn the_contract_is_kept_backwards() {
    kept_with(json!({"strategy": "bfill"})).await;
}

#[tokio::test]
async fn the_contract_is_kept_in_between() {
    kept_with(json!({"strategy": "interpolate", "columns": ["amount", "price", "count"]})).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_a_strategy_for_each_column() {
    let strategies = json!({
        "count": "fill_median", "amount": "interpolate", "name": "ffill", "word": "fill_mode", "flag": "drop",
        "price": "fill_value", "day": "keep", "seen": "bfill",
    });
    kept_with(json!({"strategies": strategies, "fill_value": 1.5, "nulls": ["", "NaN", 0]})).await;
}
