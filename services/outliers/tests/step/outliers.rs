//! What `outliers` means.

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, NullArray, PrimitiveDictionaryBuilder,
    RecordBatch,
};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use flight_common::testing::{Bench, Ran, batch, make_batch, slices};
use flight_common::{BatchStream, Fault, FaultKind};
use futures::{StreamExt, stream};
use outliers::Outliers;
use serde_json::{Value, json};
use std::sync::Arc;

async fn run(bench: Bench, params: Value, input: &RecordBatch) -> Result<Ran, Fault> {
    bench.run(Outliers, params, std::slice::from_ref(input)).await
}

/// The numbers 0 to 9 over and over, with a 1000 in the middle, each beside its row number.
fn one_outlier(rows: usize) -> RecordBatch {
    let values: Vec<f64> = (0..rows).map(|row| if row == rows / 2 { 1000.0 } else { (row % 10) as f64 }).collect();
    let ids: Vec<i64> = (0..rows as i64).collect();
    batch!("id" => Int64Array ids, "x" => Float64Array values)
}

#[tokio::test]
async fn a_far_value_goes_and_the_others_stay_in_order() {
    let input = one_outlier(1000);
    let ran = run(Bench::new(), json!({"column": "x"}), &input).await.expect("runs");
    let ids: Vec<i64> = ran.rows().column(0).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(ids, (0..1000).filter(|id| *id != 500).collect::<Vec<i64>>());
    assert_eq!(ran.schema, input.schema());
    assert_eq!(ran.report.counters["outliers_removed"], 1);
    assert_eq!(ran.report.details["z_threshold"], json!(3.0));
    let mean = ran.report.details["mean"].as_f64().expect("a number");
    assert!((mean - 5.5).abs() < 1e-12, "{mean}");
}

#[tokio::test]
async fn a_value_at_exactly_the_threshold_stays() {
    // Mean 0, squares 4 over 4: the deviation of -1, -1, 1, 1, 0 is 1.
    let input = batch!("x" => Int64Array [-1, -1, 1, 1, 0]);
    let ran = run(Bench::new(), json!({"column": "x", "z_threshold": 1.0}), &input).await.expect("runs");
    assert_eq!(ran.rows(), input);
    let ran = run(Bench::new(), json!({"column": "x", "z_threshold": 0.999}), &input).await.expect("runs");
    assert_eq!(ran.rows(), batch!("x" => Int64Array [0]));
}

#[tokio::test]
async fn nulls_and_nan_are_not_measured_and_their_rows_stay() {
    let mut values: Vec<Option<f64>> = (0..40).map(|n| Some(f64::from(n % 2))).collect();
    values.extend([None, Some(f64::NAN), Some(1e6)]);
    let input = batch!("x" => Float64Array values);
    let ran = run(Bench::new(), json!({"column": "x"}), &input).await.expect("runs");
    let rows = ran.rows();
    let left = rows.column(0).as_primitive::<Float64Type>();
    assert_eq!((left.len(), left.null_count()), (42, 1));
    assert!(left.value(41).is_nan());
}

#[tokio::test]
async fn without_spread_nothing_is_removed() {
    for values in [vec![], vec![7.0], vec![7.0; 50], vec![f64::NAN; 3], vec![1.0, 2.0, f64::INFINITY, 1e300]] {
        let input = batch!("x" => Float64Array values);
        let ran = run(Bench::new(), json!({"column": "x", "z_threshold": 0.1}), &input).await.expect("runs");
        assert_eq!(ran.rows().num_rows(), input.num_rows());
        assert_eq!(ran.schema, input.schema());
        assert_eq!(ran.report.counters["outliers_removed"], 0);
    }
}

#[tokio::test]
async fn a_column_of_nothing_but_nulls_keeps_its_rows() {
    let untyped = make_batch(vec![("x", Arc::new(NullArray::new(3)) as ArrayRef)]);
    let typed = batch!("x" => Int64Array [None::<i64>, None]);
    for input in [untyped, typed] {
        assert_eq!(run(Bench::new(), json!({"column": "x"}), &input).await.expect("runs").rows(), input);
    }
}

#[tokio::test]
async fn integers_beyond_floats_and_decimals_leave_unchanged() {
    let large = (1i64 << 53) + 1;
    let decimals = Decimal128Array::from(vec![Some(12_345), None, Some(12_346), Some(12_345)]);
    let decimals = decimals.with_precision_and_scale(12, 2).expect("they fit");
    let input = make_batch(vec![
        ("n", Arc::new(Int64Array::from(vec![Some(large), None, Some(large + 2), Some(3)])) as ArrayRef),
        ("d", Arc::new(decimals)),
    ]);
    for column in ["n", "d"] {
        let ran = run(Bench::new(), json!({"column": column}), &input).await.expect("runs");
        assert_eq!(ran.rows(), input);
    }
    let ran = run(Bench::new(), json!({"column": "d", "z_threshold": 1.0}), &input).await.expect("runs");
    assert_eq!(ran.rows().num_rows(), 3, "the decimal 123.46 is gone, the null is not");
}

#[tokio::test]
async fn neither_the_cut_into_batches_nor_the_memory_changes_the_result() {
    let input = one_outlier(2000);
    let params = json!({"column": "x", "z_threshold": 0.05});
    let whole = run(Bench::new(), params.clone(), &input).await.expect("runs");
    assert!(whole.rows().num_rows() < 2000);
    for rows in [1, 7, 1999] {
        let cut = run(Bench::new().batches_of(rows), params.clone(), &input).await.expect("runs");
        assert_eq!(cut.rows(), whole.rows());
        assert_eq!(cut.report.details, whole.report.details);
        assert!(cut.batches.iter().all(|batch| batch.num_rows() > 0));
    }
    let tight = run(Bench::new().memory(10_000).batches_of(100), params, &input).await.expect("runs");
    assert_eq!(tight.rows(), whole.rows());
    assert!(tight.report.bytes_spilled > 0);
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused_when_planned() {
    let input = batch!("income" => Int64Array [1], "name" => StringArray ["a"], "ok" => BooleanArray [true]);
    let refused = async |params: Value| run(Bench::new(), params, &input).await.expect_err("refused");
    let fault = refused(json!({"column": "incom"})).await;
    assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadSchema, "/column"));
    assert!(fault.help_text().expect("a hint").contains("income"));
    for column in ["name", "ok"] {
        let fault = refused(json!({"column": column})).await;
        assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some(column)));
    }
    for threshold in [json!(0), json!(-3.0), json!("three")] {
        let fault = refused(json!({"column": "income", "z_threshold": threshold})).await;
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadParams, "/z_threshold"));
    }
}

#[tokio::test]
async fn a_fault_upstream_comes_out_as_a_fault() {
    let input = one_outlier(100);
    let cut_short = slices(&input, 10).chain(stream::once(async { Err(Fault::upstream("the source is gone")) }));
    let cut_short = BatchStream::new(input.schema(), cut_short);
    let fault = Bench::new().run_streams(Outliers, json!({"column": "x"}), vec![cut_short]).await.expect_err("fails");
    assert_eq!(fault.kind(), FaultKind::Upstream);
}

#[tokio::test]
async fn dictionaries_of_numbers_keep_their_type() {
    let plain: ArrayRef = Arc::new(Float64Array::from_iter_values((0..50).map(|n| if n == 9 { 1e9 } else { 1.0 })));
    let wanted = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Float64));
    let mut builder = PrimitiveDictionaryBuilder::<Int32Type, Float64Type>::new();
    plain.as_primitive::<Float64Type>().iter().for_each(|value| builder.append_option(value));
    let input = make_batch(vec![("x", Arc::new(builder.finish()) as ArrayRef)]);
    assert_eq!(input.schema().field(0).data_type(), &wanted);
    let ran = run(Bench::new(), json!({"column": "x"}), &input).await.expect("runs");
    assert_eq!((ran.rows().num_rows(), ran.schema.field(0).data_type()), (49, &wanted));
}
