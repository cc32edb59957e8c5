//! A join whose build side is dealt out to many hash tables gives the rows of a join with one.

use crate::support::{given_back, run};
use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use flight_common::testing::{Bench, make_batch, slices};
use flight_common::{Fault, FaultKind};
use futures::{StreamExt, stream};
use join::Join;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// More rows than go into one table.
const ROWS: i64 = 140_000;

/// The keys, times `spread`, and a number for each row. Keys that are spread out go to many tables, others to one.
fn side(name: &str, keys: impl Iterator<Item = i64>, spread: i64) -> RecordBatch {
    let keys: Int64Array = keys.map(|key| (key % 101 != 0).then_some(key * spread)).collect();
    let rows = keys.len() as i64;
    make_batch(vec![("id", Arc::new(keys)), (name, Arc::new(Int64Array::from_iter_values(0..rows)))])
}

fn sides(spread: i64) -> [RecordBatch; 2] {
    [side("l", (0..ROWS).map(|n| n % 100_000), spread), side("r", (0..ROWS).map(|n| n + 50_000), spread)]
}

fn params(join_type: &str, nulls: bool) -> Value {
    json!({"join_key": "id", "join_type": join_type, "null_equals_null": nulls})
}

/// The rows but for the key, sorted.
fn numbers(rows: &RecordBatch) -> Vec<Vec<Option<i64>>> {
    let columns: Vec<_> = rows.columns()[1..].iter().map(|column| column.as_primitive::<Int64Type>()).collect();
    let value = |column: &Int64Array, row| column.is_valid(row).then(|| column.value(row));
    let row = |row| columns.iter().map(|column| value(column, row)).collect();
    let mut rows: Vec<Vec<Option<i64>>> = (0..rows.num_rows()).map(row).collect();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn many_tables_give_the_rows_of_one() {
    let ([dense_left, dense_right], [left, right]) = (sides(1), sides(1_000_003));
    for join_type in ["inner", "left", "right", "outer", "semi", "anti"] {
        let one = run(&Bench::new(), params(join_type, false), &dense_left, &dense_right).await.expect("it runs");
        let many = run(&Bench::new(), params(join_type, false), &left, &right).await.expect("it runs");
        assert_eq!(many.report.details["strategy"], "hash");
        assert!(numbers(&many.rows()) == numbers(&one.rows()), "{join_type}");
    }
}

#[tokio::test]
async fn null_keys_meet_in_one_of_many_tables_if_they_match() {
    let [left, right] = sides(1_000_003);
    let right = right.slice(0, 10_000);
    let ran = run(&Bench::new(), params("semi", true), &right, &left).await.expect("it runs");
    let nulls = |batch: &RecordBatch| batch.column(0).null_count();
    assert!(nulls(&right) > 0);
    assert_eq!(nulls(&ran.rows()), nulls(&right));
}

#[tokio::test]
async fn a_fault_upstream_comes_out_of_many_tables() {
    for join_type in ["inner", "left", "outer"] {
        let [left, right] = sides(1_000_003).map(|side| slices(&side, 10_000));
        let left = left.wrap(|rows| rows.chain(stream::iter([Err(Fault::upstream("cut"))])));
        let bench = Bench::new();
        let fault = bench.run_streams(Join, params(join_type, false), vec![left, right]).await.expect_err("it fails");
        assert_eq!((fault.kind(), fault.message()), (FaultKind::Upstream, "cut"));
        given_back(bench.env.space.budget()).await;
    }
}

#[tokio::test]
async fn tables_without_rows_hold_nobody_up() {
    // Three keys in all rows of the right side: most tables are empty, and done at once.
    let left = side("l", 1..200_000, 1_000_003);
    let right = side("r", (0..ROWS).map(|n| [7, 500_000, 600_000][(n % 3) as usize]), 1_000_003);
    for (join_type, rows) in [("inner", 46_667), ("left", 246_665), ("right", ROWS), ("semi", 1), ("anti", 199_998)] {
        let bench = Bench::new();
        let params = params(join_type, false);
        let ran = tokio::time::timeout(Duration::from_secs(60), run(&bench, params, &left, &right));
        let ran = ran.await.expect("it ends").expect("it runs");
        assert_eq!(ran.report.rows_out, rows as u64, "{join_type}");
    }
}
