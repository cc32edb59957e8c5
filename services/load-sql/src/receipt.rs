//! What a load hands on: one row that says what it wrote.

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::Fault;
use std::sync::Arc;

use crate::target::Target;

/// `table`, `mode`, `rows`.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("table", DataType::Utf8, false),
        Field::new("mode", DataType::Utf8, false),
        Field::new("rows", DataType::Int64, false),
    ]))
}

/// The receipt for this many rows of the input.
///
/// # Errors
/// [`flight_common::FaultKind::Internal`] for more rows than there can be.
pub fn receipt(target: &Target, rows: u64) -> Result<RecordBatch, Fault> {
    let rows = i64::try_from(rows).map_err(Fault::internal)?;
    Ok(RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(StringArray::from(vec![target.shown()])),
            Arc::new(StringArray::from(vec![target.mode.name()])),
            Arc::new(Int64Array::from(vec![rows])),
        ],
    )?)
}
