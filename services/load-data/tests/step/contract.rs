//! `load-data` keeps the contract of steps, whatever the format.

use flight_common::testing::batch;
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use load_data::LoadData;
use serde_json::json;

fn case(format: &str) -> ContractCase {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    ContractCase::new(json!({"format": format, "dataset_name": "contract"}), readme).input(awkward(50))
}

async fn kept_with(format: &str) {
    assert_kept(LoadData, case(format)).await;
}

#[tokio::test]
async fn the_contract_is_kept_with_csv() {
    kept_with("csv").await;
}

#[tokio::test]
async fn the_contract_is_kept_with_json() {
    kept_with("json").await;
}

#[tokio::test]
async fn the_contract_is_kept_with_json_lines() {
    kept_with("jsonl").await;
}

#[tokio::test]
async fn the_contract_is_kept_with_xlsx() {
    // Little memory, and so few rows: they are deflated, which takes its time without optimization.
    assert_kept(LoadData, case("xlsx").memory(64 << 10)).await;
}

#[tokio::test]
async fn the_contract_is_kept_with_parquet() {
    // A row group is never smaller than 4 MiB, however little memory there is.
    let texts: Vec<String> = (0..11_000).map(|row| format!("{row:4000}")).collect();
    let larger = vec![batch!("text" => StringArray texts)];
    assert_kept(LoadData, case("parquet").memory(4 << 20).larger(larger)).await;
}

#[tokio::test]
async fn the_contract_is_kept_with_arrow() {
    kept_with("arrow").await;
}
