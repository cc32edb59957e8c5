//! The ways of measuring, the groups, and what is done about outliers.

use arrow::array::{ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use flight_common::testing::{Bench, Ran, batch, make_batch};
use flight_common::{Fault, FaultKind};
use outliers::Outliers;
use serde_json::{Value, json};
use std::sync::Arc;

async fn run(params: Value, input: &RecordBatch) -> Ran {
    Bench::new().run(Outliers, params, std::slice::from_ref(input)).await.expect("runs")
}

async fn refused(params: Value, input: &RecordBatch) -> Fault {
    Bench::new().run(Outliers, params, std::slice::from_ref(input)).await.expect_err("refused")
}

/// 1 to 9, and 30: Q1 is 3.25 and Q3 7.75, so that the fences are at -3.5 and 14.5; the median is 5.5 and the MAD 2.5.
fn ten() -> RecordBatch {
    batch!("x" => Float64Array [1.0, 2.0, 3.0, 4.0, 30.0, 5.0, 6.0, 7.0, 8.0, 9.0])
}

fn floats(batch: &RecordBatch, place: usize) -> Vec<f64> {
    batch.column(place).as_primitive::<Float64Type>().values().to_vec()
}

#[tokio::test]
async fn a_value_beyond_the_fences_goes_though_its_z_score_is_small() {
    assert_eq!(run(json!({"column": "x"}), &ten()).await.rows().num_rows(), 10);
    let ran = run(json!({"column": "x", "method": "iqr"}), &ten()).await;
    assert_eq!(floats(&ran.rows(), 0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    assert_eq!((&ran.report.details["q1"], &ran.report.details["q3"]), (&json!(3.25), &json!(7.75)));
    assert_eq!(ran.report.counters["outliers_removed"], 1);
    let far = run(json!({"column": "x", "method": "iqr", "iqr_multiplier": 5.0}), &ten()).await;
    assert_eq!(far.rows().num_rows(), 10);
}

#[tokio::test]
async fn what_lies_far_from_the_others_is_found_however_large_or_small_all_are() {
    for unit in [1e-300, 1e200, 5e306] {
        let values: Vec<f64> = floats(&ten(), 0).into_iter().map(|value| value * unit).collect();
        let input = make_batch(vec![("x", Arc::new(Float64Array::from(values)) as ArrayRef)]);
        for params in [json!({"z_threshold": 2.5}), json!({"method": "iqr"}), json!({"method": "mad"})] {
            let mut all = json!({"column": "x"});
            all.as_object_mut().expect("a map").extend(params.as_object().expect("a map").clone());
            assert_eq!(run(all, &input).await.rows().num_rows(), 9, "{params} of {unit:e}");
        }
    }
}

#[tokio::test]
async fn the_modified_z_score_counts_deviations_from_the_median() {
    let ran = run(json!({"column": "x", "method": "mad"}), &ten()).await;
    assert_eq!(ran.rows().num_rows(), 9);
    assert_eq!((&ran.report.details["median"], &ran.report.details["mad"]), (&json!(5.5), &json!(2.5)));
    // 0.6745 * 24.5 / 2.5 = 6.6101
    for (threshold, rows) in [(6.61, 9), (6.611, 10)] {
        let ran = run(json!({"column": "x", "method": "mad", "mad_threshold": threshold}), &ten()).await;
        assert_eq!(ran.rows().num_rows(), rows, "{threshold}");
    }
}

#[tokio::test]
async fn clipped_values_lie_on_the_border_and_in_their_type() {
    let ran = run(json!({"column": "x", "method": "iqr", "action": "clip"}), &ten()).await;
    assert_eq!(floats(&ran.rows(), 0), [1.0, 2.0, 3.0, 4.0, 14.5, 5.0, 6.0, 7.0, 8.0, 9.0]);
    assert_eq!(ran.report.counters["outliers_clipped"], 1);

    let whole = cast(ten().column(0), &DataType::Int64).expect("whole numbers");
    let ran = run(json!({"column": "x", "method": "iqr", "action": "clip"}), &make_batch(vec![("x", whole)])).await;
    assert_eq!(ran.rows().column(0).as_primitive::<Int64Type>().value(4), 14, "rounded inwards");

    let units: Decimal128Array = (1..=9).map(|n| n * -11).chain([-3333]).map(Some).collect();
    let units = units.with_precision_and_scale(9, 2).expect("they fit");
    let input = make_batch(vec![("x", Arc::new(units) as ArrayRef)]);
    let ran = run(json!({"column": "x", "method": "iqr", "action": "clip"}), &input).await;
    // Q1 = -0.8525, Q3 = -0.3575, the lower fence -1.595.
    assert_eq!(ran.rows().column(0).as_primitive::<arrow::datatypes::Decimal128Type>().value_as_string(9), "-1.59");
    assert_eq!(ran.schema, input.schema());
}

#[tokio::test]
async fn an_encoded_column_is_clipped_and_stays_encoded() {
    let encoded = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Float64));
    let values: Float64Array = (0..40).map(|n| if n == 7 { 1e6 } else { f64::from(n % 5) }).collect();
    let mut builder = arrow::array::PrimitiveDictionaryBuilder::<arrow::datatypes::Int32Type, Float64Type>::new();
    values.iter().for_each(|value| builder.append_option(value));
    let input = make_batch(vec![("x", Arc::new(builder.finish()) as ArrayRef)]);
    let ran = run(json!({"column": "x", "method": "mad", "action": "clip"}), &input).await;
    assert_eq!(ran.schema.field(0).data_type(), &encoded);
    let rows = ran.rows();
    let plain = cast(rows.column(0), &DataType::Float64).expect("decoded");
    let highest = plain.as_primitive::<Float64Type>().values().iter().copied().fold(f64::MIN, f64::max);
    assert!((highest - (2.0 + 3.5 / 0.6745)).abs() < 1e-9, "{highest}");
}

#[tokio::test]
async fn flagged_values_stay_and_are_told_by_a_column_of_their_own() {
    let input = batch!(
        "x" => Float64Array [Some(1.0), Some(2.0), None, Some(3.0), Some(f64::NAN), Some(99.0)],
        "y" => Int64Array [5, 6, 7, 5, 6, -80],
    );
    let ran = run(json!({"columns": "x, y", "method": "mad", "action": "flag"}), &input).await;
    let rows = ran.rows();
    assert_eq!(rows.project(&[0, 1]).expect("there"), input);
    let last: ArrayRef = Arc::new(BooleanArray::from(vec![false, false, false, false, false, true]));
    assert_eq!((&rows["x_outlier"], &rows["y_outlier"]), (&last, &last));
    assert_eq!(ran.report.counters["outliers_flagged"], 2);
    assert_eq!(ran.report.details["columns"]["x"]["median"], json!(2.5));
    let twice = refused(json!({"column": "x", "action": "flag"}), &rows).await;
    assert_eq!((twice.kind(), twice.violations()[0].pointer.as_str()), (FaultKind::BadSchema, "/action"));
}

#[tokio::test]
async fn a_row_goes_if_any_of_its_columns_is_beyond() {
    let normal = |outlier: usize| (0..100).map(move |n| if n == outlier { 1e6 } else { f64::from((n % 10) as u8) });
    let input = batch!(
        "a" => Float64Array normal(3).collect::<Vec<f64>>(),
        "b" => Float64Array normal(8).collect::<Vec<f64>>(),
    );
    for method in ["z_score", "iqr", "mad"] {
        let ran = run(json!({"columns": ["a", "b"], "method": method}), &input).await;
        let kept: Vec<RecordBatch> = [0..3, 4..8, 9..100].map(|rows| input.slice(rows.start, rows.len())).to_vec();
        assert_eq!(ran.rows(), concat_batches(&input.schema(), &kept).expect("one schema"), "{method}");
    }
}

/// Two groups whose values mix: what is usual in one is far away in the other.
fn two_groups() -> RecordBatch {
    let row = |n: i64| match n % 2 {
        0 => (Some("small"), if n == 50 { 1000.0 } else { (n % 7) as f64 }),
        _ => (None, 1000.0 + (n % 5) as f64),
    };
    let rows: Vec<(Option<&str>, f64)> = (0..200).map(row).collect();
    let names: StringArray = rows.iter().map(|row| row.0).collect();
    let values: Float64Array = rows.iter().map(|row| Some(row.1)).collect();
    make_batch(vec![("group", Arc::new(names) as ArrayRef), ("x", Arc::new(values) as ArrayRef)])
}

#[tokio::test]
async fn each_group_is_measured_by_itself_and_nulls_are_one() {
    let input = two_groups();
    for method in ["z_score", "iqr", "mad"] {
        let params = json!({"column": "x", "method": method});
        let together = run(params, &input).await.rows();
        assert!(together.num_rows() == if method == "mad" { 101 } else { 200 }, "{method}: {}", together.num_rows());
        let params = json!({"column": "x", "method": method, "group_by": ["group"]});
        let kept = run(params.clone(), &input).await.rows();
        assert_eq!(kept.num_rows(), 199, "{method}");
        assert_eq!(kept.slice(50, 149), input.slice(51, 149), "{method}");
        for (memory, rows) in [(10_000, 1), (10_000, 13), (1 << 20, 200)] {
            let bench = Bench::new().memory(memory).batches_of(rows);
            let ran = bench.run(Outliers, params.clone(), std::slice::from_ref(&input)).await.expect("runs");
            assert_eq!(ran.rows(), kept, "{method}, {memory} bytes, batches of {rows}");
        }
    }
}

#[tokio::test]
async fn a_single_group_gives_what_no_group_gives() {
    let values: Vec<f64> = (0..3000).map(|n| (f64::from(n) * 12.9898).sin().powi(61) * 1e3).collect();
    let input = batch!("one" => Int64Array vec![1; 3000], "x" => Float64Array values);
    for method in ["z_score", "iqr", "mad"] {
        let without = run(json!({"column": "x", "method": method, "action": "clip"}), &input).await;
        let with = run(json!({"column": "x", "method": method, "action": "clip", "group_by": "one"}), &input).await;
        assert!(without.report.counters["outliers_clipped"] > 10);
        assert_eq!(with.rows(), without.rows(), "{method}");
    }
}

#[tokio::test]
async fn without_spread_nothing_is_an_outlier() {
    let mut mostly_equal = vec![5.0; 50];
    mostly_equal.extend([1.0, 1e9]);
    for values in [vec![], vec![7.0], vec![f64::NAN; 3], mostly_equal, vec![f64::NEG_INFINITY, f64::INFINITY, 1.0]] {
        let input = batch!("x" => Float64Array values);
        for method in ["iqr", "mad"] {
            for group_by in [json!([]), json!(["x"])] {
                let params = json!({"column": "x", "method": method, "group_by": group_by});
                assert_eq!(run(params, &input).await.rows().num_rows(), input.num_rows());
            }
        }
    }
}

#[tokio::test]
async fn parameters_that_do_not_fit_together_are_refused() {
    let input = batch!("x" => Int64Array [1], "name" => StringArray ["a"]);
    for (params, pointer) in [
        (json!({}), "/column"),
        (json!({"columns": []}), "/columns"),
        (json!({"column": "x", "columns": ["x"]}), "/columns"),
        (json!({"columns": ["x", "name"]}), "/columns/1"),
        (json!({"column": "x", "group_by": ["nam"]}), "/group_by/0"),
        (json!({"column": "x", "method": "iqr", "z_threshold": 2.0}), "/z_threshold"),
        (json!({"column": "x", "iqr_multiplier": 2.0}), "/iqr_multiplier"),
        (json!({"column": "x", "method": "mad", "mad_threshold": 0}), "/mad_threshold"),
        (json!({"column": "x", "method": "zscore"}), "/method"),
        (json!({"column": "x", "action": "drop"}), "/action"),
    ] {
        let fault = refused(params.clone(), &input).await;
        assert_eq!(fault.violations()[0].pointer, pointer, "{params}: {fault}");
    }
}
