//! What holds for every strategy.

use crate::support::{missing, mixed, run};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter;
use clean_nan::CleanNan;
use flight_common::testing::{Bench, slices};
use flight_common::{BatchStream, Fault, FaultKind};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

const FILLABLE: [&str; 11] =
    ["i64", "i8", "f64", "f32", "bool", "date", "time", "decimal", "text", "view", "dictionary"];

fn every_strategy() -> Vec<Value> {
    let values = json!({
        "i64": 9007199254740993i64, "i8": -3, "f64": 0.1, "f32": 0.5, "bool": true, "date": "2024-02-29",
        "time": "2024-02-29T12:00:00Z", "decimal": 12.34, "text": "unknown", "view": "an unknown and rather long text",
        "dictionary": "unknown", "null": 1,
    });
    vec![
        json!({"columns": FILLABLE}),
        json!({"strategy": "fill_mean"}),
        json!({"strategy": "fill_median"}),
        json!({"strategy": "fill_mode"}),
        json!({"strategy": "fill_value", "fill_value": values}),
        json!({"strategy": "ffill"}),
        json!({"strategy": "bfill"}),
        json!({"strategy": "interpolate"}),
        json!({"strategy": "fill_mode", "strategies": {
            "i64": "fill_median", "f64": "fill_mean", "decimal": "interpolate", "text": "ffill", "view": "bfill",
            "bool": "fill_value",
        }, "fill_value": {"bool": true}}),
    ]
}

/// The rows of `column` in which `before` misses nothing.
fn what_was_there(before: &ArrayRef, column: &ArrayRef) -> ArrayRef {
    let there = BooleanArray::from_iter((0..before.len()).map(|row| Some(missing(&before.slice(row, 1)) == 0)));
    filter(column, &there).expect("filters")
}

#[tokio::test]
async fn types_and_columns_survive_and_what_was_there_is_untouched() {
    let input = mixed(500);
    for params in &every_strategy()[1..] {
        let ran = run(Bench::new(), params.clone(), &input).await.expect("runs");
        let rows = ran.rows();
        assert_eq!(ran.schema, input.schema());
        assert_eq!(rows.num_rows(), 500, "{params}");
        for name in ["id", "none", "null", "all"] {
            assert_eq!(rows.column_by_name(name), input.column_by_name(name), "{name} with {params}");
        }
        for (before, after) in input.columns().iter().zip(rows.columns()) {
            assert_eq!(&what_was_there(before, before), &what_was_there(before, after), "{params}");
        }
        let filled: usize =
            input.columns().iter().map(missing).sum::<usize>() - rows.columns().iter().map(missing).sum::<usize>();
        assert!(filled > 0, "{params}");
        assert_eq!(ran.report.counters["nulls_filled"], filled as u64, "{params}");
    }
}

#[tokio::test]
async fn how_rows_are_cut_into_batches_does_not_show() {
    let input = mixed(300);
    for params in every_strategy() {
        let whole = run(Bench::new(), params.clone(), &input).await.expect("runs");
        for rows in [1, 7, 299] {
            let cut = run(Bench::new().batches_of(rows), params.clone(), &input).await.expect("runs");
            assert_eq!(cut.rows(), whole.rows(), "{params} by {rows}");
            assert_eq!(cut.report.counters, whole.report.counters, "{params} by {rows}");
            assert_eq!(cut.report.details, whole.report.details, "{params} by {rows}");
            assert!(cut.batches.iter().all(|batch| batch.num_rows() > 0));
        }
    }
}

#[tokio::test]
async fn with_little_memory_the_result_is_the_same() {
    let input = mixed(2000);
    for params in every_strategy() {
        let ample = run(Bench::new().batches_of(100), params.clone(), &input).await.expect("runs");
        let tight = run(Bench::new().batches_of(100).memory(10_000), params.clone(), &input).await.expect("runs");
        assert_eq!(tight.rows(), ample.rows(), "{params}");
        assert_eq!(ample.report.bytes_spilled, 0);
        let streams = matches!(params["strategy"].as_str(), None | Some("fill_value" | "ffill"));
        assert_eq!(tight.report.bytes_spilled == 0, streams, "{params}");
    }
}

#[tokio::test]
async fn no_rows_give_the_planned_schema() {
    let input = mixed(0);
    for params in every_strategy() {
        let ran = run(Bench::new(), params, &input).await.expect("runs");
        assert_eq!((ran.schema.clone(), ran.rows().num_rows()), (input.schema(), 0));
    }
}

#[tokio::test]
async fn a_fault_upstream_comes_out_as_a_fault() {
    let input = mixed(100);
    for params in every_strategy() {
        let cut_short = slices(&input, 10).chain(stream::once(async { Err(Fault::upstream("the source is gone")) }));
        let cut_short = BatchStream::new(input.schema(), cut_short);
        let fault = Bench::new().run_streams(CleanNan, params.clone(), vec![cut_short]).await.expect_err("fails");
        assert_eq!(fault.kind(), FaultKind::Upstream, "{params}");
    }
}

#[tokio::test]
async fn a_table_that_misses_nothing_passes_through() {
    let input: RecordBatch = mixed(100).project(&[0, 14]).expect("two columns");
    for params in every_strategy() {
        let params =
            json!({"strategy": params.get("strategy").filter(|name| *name != "fill_value").unwrap_or(&json!("drop"))});
        let ran = run(Bench::new(), params, &input).await.expect("runs");
        assert_eq!(ran.rows(), input);
        assert!(ran.report.counters.values().all(|count| *count == 0));
    }
}
