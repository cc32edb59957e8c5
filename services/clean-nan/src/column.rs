//! Columns as this step sees them: which values are missing, and what a column is without its encoding.
//!
//! A dictionary or run-end encoded column is filled in its plain type and encoded again afterwards, so that any value
//! may be put in and the type survives. A batch that misses nothing is never touched.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type, UInt64Type};
use flight_common::Fault;

/// A column that is looked at.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its place in the input.
    pub place: usize,
    /// Its name.
    pub name: String,
    /// Its type without an encoding.
    pub plain: DataType,
}

/// A type without an encoding.
pub fn plain_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        other => other,
    }
}

/// A column without its encoding.
pub fn plain(column: &ArrayRef) -> Result<ArrayRef, Fault> {
    match plain_type(column.data_type()) {
        same if same == column.data_type() => Ok(column.clone()),
        plain => Ok(cast(column, plain)?),
    }
}

/// Which values are there, or nothing if all are: nulls are missing, and so is NaN in a column of floats.
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

/// One row of a column, in its plain type, in memory of its own: it may be kept long after its batch is gone.
pub fn one_row(column: &ArrayRef, row: usize) -> Result<ArrayRef, Fault> {
    let row = plain(&column.slice(row, 1))?;
    let copy = take(&row, &PrimitiveArray::<UInt64Type>::from_value(0, 1), None)?;
    Ok(match copy.data_type() {
        DataType::Utf8View => std::sync::Arc::new(copy.as_string_view().gc()),
        DataType::BinaryView => std::sync::Arc::new(copy.as_binary_view().gc()),
        _ => copy,
    })
}

/// The batch with other columns at these places, each encoded as the one before it was.
pub fn replace(batch: &RecordBatch, new: Vec<(usize, ArrayRef)>) -> Result<RecordBatch, Fault> {
    let mut columns = batch.columns().to_vec();
    for (place, column) in new {
        let wanted = columns[place].data_type();
        columns[place] = match column.data_type() == wanted {
            true => column,
            false => cast(&column, wanted).map_err(|error| {
                Fault::bad_data(format!("the filled values do not fit into {wanted}: {error}"))
                    .column(batch.schema_ref().field(place).name())
                    .help("let the step before it give the column without a dictionary, or with larger keys")
            })?,
        };
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, NullArray, StringArray};
    use std::sync::Arc;

    fn missing(column: ArrayRef) -> Vec<usize> {
        let present = present(&column).expect("computes");
        present.map(|present| (0..present.len()).filter(|row| present.is_null(*row)).collect()).unwrap_or_default()
    }

    #[test]
    fn null_and_nan_are_missing_and_an_empty_text_is_not() {
        assert_eq!(missing(Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN)]))), [1, 2]);
        assert_eq!(missing(Arc::new(Float64Array::from(vec![f64::NAN, 0.0]))), [0]);
        assert_eq!(missing(Arc::new(StringArray::from(vec![Some(""), None, Some("NaN")]))), [1]);
        assert_eq!(missing(Arc::new(NullArray::new(2))), [0, 1]);
    }

    #[test]
    fn nulls_within_a_dictionary_are_missing() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]));
        let wanted = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        assert_eq!(missing(cast(&column, &wanted).expect("casts")), [1]);
    }
}
