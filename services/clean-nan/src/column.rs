//! Columns as this step sees and replaces them.
//!
//! A dictionary or run-end encoded column is filled in its plain type and encoded again afterwards, so that any value
//! may be put in and the type survives. A batch that misses nothing is never touched.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, UInt64Type};
use flight_common::Fault;
use flight_common::cells::plain;

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
