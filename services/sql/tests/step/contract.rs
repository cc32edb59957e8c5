//! `sql` keeps the contract of steps.

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::Int64Type;
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use flight_common::testing::make_batch;
use serde_json::json;
use sql::Sql;
use std::sync::Arc;

fn case(query: &str) -> ContractCase {
    ContractCase::new(json!({"query": query}), concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).memory(1 << 20)
}

/// Rows without a dictionary. DataFusion counts one with each batch that shares it, and within so little memory as here
/// batches are of some dozen rows.
fn plain(rows: usize) -> RecordBatch {
    let mut rows = awkward(rows);
    rows.remove_column(rows.schema().index_of("word").expect("it is there"));
    rows
}

/// Rows of few columns with long texts: not many of them are ten times the memory.
fn long(rows: usize) -> RecordBatch {
    let rows = awkward(rows);
    let names = rows["name"].as_string::<i32>().iter().map(|name| name.map(|name| name.repeat(30)));
    let names: ArrayRef = Arc::new(names.collect::<StringArray>());
    let mut columns: Vec<_> = ["id", "group", "amount"].map(|name| (name, rows[name].clone())).into();
    columns.push(("name", names));
    make_batch(columns)
}

#[tokio::test]
async fn rows_that_only_pass_keep_their_values() {
    let case = case("SELECT * FROM input WHERE id % 2 = 0").input(awkward(60));
    assert_kept(
        Sql,
        case.keeps_apart(|inputs, output| {
            let order = SortColumn { values: output["id"].clone(), options: None };
            let order = lexsort_to_indices(&[order], None).map_err(|error| error.to_string())?;
            let output = take_record_batch(output, &order).map_err(|error| error.to_string())?;
            let wanted = take_record_batch(&inputs[0], output["id"].as_primitive::<Int64Type>());
            let wanted = wanted.map_err(|error| error.to_string())?;
            if wanted == output && output.num_rows() == 30 { Ok(()) } else { Err(format!("{output:?}")) }
        }),
    )
    .await;
}

#[tokio::test]
async fn groups_keep_the_contract() {
    let query = "SELECT id % 10000 AS g, count(*) AS n, max(price) AS p, min(name) AS a FROM input GROUP BY id % 10000";
    assert_kept(Sql, case(query).input(awkward(60))).await;
}

#[tokio::test]
async fn sorts_keep_the_contract() {
    let query = "SELECT * FROM input ORDER BY name DESC, price, amount, id";
    assert_kept(Sql, case(query).input(awkward(60))).await;
}

#[tokio::test]
async fn windows_keep_the_contract() {
    let query = "SELECT id, price, sum(price) OVER (PARTITION BY id % 500) AS whole, \
                 count(*) OVER (PARTITION BY \"group\" ORDER BY id, price ROWS 3 PRECEDING) AS near FROM input";
    assert_kept(Sql, case(query).input(plain(60)).larger(vec![plain(160_000)])).await;
}

#[tokio::test]
async fn joins_of_a_large_and_a_small_input_keep_the_contract() {
    let query = "SELECT l.*, r.name AS other FROM l JOIN r ON l.id = r.id";
    assert_kept(Sql, case(query).input_called("l", awkward(60)).input_called("r", awkward(40))).await;
}

#[tokio::test]
async fn joins_of_two_large_inputs_keep_the_contract() {
    let query = "SELECT l.*, r.name AS other FROM l LEFT JOIN r ON l.id = r.id AND l.\"group\" = r.\"group\"";
    let large = long(92_000);
    // Four sorts at a time: with many cores, a batch for each partition of each is more than 1 MiB can hold.
    let case = case(query).memory(2 << 20).input_called("l", long(60)).input_called("r", long(40));
    assert_kept(Sql, case.larger(vec![large.clone(), large.slice(10_000, 54_000)])).await;
}

#[tokio::test]
async fn an_input_that_is_read_twice_keeps_the_contract() {
    let query = "SELECT id, name FROM input WHERE id % 3 = 0 UNION ALL SELECT count(*), 'all' FROM input";
    assert_kept(Sql, case(query).input(awkward(60))).await;
}
