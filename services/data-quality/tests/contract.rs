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
