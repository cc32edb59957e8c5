//! Which cells hold a value: nulls do not, and NaN does not either.

use crate::types::value_type;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use flight_common::Fault;

/// The cells of a column that hold a value; nothing if all do.
///
/// # Errors
/// [`flight_common::FaultKind::Internal`] if an encoded column cannot be decoded.
pub fn present(column: &ArrayRef) -> Result<Option<NullBuffer>, Fault> {
    let nulls = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    Ok(match numbers(column)? {
        Some(numbers) => NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::new(numbers))),
        None => nulls,
    })
}

/// How many cells of a column hold no value.
///
/// # Errors
/// As [`present`].
pub fn missing(column: &ArrayRef) -> Result<u64, Fault> {
    Ok(present(column)?.map_or(0, |present| present.null_count() as u64))
}

/// For a column of floats: where it is not NaN.
fn numbers(column: &ArrayRef) -> Result<Option<BooleanBuffer>, Fault> {
    let rows = column.len();
    let plain = value_type(column.data_type());
    Ok(match plain {
        DataType::Float16 | DataType::Float32 | DataType::Float64 if plain != column.data_type() => {
            numbers(&cast(column, plain)?)?
        }
        DataType::Float16 => {
            let values = column.as_primitive::<Float16Type>().values();
            Some(BooleanBuffer::collect_bool(rows, |row| !values[row].is_nan()))
        }
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>().values();
            Some(BooleanBuffer::collect_bool(rows, |row| !values[row].is_nan()))
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            Some(BooleanBuffer::collect_bool(rows, |row| !values[row].is_nan()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int32Array, NullArray, StringArray};
    use arrow::compute::cast;
    use std::sync::Arc;

    #[test]
    fn nulls_and_nan_are_missing_and_empty_texts_are_not() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN)]));
        assert_eq!(missing(&floats).expect("counted"), 2);
        assert_eq!(missing(&floats.slice(1, 1)).expect("counted"), 1);
        let encoded = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Float64));
        assert_eq!(missing(&cast(&floats, &encoded).expect("encoded")).expect("counted"), 2);
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some(""), None]));
        assert_eq!(missing(&texts).expect("counted"), 1);
        assert_eq!(missing(&(Arc::new(NullArray::new(3)) as ArrayRef)).expect("counted"), 3);
        assert_eq!(present(&(Arc::new(Int32Array::from(vec![1])) as ArrayRef)).expect("counted"), None);
    }
}
