//! What `delete-columns` means.

use delete_columns::DeleteColumns;
use flight_common::testing::{Bench, batch};
use flight_common::{Fault, FaultKind};
use serde_json::{Value, json};

async fn columns_left(params: Value) -> Result<Vec<String>, Fault> {
    let input = batch!("a" => Int64Array [1, 2], "b" => StringArray ["x", "y"], "c" => Int64Array [Some(1), None]);
    let ran = Bench::new().run(DeleteColumns, params, &[input]).await?;
    assert_eq!(ran.rows().num_rows(), 2);
    Ok(ran.schema.fields().iter().map(|field| field.name().clone()).collect())
}

#[tokio::test]
async fn named_columns_go_and_the_others_stay_in_order() {
    assert_eq!(columns_left(json!({"columns": ["b"]})).await.expect("runs"), ["a", "c"]);
    assert_eq!(columns_left(json!({"columns": " c , a"})).await.expect("runs"), ["b"]);
}

#[tokio::test]
async fn an_unknown_name_is_refused_unless_ignored() {
    let fault = columns_left(json!({"columns": ["bb", "a", "ccc"]})).await.expect_err("refused");
    assert_eq!(fault.kind(), FaultKind::BadSchema);
    assert_eq!(fault.column_name(), Some("bb"));
    let places: Vec<&str> = fault.violations().iter().map(|one| one.pointer.as_str()).collect();
    assert_eq!(places, ["/columns/0", "/columns/2"]);
    let left = columns_left(json!({"columns": ["bb", "a"], "missing": "ignore"})).await.expect("runs");
    assert_eq!(left, ["b", "c"]);
}

#[tokio::test]
async fn a_table_without_columns_is_refused() {
    let fault = columns_left(json!({"columns": "a,b,c"})).await.expect_err("refused");
    assert_eq!(fault.kind(), FaultKind::BadSchema);
}
