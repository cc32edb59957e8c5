//! A join within less memory than its rows take: the same rows, by way of the disk.

use crate::support::{given_back, run, sorted_rows, until};
use arrow::array::{Int64Array, RecordBatch, StringArray};
use flight_common::testing::{Bench, make_batch};
use flight_common::{BatchStream, Fault, FaultKind, MemoryBudget};
use futures::{StreamExt, stream};
use join::Join;
use serde_json::{Value, json};
use std::sync::Arc;

const TYPES: [&str; 6] = ["inner", "left", "right", "outer", "semi", "anti"];

/// Rows with these keys, and a number and a text of their own.
fn side(name: &str, keys: impl Iterator<Item = i64>) -> RecordBatch {
    let keys: Vec<Option<i64>> = keys.map(|key| (key % 101 != 0).then_some(key)).collect();
    let rows = keys.len() as i64;
    let texts = StringArray::from_iter_values((0..rows).map(|row| format!("{name} {row}")));
    make_batch(vec![
        ("id", Arc::new(Int64Array::from(keys))),
        ("n", Arc::new(Int64Array::from_iter_values(0..rows))),
        (name, Arc::new(texts)),
    ])
}

fn params(join_type: &str) -> Value {
    json!({"join_key": "id", "join_type": join_type})
}

/// The rows are those of a join with memory to spare, something was spilled, and the budget was kept.
async fn same_within(memory: usize, join_type: &str, left: &RecordBatch, right: &RecordBatch) -> u64 {
    let ample = run(&Bench::new(), params(join_type), left, right).await.expect("it runs");
    assert_eq!(ample.report.details["strategy"], "hash");
    let bench = Bench::new().memory(memory);
    let tight = run(&bench, params(join_type), left, right).await.expect("it runs within little memory");
    assert_eq!(sorted_rows(&tight.rows()), sorted_rows(&ample.rows()), "{join_type}");
    assert!(tight.report.bytes_spilled > 0, "{join_type}");
    let budget = bench.env.space.budget();
    assert!(budget.peak() <= memory, "{join_type}: {} of {memory}", budget.peak());
    given_back(budget).await;
    assert!(tight.batches.iter().all(|batch| batch.num_rows() > 0));
    tight.report.counters.get("pairs_joined_in_blocks").copied().unwrap_or_default()
}

#[tokio::test]
async fn large_sides_give_the_same_rows_within_4_mib() {
    let (left, right) = (side("l", (0..200_000).map(|n| n * 7 % 200_003)), side("r", (0..200_000).map(|n| n * 3)));
    for join_type in ["inner", "outer"] {
        same_within(4 << 20, join_type, &left, &right).await;
    }
}

#[tokio::test]
async fn less_memory_deals_out_again() {
    let (left, right) = (side("l", (0..60_000).map(|n| n % 50_000)), side("r", 20_000..80_000));
    for join_type in TYPES {
        same_within(256 << 10, join_type, &left, &right).await;
    }
    same_within(1 << 20, "outer", &left, &right).await;
}

#[tokio::test]
async fn a_small_left_side_makes_the_table_though_the_right_one_does_not_fit() {
    let (left, right) = (side("l", (0..500).map(|n| n * 11)), side("r", 0..60_000));
    for join_type in TYPES {
        let bench = Bench::new().memory(1 << 20);
        let ran = run(&bench, params(join_type), &left, &right).await.expect("it runs");
        let ample = run(&Bench::new(), params(join_type), &left, &right).await.expect("it runs");
        assert_eq!(sorted_rows(&ran.rows()), sorted_rows(&ample.rows()), "{join_type}");
        assert_eq!(ran.report.details["strategy"], "hash");
        assert!(bench.env.space.budget().peak() <= 1 << 20);
    }
}

#[tokio::test]
async fn one_key_in_most_rows_of_a_side_does_no_harm() {
    let skewed = |rows: i64| (0..rows).map(|n| if n % 20 == 0 { n } else { 7 });
    // The heavy key is on one side in 47,500 rows and on the other in 3.
    let (many, few) = (side("l", skewed(50_000)), side("r", (0..50_000).chain([7, 7])));
    same_within(1 << 20, "outer", &many, &few).await;
    same_within(1 << 20, "left", &few, &many).await;
}

#[tokio::test]
async fn one_key_in_all_rows_of_both_sides_is_joined_in_blocks() {
    let (left, right) = (side("l", (0..600).map(|_| 7)), side("r", (0..200).map(|n| if n == 3 { 0 } else { 7 })));
    for join_type in TYPES {
        let blocks = same_within(16 << 10, join_type, &left, &right).await;
        assert!(blocks > 0, "{join_type}");
    }
}

#[tokio::test]
async fn null_keys_do_not_crowd_one_partition() {
    let nulls = |name| side(name, (0..60_000).map(|n| if n % 10 == 0 { n + 1 } else { 0 }));
    assert_eq!(same_within(1 << 20, "outer", &nulls("l"), &nulls("r")).await, 0);
}

#[tokio::test]
async fn a_join_goes_on_while_others_hold_all_memory() {
    let (left, right) = (side("l", 0..50_000), side("r", 25_000..75_000));
    let bench = Bench::new().memory(8 << 20);
    let others = bench.env.space.budget().try_reserve(8 << 20);
    assert!(others.is_some());
    let ran = run(&bench, params("inner"), &left, &right).await.expect("it runs");
    assert_eq!(ran.report.rows_out, 24_752);
    assert!(bench.env.space.budget().peak() <= (8 << 20) + (1 << 20));
}

#[tokio::test]
async fn memory_that_comes_free_between_the_sides_changes_no_row() {
    let (left, right) = (side("l", 0..50_000), side("r", 25_000..75_000));
    for (join_type, rows) in [("inner", 24_752), ("anti", 25_248), ("semi", 24_752)] {
        let bench = Bench::new().memory(1 << 20);
        let mut others = bench.env.space.budget().try_reserve(700 << 10);
        assert!(others.is_some());
        let left = flight_common::testing::slices(&left, 1000)
            .wrap(move |batches| batches.inspect(move |_| drop(others.take())));
        let inputs = vec![left, flight_common::testing::slices(&right, 1000)];
        let ran = bench.run_streams(Join, params(join_type), inputs).await.expect("it runs");
        assert_eq!((ran.report.rows_out, ran.rows().num_rows()), (rows, rows as usize), "{join_type}");
    }
}

#[tokio::test]
async fn a_row_larger_than_the_memory_passes() {
    let long = "x".repeat(300_000);
    let texts = StringArray::from_iter_values((0..6).map(|n| format!("{n}{long}")));
    let batch = make_batch(vec![("id", Arc::new(Int64Array::from_iter_values(0..6))), ("text", Arc::new(texts))]);
    let ran = run(&Bench::new().memory(64 << 10), params("outer"), &batch, &batch).await.expect("it runs");
    assert_eq!(sorted_rows(&ran.rows()).len(), 6);
}

#[tokio::test]
async fn a_fault_upstream_comes_out_of_a_join_on_disk() {
    let (left, right) = (side("l", 0..50_000), side("r", 0..50_000));
    let fails = |batch: &RecordBatch| {
        flight_common::testing::slices(batch, 1000).wrap(|rows| rows.chain(stream::iter([Err(Fault::upstream("cut"))])))
    };
    let whole = |batch: &RecordBatch| flight_common::testing::slices(batch, 1000);
    for inputs in [vec![fails(&left), whole(&right)], vec![whole(&left), fails(&right)]] {
        let bench = Bench::new().memory(1 << 20);
        let fault = bench.run_streams(Join, params("outer"), inputs).await.expect_err("it fails");
        assert_eq!((fault.kind(), fault.message()), (FaultKind::Upstream, "cut"));
        given_back(bench.env.space.budget()).await;
    }
}

#[tokio::test]
async fn a_full_disk_is_a_clear_fault() {
    let (left, right) = (side("l", 0..50_000), side("r", 0..50_000));
    let mut bench = Bench::new();
    bench.env.space = flight_common::SpillSpace::new(MemoryBudget::new(64 << 10), std::env::temp_dir(), 100 << 10);
    let fault = run(&bench, params("inner"), &left, &right).await.expect_err("no disk");
    assert_eq!(fault.kind(), FaultKind::Busy);
}

/// Counts the streams that are still there.
fn watched(batch: &RecordBatch, there: &Arc<()>) -> BatchStream {
    let there = there.clone();
    let endless = stream::repeat(batch.clone()).map(move |batch| {
        let _there = &there;
        Ok(batch)
    });
    BatchStream::new(batch.schema(), endless)
}

#[tokio::test]
async fn dropping_the_output_drops_the_inputs() {
    use flight_common::{InputSchemas, Registry, drive::drive};
    let (left, right) = (side("l", 0..1000), side("r", 0..1000));
    let there = Arc::new(());
    let bench = Bench::new();
    let registry = Registry::new().with(Join);
    let schemas = InputSchemas::new(vec![left.schema(), right.schema()]);
    let planned =
        registry.find("join").expect("there").plan(&params("inner"), &schemas, &bench.env).await.expect("planned");
    let right = BatchStream::from_batches(right.schema(), vec![right]);
    let mut driven = drive(planned, vec![watched(&left, &there), right], &bench.env, "run", &[]).expect("started");
    let mut output = driven.outputs.remove(0).expect("the output");
    let first = flight_common::compute::spawn(async move { (output.next().await, output) });
    let (first, output) = first.await.expect("no panic");
    assert!(first.is_some_and(|batch| batch.is_ok()));
    drop(output);
    until("the inputs are dropped", || Arc::strong_count(&there) == 1).await;
}
