//! `extract-file` keeps the contract of steps.

use crate::support::{Folder, parquet_of};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use extract_file::ExtractFile;
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use serde_json::json;

#[tokio::test]
async fn the_contract_is_kept() {
    let folder = Folder::new();
    folder.write("y=1/a.parquet", parquet_of(&awkward(500), 100));
    folder.write("y=2/a.parquet", parquet_of(&awkward(50), 100));
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let params = json!({"file_path": "y=*/*.parquet", "where": "id % 2 = 0"});
    let case = ContractCase::new(params, readme).data_root(folder.path()).keeps_apart(|_, output| {
        let years = output["y"].as_primitive::<Int64Type>();
        let right = output.num_rows() == 275 && years.values().iter().sum::<i64>() == 250 + 2 * 25;
        if right { Ok(()) } else { Err(format!("{output:?}")) }
    });
    assert_kept(ExtractFile, case).await;
}
