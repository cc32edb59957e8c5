//! `extract-csv` keeps the contract of steps.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use extract_csv::ExtractCsv;
use flight_common::testing::contract::{ContractCase, assert_kept};
use serde_json::json;
use std::fmt::Write;

#[tokio::test]
async fn the_contract_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = String::from("id,name,amount\n0,,\n1,\"\",NaN\n2,007,-2.25\n");
    for row in 3..100_000 {
        let _ = writeln!(text, "{row},\"a rather, long\nname\",{row}.5");
    }
    std::fs::write(folder.path().join("rows.csv"), &text).expect("written");

    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let case = ContractCase::new(json!({"file_path": "rows.csv"}), readme).data_root(folder.path());
    // The pieces under way have a size of their own, up to 16 MiB in all on many cores, but never more than the file.
    let case = case.memory(4 << 20).keeps_apart(|_, output| {
        let (names, amounts) = (output["name"].as_string::<i32>(), output["amount"].as_primitive::<Float64Type>());
        let ids = output["id"].as_primitive::<Int64Type>();
        let kept = names.is_null(0)
            && names.is_valid(1)
            && names.value(1).is_empty()
            && names.value(2) == "007"
            && amounts.null_count() == 2
            && ids.values().iter().copied().eq(0..100_000);
        if kept { Ok(()) } else { Err(format!("the first rows are {:?}", output.slice(0, 3))) }
    });
    assert_kept(ExtractCsv, case).await;
}
