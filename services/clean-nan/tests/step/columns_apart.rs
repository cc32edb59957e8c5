//! Strategies of single columns, other spellings of null, and numbers put in between.

use crate::support::{cleaned, column, run};
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, Schema};
use flight_common::FaultKind;
use flight_common::testing::{Bench, batch, make_batch};
use serde_json::json;
use std::sync::Arc;

fn people() -> RecordBatch {
    batch!(
        "id" => Int64Array [Some(1), None, Some(3), Some(4), Some(5)],
        "age" => Int64Array [Some(20), Some(99), None, Some(30), Some(31)],
        "city" => StringArray [Some("Ulm"), Some("Ulm"), None, None, Some("Bonn")],
        "pay" => Float64Array [Some(1.0), Some(7.0), None, None, Some(4.0)],
    )
}

#[tokio::test]
async fn each_column_has_its_own_strategy_and_rows_are_dropped_first() {
    let strategies = json!({"id": "drop", "age": "fill_median", "city": "ffill", "pay": "interpolate"});
    let ran = run(Bench::new(), json!({"strategies": strategies}), &people()).await.expect("runs");
    let wanted = batch!(
        "id" => Int64Array [1, 3, 4, 5],
        "age" => Int64Array [20, 30, 30, 31],
        "city" => StringArray ["Ulm", "Ulm", "Ulm", "Bonn"],
        "pay" => Float64Array [1.0, 2.0, 3.0, 4.0],
    );
    assert_eq!(ran.rows(), wanted);
    assert_eq!((ran.report.counters["rows_dropped"], ran.report.counters["nulls_filled"]), (1, 5));
    assert_eq!(ran.report.details["fill_values"], json!({"age": 30}));
}

#[tokio::test]
async fn other_columns_stay_unless_a_strategy_is_given_for_them() {
    let input = people();
    let alone = cleaned(json!({"strategies": {"age": "fill_mode"}}), &input).await;
    assert_eq!((alone["age"].null_count(), alone.num_rows(), &alone["city"]), (0, 5, &input["city"]));
    let others = cleaned(json!({"strategies": {"age": "fill_mode"}, "strategy": "ffill"}), &input).await;
    assert!(others.columns().iter().all(|column| column.null_count() == 0));
    let some = cleaned(json!({"strategies": {"age": "fill_mode"}, "columns": ["id"]}), &input).await;
    assert_eq!((some.num_rows(), some["city"].null_count()), (4, 2), "rows without an id are dropped");
    let figures = json!({"strategies": {"age": "fill_mean", "pay": "fill_median", "city": "fill_mode"}});
    let ran = run(Bench::new(), figures, &input).await.expect("runs");
    assert_eq!(ran.report.details["fill_values"], json!({"age": 45, "pay": 4.0, "city": "Ulm"}));
}

#[tokio::test]
async fn values_are_given_for_the_columns_that_want_one() {
    let params = json!({
        "strategies": {"city": "fill_value", "id": "fill_value", "age": "bfill"}, "fill_value": {"city": "?", "id": 0},
    });
    let rows = cleaned(params, &people()).await;
    assert_eq!(rows["city"].as_string::<i32>().value(2), "?");
    assert_eq!(rows["id"].null_count() + rows["age"].null_count(), 0);
    assert_eq!(rows["pay"].null_count(), 2);
}

#[tokio::test]
async fn texts_and_numbers_may_be_spellings_of_null() {
    let input = batch!(
        "name" => StringArray [Some(""), Some("  "), Some("n/a"), Some(" N/A"), Some("Ada"), None],
        "n" => Int64Array [Some(-999), Some(0), Some(1), None, Some(999), Some(-999)],
    );
    let params = json!({"strategy": "keep", "nulls": ["", "n/a", -999]});
    let ran = run(Bench::new(), params, &input).await.expect("runs");
    let wanted = batch!(
        "name" => StringArray [None, None, None, Some(" N/A"), Some("Ada"), None],
        "n" => Int64Array [None, Some(0), Some(1), None, Some(999), None],
    );
    assert_eq!((ran.rows(), ran.report.counters["nulls_found"]), (wanted, 5));
    let filled = cleaned(json!({"strategy": "fill_value", "fill_value": {"n": 5}, "nulls": [-999]}), &input).await;
    let wanted: ArrayRef = Arc::new(Int64Array::from(vec![5, 0, 1, 5, 999, 5]));
    assert_eq!(&filled["n"], &wanted);
    let median = cleaned(json!({"strategy": "fill_median", "nulls": ["", -999]}), &input).await;
    assert_eq!((median["n"].null_count(), median["name"].null_count()), (0, 3), "texts have no median");
    let complete = cleaned(json!({"nulls": ["", "n/a", -999]}), &input).await;
    assert_eq!(complete, input.slice(4, 1));
}

#[tokio::test]
async fn encoded_columns_and_columns_without_nulls_may_get_some() {
    let words: ArrayRef = Arc::new(StringArray::from(vec!["a", "-", "b", "-"]));
    for wanted in [
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
        DataType::Utf8View,
        DataType::LargeUtf8,
    ] {
        let words = cast(&words, &wanted).expect("texts");
        let schema = Arc::new(Schema::new(vec![Field::new("x", wanted.clone(), false)]));
        let input = RecordBatch::try_new(schema, vec![words]).expect("fits");
        let ran = run(Bench::new(), json!({"strategy": "keep", "nulls": ["-"]}), &input).await.expect("runs");
        assert!(ran.schema.field(0).is_nullable());
        assert_eq!((ran.schema.field(0).data_type(), ran.rows().column(0).logical_null_count()), (&wanted, 2));
    }
}

#[tokio::test]
async fn numbers_lie_in_proportion_to_the_rows_between() {
    let floats = |values: &[Option<f64>]| Float64Array::from(values.to_vec());
    let interpolate = || json!({"strategy": "interpolate"});
    let given = floats(&[None, Some(1.0), None, Some(f64::NAN), None, Some(3.0), None]);
    let filled = column(interpolate(), given).await;
    let wanted = floats(&[None, Some(1.0), Some(1.5), Some(2.0), Some(2.5), Some(3.0), None]);
    assert_eq!(&filled, &(Arc::new(wanted) as ArrayRef));
    let large = (1i64 << 53) + 1;
    let whole =
        column(interpolate(), Int64Array::from(vec![Some(large), None, Some(large + 2), None, None, Some(large)]));
    let wanted: ArrayRef = Arc::new(Int64Array::from_iter_values([0, 1, 2, 1, 1, 0].map(|n| large + n)));
    assert_eq!(&whole.await, &wanted, "5/3 to 1, and 2/3 to 1");
    let cents = Decimal128Array::from(vec![Some(100), None, None, Some(200)]).with_precision_and_scale(38, 2);
    let cents = column(interpolate(), cents.expect("they fit")).await;
    assert_eq!(cents.as_primitive::<Decimal128Type>().values().to_vec(), [100, 133, 167, 200]);
    let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(1), None, Some(3)]));
    let kept = cleaned(interpolate(), &make_batch(vec![("x", days.clone())])).await;
    assert_eq!(kept.column(0), &days, "only numbers");
}

#[tokio::test]
async fn a_gap_over_many_batches_is_bridged_in_little_memory() {
    let rows = 5000;
    let given: Vec<Option<i64>> = (0..rows).map(|row| (row == 0 || row == rows - 1).then_some(row)).collect();
    let input = batch!("x" => Int64Array given, "id" => Int64Array (0..rows).collect::<Vec<i64>>());
    for (memory, size) in [(1000, 100), (1 << 20, 1), (1 << 20, 5000)] {
        let bench = Bench::new().memory(memory).batches_of(size);
        let ran = run(bench, json!({"strategy": "interpolate"}), &input).await.expect("runs");
        assert_eq!(&ran.rows()["x"], &input["id"], "{memory} bytes, batches of {size}");
    }
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused() {
    for (params, kind, pointer) in [
        (json!({"strategies": {"agee": "drop"}}), FaultKind::BadSchema, "/strategies/agee"),
        (json!({"strategies": {"city": "fill_mean"}}), FaultKind::BadSchema, "/strategies/city"),
        (json!({"strategies": {"city": "interpolate"}}), FaultKind::BadSchema, "/strategies/city"),
        (json!({"strategies": {"city": "fill_value"}}), FaultKind::BadParams, "/strategies/city"),
        (json!({"strategies": {"age": "fill_value"}, "fill_value": "x"}), FaultKind::BadParams, "/fill_value"),
        (
            json!({"strategies": {"age": "fill_value"}, "fill_value": {"age": 1, "id": 2}}),
            FaultKind::BadParams,
            "/fill_value/id",
        ),
        (json!({"nulls": ["-", true]}), FaultKind::BadParams, "/nulls/1"),
        (json!({"columns": ["age"], "nulls": ["-"]}), FaultKind::BadParams, "/nulls/0"),
        (json!({"columns": ["age"], "nulls": [1.5]}), FaultKind::BadParams, "/nulls/0"),
    ] {
        let fault = run(Bench::new(), params.clone(), &people()).await.expect_err("refused");
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (kind, pointer), "{params}: {fault}");
    }
}
