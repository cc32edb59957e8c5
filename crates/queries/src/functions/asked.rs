//! What functions are asked for that DataFusion (55.2) answers with another value, and says nothing.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// Digits before and behind the point to which a float is rounded, at most.
const DIGITS: u64 = 308;
/// Nanoseconds of a second.
const NANOS: f64 = 1e9;

/// Checks what a call is given.
///
/// # Errors
/// The value that it would answer wrongly.
pub(super) fn check(name: &str, args: &ScalarFunctionArgs) -> Result<()> {
    match (name, args.args.as_slice()) {
        ("to_timestamp", [seconds, ..]) if seconds.data_type().is_floating() => {
            // As whole nanoseconds they are cut off at the ends of their time, and NaN becomes 1970.
            let reach = i64::MAX as f64 / NANOS;
            let seconds = numbers(seconds, &DataType::Float64)?;
            match seconds.as_primitive::<Float64Type>().iter().flatten().find(|it| it.is_nan() || it.abs() >= reach) {
                Some(wrong) => {
                    exec_err!("{wrong} seconds are no time between 1677 and 2262, which to_timestamp reaches")
                }
                None => Ok(()),
            }
        }
        ("round" | "trunc", [value, digits]) if value.data_type().is_floating() => {
            let digits = numbers(digits, &DataType::Int64)?;
            match digits.as_primitive::<Int64Type>().iter().flatten().find(|it| it.unsigned_abs() > DIGITS) {
                Some(wrong) => exec_err!("{name} to {wrong} digits: {DIGITS} before or behind the point are the most"),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Checks what a call has made of this: a number that is rounded by way of one that is too large becomes infinite, or none.
///
/// # Errors
/// The number that became so.
pub(super) fn check_made(name: &str, given: &[ColumnarValue], made: &ColumnarValue) -> Result<()> {
    let ("round" | "trunc", [value, _]) = (name, given) else { return Ok(()) };
    if !value.data_type().is_floating() {
        return Ok(());
    }
    let (value, made) = (numbers(value, &DataType::Float64)?, numbers(made, &DataType::Float64)?);
    let (value, made) = (value.as_primitive::<Float64Type>(), made.as_primitive::<Float64Type>());
    // One value may be for all rows.
    let value = |row: usize| value.is_valid(row % value.len()).then(|| value.value(row % value.len()));
    let wrong = made
        .iter()
        .enumerate()
        .find(|(row, made)| made.is_some_and(|made| !made.is_finite()) && value(*row).is_some_and(f64::is_finite));
    match wrong.and_then(|(row, _)| value(row)) {
        Some(wrong) => exec_err!("{name} cannot round {wrong} to so many digits"),
        None => Ok(()),
    }
}

/// The values, or the one that is for all rows, as this type. What does not fit in it is null, and not looked at.
fn numbers(values: &ColumnarValue, data_type: &DataType) -> Result<ArrayRef> {
    let values = match values {
        ColumnarValue::Array(values) => values.clone(),
        ColumnarValue::Scalar(value) => value.to_array()?,
    };
    Ok(cast(&values, data_type)?)
}
