//! What the cells of a column hold, however they are encoded: as they are, by a dictionary, or run by run.

use crate::fault::Fault;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};

/// The type of the values, without an encoding.
pub fn plain_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        other => other,
    }
}

/// The column without its encoding.
///
/// # Errors
/// [`crate::FaultKind::Internal`] if it cannot be decoded.
pub fn plain(column: &ArrayRef) -> Result<ArrayRef, Fault> {
    match plain_type(column.data_type()) {
        same if same == column.data_type() => Ok(column.clone()),
        plain => Ok(cast(column, plain)?),
    }
}

/// The rows whose cells hold a value; nothing if all do. Nulls hold none, and neither does NaN.
///
/// # Errors
/// As [`plain`].
pub fn present(column: &ArrayRef) -> Result<Option<NullBuffer>, Fault> {
    let nulls = match plain_type(column.data_type()) {
        DataType::Float16 => without_nan(plain(column)?.as_primitive::<Float16Type>(), |value| value.is_nan()),
        DataType::Float32 => without_nan(plain(column)?.as_primitive::<Float32Type>(), f32::is_nan),
        DataType::Float64 => without_nan(plain(column)?.as_primitive::<Float64Type>(), f64::is_nan),
        _ => column.logical_nulls(),
    };
    Ok(nulls.filter(|nulls| nulls.null_count() > 0))
}

fn without_nan<T: ArrowPrimitiveType>(
    floats: &PrimitiveArray<T>,
    is_nan: impl Fn(T::Native) -> bool,
) -> Option<NullBuffer> {
    let values = floats.values();
    // Without an early exit this loop is vectorised; most columns hold no NaN.
    if !values.iter().fold(false, |found, value| found | is_nan(*value)) {
        return floats.nulls().cloned();
    }
    let numbers = NullBuffer::new(BooleanBuffer::collect_bool(values.len(), |row| !is_nan(values[row])));
    NullBuffer::union(floats.nulls(), Some(&numbers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int32Array, NullArray, StringArray};
    use std::sync::Arc;

    fn missing(column: ArrayRef) -> Vec<usize> {
        let present = present(&column).expect("computes");
        present.map(|present| (0..present.len()).filter(|row| present.is_null(*row)).collect()).unwrap_or_default()
    }

    #[test]
    fn null_and_nan_are_missing_and_an_empty_text_is_not() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN)]));
        assert_eq!(missing(floats.slice(1, 2)), [0, 1]);
        assert_eq!(missing(floats), [1, 2]);
        assert_eq!(missing(Arc::new(Float64Array::from(vec![f64::NAN, 0.0]))), [0]);
        assert_eq!(missing(Arc::new(StringArray::from(vec![Some(""), None, Some("NaN")]))), [1]);
        assert_eq!(missing(Arc::new(NullArray::new(2))), [0, 1]);
        assert_eq!(present(&(Arc::new(Int32Array::from(vec![1])) as ArrayRef)).expect("computes"), None);
    }

    #[test]
    fn what_an_encoding_hides_is_missing_too() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        let wanted = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        assert_eq!(missing(cast(&texts, &wanted).expect("casts")), [1]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(1.0)]));
        let wanted = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Float64));
        assert_eq!(missing(cast(&floats, &wanted).expect("casts")), [0, 1]);
    }
}
