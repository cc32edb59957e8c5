//! Values from above and from below.

use crate::support::{cleaned, column, mixed, run};
use arrow::array::*;
use arrow::datatypes::{Float64Type, Int64Type};
use flight_common::testing::{Bench, batch};
use serde_json::{Value, json};

fn from_above() -> Value {
    json!({"strategy": "ffill"})
}

fn from_below() -> Value {
    json!({"strategy": "bfill"})
}

#[tokio::test]
async fn the_last_value_above_is_put_in_and_leading_nulls_stay() {
    let filled = column(from_above(), Int64Array::from(vec![None, Some(1), None, None, Some(2), None])).await;
    assert_eq!(
        filled.as_ref(),
        &Int64Array::from(vec![None, Some(1), Some(1), Some(1), Some(2), Some(2)]) as &dyn Array
    );
    let filled = column(from_above(), StringArray::from(vec![Some("a"), None, Some(""), None])).await;
    assert_eq!(filled.as_ref(), &StringArray::from(vec!["a", "a", "", ""]) as &dyn Array);
}

#[tokio::test]
async fn the_next_value_below_is_put_in_and_trailing_nulls_stay() {
    let filled = column(from_below(), Int64Array::from(vec![None, Some(1), None, None, Some(2), None])).await;
    assert_eq!(
        filled.as_ref(),
        &Int64Array::from(vec![Some(1), Some(1), Some(2), Some(2), Some(2), None]) as &dyn Array
    );
    let filled = column(from_below(), BooleanArray::from(vec![None, Some(true), None, Some(false)])).await;
    assert_eq!(filled.as_ref(), &BooleanArray::from(vec![true, true, false, false]) as &dyn Array);
}

#[tokio::test]
async fn nan_takes_its_neighbours_value_and_gives_none() {
    let values = Float64Array::from(vec![Some(f64::NAN), Some(1.0), Some(f64::NAN), None, Some(2.0), Some(f64::NAN)]);
    let filled = column(from_above(), values.clone()).await;
    let filled = filled.as_primitive::<Float64Type>();
    assert!(filled.value(0).is_nan());
    assert_eq!(filled.values()[1..], [1.0, 1.0, 1.0, 2.0, 2.0]);
    let filled = column(from_below(), values).await;
    assert_eq!(filled.as_primitive::<Float64Type>().values()[..5], [1.0, 1.0, 2.0, 2.0, 2.0]);
}

#[tokio::test]
async fn only_the_named_columns_change() {
    let input = batch!("a" => Int64Array [Some(1), None], "b" => Int64Array [Some(1), None]);
    let rows = cleaned(json!({"strategy": "ffill", "columns": "b"}), &input).await;
    assert_eq!((rows.column(0).null_count(), rows.column(1).null_count()), (1, 0));
}

/// Upside down, what is above is below.
#[tokio::test]
async fn filling_from_below_is_filling_from_above_upside_down() {
    let input = mixed(700);
    let upside_down = |rows: &RecordBatch| {
        let order = UInt64Array::from_iter_values((0..rows.num_rows() as u64).rev());
        arrow::compute::take_record_batch(rows, &order).expect("takes")
    };
    for rows in [3, 64, 10_000] {
        let above = run(Bench::new().batches_of(rows), from_above(), &upside_down(&input)).await.expect("runs");
        let below = run(Bench::new().batches_of(rows), from_below(), &input).await.expect("runs");
        assert_eq!(below.rows(), upside_down(&above.rows()));
    }
}

#[tokio::test]
async fn batches_wait_for_a_value_that_comes_very_late() {
    let last = 999i64;
    let late: Vec<Option<i64>> = (0..1000).map(|row| (row == last).then_some(row)).collect();
    let never = vec![None::<i64>; 1000];
    let often: Vec<Option<i64>> = (0..1000).map(|row| (row % 10 == 9).then_some(row)).collect();
    let input = batch!("late" => Int64Array late, "never" => Int64Array never, "often" => Int64Array often);
    for (rows, memory) in [(1, 1 << 20), (10, 2_000), (13, 0)] {
        let ran = run(Bench::new().batches_of(rows).memory(memory), from_below(), &input).await.expect("runs");
        let rows = ran.rows();
        let column = |place: usize| rows.column(place).as_primitive::<Int64Type>().clone();
        assert!(column(0).values().iter().all(|value| *value == last));
        assert_eq!(column(1).null_count(), 1000);
        let wanted: Vec<i64> = (0..1000).map(|row| row / 10 * 10 + 9).collect();
        assert_eq!(column(2).values(), &wanted[..]);
        assert_eq!(ran.report.counters["nulls_filled"], 999 + 900);
    }
}
