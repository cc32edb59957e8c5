//! Mean, median and mode.

use crate::support::{cleaned, column, missing, mixed, run};
use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int8Type, Int64Type, UInt64Type};
use flight_common::testing::{Bench, batch, make_batch};
use serde_json::json;
use std::sync::Arc;

fn mean() -> serde_json::Value {
    json!({"strategy": "fill_mean"})
}

fn median() -> serde_json::Value {
    json!({"strategy": "fill_median"})
}

fn mode() -> serde_json::Value {
    json!({"strategy": "fill_mode"})
}

#[tokio::test]
async fn numbers_get_the_mean_and_other_columns_are_untouched() {
    let input = batch!(
        "x" => Float64Array [Some(1.0), None, Some(f64::NAN), Some(4.0)],
        "n" => Int64Array [Some(1), Some(2), None, Some(2)],
        "s" => StringArray [Some("a"), None, Some("b"), None],
        "none" => Float64Array [None::<f64>; 4],
    );
    let ran = run(Bench::new(), mean(), &input).await.expect("runs");
    let rows = ran.rows();
    assert_eq!(rows.column(0).as_primitive::<Float64Type>().values(), &[1.0, 2.5, 2.5, 4.0]);
    assert_eq!(rows.column(1).as_primitive::<Int64Type>().values(), &[1, 2, 2, 2], "5/3 is nearest to 2");
    assert_eq!((rows.column(2), rows.column(3)), (input.column(2), input.column(3)));
    assert_eq!(ran.report.details["fill_values"], json!({"x": 2.5, "n": 2}));
    assert_eq!(ran.report.counters["nulls_filled"], 3);
}

#[tokio::test]
async fn means_are_exact_where_floats_are_not() {
    let large = (1i64 << 53) + 1;
    let filled = column(mean(), Int64Array::from(vec![Some(large), None, Some(large), Some(large)])).await;
    assert_eq!(filled.as_primitive::<Int64Type>().value(1), large);
    let filled = column(mean(), UInt64Array::from(vec![Some(u64::MAX), None, Some(u64::MAX)])).await;
    assert_eq!(filled.as_primitive::<UInt64Type>().value(1), u64::MAX);
    let filled = column(mean(), Int8Array::from(vec![Some(-3), None, Some(-2)])).await;
    assert_eq!(filled.as_primitive::<Int8Type>().value(1), -3, "halves go away from zero");
    let mut tenths = vec![Some(0.1); 10];
    tenths.push(None);
    let filled = column(mean(), Float64Array::from(tenths)).await;
    assert_eq!(filled.as_primitive::<Float64Type>().value(10), 0.1);
    let filled = column(mean(), Float64Array::from(vec![Some(1e100), Some(1.0), Some(-1e100), None])).await;
    assert_eq!(filled.as_primitive::<Float64Type>().value(3), 1.0 / 3.0);
}

#[tokio::test]
async fn the_mean_of_large_floats_is_found_though_their_sum_is_beyond_all_floats() {
    for (values, mean_of) in [
        (vec![1e308, 1e308], 1e308),
        (vec![1e308, 1e308, 1.0, -1e308, -1e308], 0.2),
        (vec![-1.5e308, -1.5e308, -1.5e308], -1.5e308),
        (vec![f64::MAX; 1000], f64::MAX),
        // What is rounded off the sum takes it beyond all floats.
        (vec![f64::MAX, 9e291, 9e291], f64::MAX / 3.0),
    ] {
        let mut column_of: Vec<Option<f64>> = values.into_iter().map(Some).collect();
        column_of.push(None);
        let rows = column_of.len();
        let filled = column(mean(), Float64Array::from(column_of)).await;
        let filled = filled.as_primitive::<Float64Type>().value(rows - 1);
        assert!((filled / mean_of - 1.0).abs() < 1e-15, "{filled:e} for {mean_of:e}");
    }
}

#[tokio::test]
async fn decimals_keep_their_scale() {
    for wanted in [DataType::Decimal64(12, 2), DataType::Decimal128(12, 2), DataType::Decimal256(60, 2)] {
        let values = Decimal128Array::from(vec![Some(1001), None, Some(1002), Some(9000), Some(1000)]);
        let values: ArrayRef = Arc::new(values.with_precision_and_scale(12, 2).expect("they fit"));
        let input = make_batch(vec![("d", cast(&values, &wanted).expect("they fit"))]);
        for (params, text) in [(mean(), "30.01"), (median(), "10.02"), (mode(), "10.00")] {
            let ran = run(Bench::new(), params, &input).await.expect("runs");
            assert_eq!(ran.schema, input.schema());
            assert_eq!(ran.report.details["fill_values"], json!({"d": text}));
        }
    }
}

#[tokio::test]
async fn a_mean_that_is_not_finite_is_not_put_in() {
    let values = Float64Array::from(vec![Some(f64::INFINITY), None, Some(f64::NEG_INFINITY)]);
    for params in [mean(), median()] {
        assert_eq!(column(params, values.clone()).await.null_count(), 1);
    }
}

#[tokio::test]
async fn the_median_is_the_middle_or_the_mean_of_the_middle_two() {
    let filled = column(median(), Float64Array::from(vec![Some(9.0), None, Some(-1.0), Some(2.0)])).await;
    assert_eq!(filled.as_primitive::<Float64Type>().value(1), 2.0);
    let filled = column(median(), Float64Array::from(vec![Some(9.0), None, Some(-1.0), Some(2.0), Some(3.0)])).await;
    assert_eq!(filled.as_primitive::<Float64Type>().value(1), 2.5);
    let filled = column(median(), Int64Array::from(vec![Some(i64::MAX), None, Some(i64::MAX - 1)])).await;
    assert_eq!(filled.as_primitive::<Int64Type>().value(1), i64::MAX);
    let filled = column(median(), Int64Array::from(vec![Some(-2), None, Some(-1)])).await;
    assert_eq!(filled.as_primitive::<Int64Type>().value(1), -2, "halves go away from zero");
    let filled = column(median(), Float32Array::from(vec![None, Some(0.1f32)])).await;
    assert_eq!(filled.as_primitive::<arrow::datatypes::Float32Type>().value(0), 0.1f32);
}

#[tokio::test]
async fn the_median_is_right_with_any_amount_of_memory() {
    let values: Vec<Option<f64>> =
        (0..5001u64).map(|n| (n % 9 != 0).then(|| ((n * 0x9E37_79B9) % 100_003) as f64 / 7.0 - 5000.0)).collect();
    let mut sorted: Vec<f64> = values.iter().flatten().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let wanted = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
    let input = batch!("x" => Float64Array values);
    for memory in [0, 3_000, 60_000, 1 << 20] {
        let ran = run(Bench::new().batches_of(500).memory(memory), median(), &input).await.expect("runs");
        assert_eq!(ran.report.details["fill_values"]["x"], json!(wanted), "with {memory} bytes");
    }
}

#[tokio::test]
async fn every_type_has_a_mode_and_of_several_it_is_the_smallest() {
    let filled =
        column(mode(), StringArray::from(vec![Some("b"), None, Some("a"), Some("b"), Some("a"), Some("c")])).await;
    assert_eq!(filled.as_string::<i32>().value(1), "a");
    let filled = column(mode(), Int64Array::from(vec![Some(3), None, Some(-7), Some(3)])).await;
    assert_eq!(filled.as_primitive::<Int64Type>().value(1), 3);
    let filled = column(mode(), BooleanArray::from(vec![Some(true), None, Some(false)])).await;
    assert!(!filled.as_boolean().value(1));
    let filled = column(mode(), Float64Array::from(vec![Some(f64::NAN), None, Some(f64::NAN), Some(2.0)])).await;
    assert_eq!(filled.as_primitive::<Float64Type>().values(), &[2.0; 4], "NaN is no value");
    let zeros = Float64Array::from(vec![Some(-0.0), Some(-1.0), Some(0.0), Some(-1.0), Some(-0.0), None]);
    assert_eq!(column(mode(), zeros).await.as_primitive::<Float64Type>().value(5), 0.0, "both zeros are one value");
}

#[tokio::test]
async fn lists_and_structs_have_a_mode_too() {
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(2)]),
        None,
        Some(vec![Some(1), None]),
        Some(vec![Some(1), None]),
    ]);
    let filled = column(mode(), lists.clone()).await;
    assert_eq!(filled.as_list::<i32>().value(1).as_ref(), lists.value(2).as_ref());
    assert_eq!(filled.data_type(), lists.data_type());
}

#[tokio::test]
async fn the_mode_leaves_nothing_missing_in_any_column_that_has_values() {
    let rows = cleaned(mode(), &mixed(400)).await;
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let stays = matches!(field.name().as_str(), "none" | "null");
        assert_eq!(missing(column) > 0, stays, "{}", field.name());
    }
}
