//! What all tests of `clean-nan` share.
use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use clean_nan::CleanNan;
use flight_common::Fault;
use flight_common::testing::{Bench, Ran, make_batch};
use serde_json::Value;
use std::sync::Arc;

/// Runs the step.
pub async fn run(bench: Bench, params: Value, input: &RecordBatch) -> Result<Ran, Fault> {
    bench.run(CleanNan, params, std::slice::from_ref(input)).await
}

/// The rows that come out, with enough memory.
pub async fn cleaned(params: Value, input: &RecordBatch) -> RecordBatch {
    run(Bench::new(), params, input).await.expect("runs").rows()
}

/// One column, cleaned.
pub async fn column(params: Value, column: impl Array + 'static) -> ArrayRef {
    let input = make_batch(vec![("x", Arc::new(column) as ArrayRef)]);
    cleaned(params, &input).await.column(0).clone()
}

/// A column of each type, with values missing here and there, `none` where all are missing, and `all` where none is.
pub fn mixed(rows: usize) -> RecordBatch {
    let missing = |row: usize, seed: usize| (row * 7 + seed * 13 + row / 11) % 5 < 2;
    let whole =
        |seed: usize| (0..rows).map(move |row| (!missing(row, seed)).then_some((row * 31 + seed) as i64 % 23 - 9));
    let text =
        |seed: usize| whole(seed).map(|value| value.map(|value| format!("a text of some length, number {value}")));
    let floats: Float64Array = (0..rows)
        .map(|row| match row % 7 {
            0 => None,
            1 => Some(f64::NAN),
            _ => Some((row % 10) as f64 / 10.0 - 0.3),
        })
        .collect();
    let times = Int64Array::from_iter(whole(4)).reinterpret_cast::<arrow::datatypes::TimestampMicrosecondType>();
    let decimals = Decimal128Array::from_iter(whole(5).map(|value| value.map(i128::from)));
    let strings: ArrayRef = Arc::new(StringArray::from_iter(text(6)));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("i64", Arc::new(Int64Array::from_iter(whole(1)))),
        ("i8", cast(&Int64Array::from_iter(whole(2)), &DataType::Int8).expect("small")),
        ("f64", Arc::new(floats)),
        ("f32", Arc::new(Float32Array::from_iter(whole(3).map(|value| value.map(|value| value as f32 / 4.0))))),
        ("bool", Arc::new(BooleanArray::from_iter(whole(7).map(|value| value.map(|value| value > 0))))),
        (
            "date",
            cast(&cast(&Int64Array::from_iter(whole(8)), &DataType::Int32).expect("small"), &DataType::Date32)
                .expect("days"),
        ),
        ("time", Arc::new(times.with_timezone("Europe/Berlin"))),
        ("decimal", Arc::new(decimals.with_precision_and_scale(12, 2).expect("small"))),
        ("text", strings.clone()),
        ("view", cast(&strings, &DataType::Utf8View).expect("a view")),
        ("dictionary", cast(&strings, &dictionary).expect("few values")),
        ("none", Arc::new(Int64Array::from(vec![None::<i64>; rows]))),
        ("null", Arc::new(NullArray::new(rows))),
        ("all", Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|row| row % 3)))),
    ];
    let batch = make_batch(columns);
    assert_eq!(
        batch.schema().field(7).data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into()))
    );
    batch
}

/// How many values are missing in a column.
pub fn missing(column: &ArrayRef) -> usize {
    let nan = match column.data_type() {
        DataType::Float64 => {
            column.as_primitive::<arrow::datatypes::Float64Type>().iter().flatten().filter(|v| v.is_nan()).count()
        }
        _ => 0,
    };
    column.logical_null_count() + nan
}
