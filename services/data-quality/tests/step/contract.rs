//! `data-quality` keeps the contract of steps.

use data_quality::DataQuality;
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use serde_json::json;

#[tokio::test]
async fn the_contract_is_kept() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let rules = json!({
        "min_rows": 1, "check_null_ratio": true, "check_duplicates": true, "check_completeness": true,
        "check_column_types": {"day": "date"}, "check_unique_columns": ["id", "name"],
        "check_value_range": {"amount": {"min": 0}, "price": {"max": 1e6}, "seen": {"min": "1970-01-01"}},
    });
    let case = ContractCase::new(json!({"rules": rules}), readme).input(awkward(50));
    assert_kept(DataQuality, case.passes_values_through()).await;
}

#[tokio::test]
async fn the_contract_is_kept_when_rows_are_rejected() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let params = json!({
        "rules": {
            "max_rows": 1_000_000_000, "check_not_null": ["count"], "check_pattern": {"word": "^[^N]*$"},
            "check_allowed_values": {"name": ["plain", "", "007"]}, "check_value_range": {"amount": {"max": 10}},
            "check_freshness": {"day": "10years"},
        },
        "on_failure": {
            "check_not_null": "reject", "check_pattern": "reject", "check_allowed_values": "warn",
            "check_value_range": "reject",
        },
    });
    let case = ContractCase::new(params, readme).input(awkward(50)).keeps_apart(|inputs, output| {
        let rejected = inputs[0].num_rows() - output.num_rows();
        if rejected > 10 && output.num_rows() > 10 { Ok(()) } else { Err(format!("{rejected} rows are rejected")) }
    });
    assert_kept(DataQuality, case).await;
}

#[tokio::test]
async fn the_contract_is_kept_beside_a_file() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let folder = tempfile::tempdir().expect("a folder");
    let lines: String =
        (0..40).map(|n| format!("{n},word {},{}.5,2021-01-{:02}\n", n % 7, n % 11, n % 28 + 1)).collect();
    std::fs::write(folder.path().join("old.csv"), format!("id,name,amount,day\n{lines}")).expect("written");
    let params = json!({"rules": {
        "check_drift": {"file_path": "old.csv", "columns": ["id", "name", "amount", "day"]},
        "check_reference": {"id": {"file_path": "old.csv"}},
    }});
    let case = ContractCase::new(params, readme).data_root(folder.path()).input(awkward(50));
    assert_kept(DataQuality, case.passes_values_through()).await;
}
