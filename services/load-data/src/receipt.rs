//! What a load hands on: one row that says which file it wrote.

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::Fault;
use std::sync::Arc;

/// `path` (relative to the data root), `format`, `rows`, `bytes`.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("format", DataType::Utf8, false),
        Field::new("rows", DataType::Int64, false),
        Field::new("bytes", DataType::Int64, false),
    ]))
}

/// The receipt for a file.
///
/// # Errors
/// [`flight_common::FaultKind::Internal`] for more rows or bytes than there can be.
pub fn receipt(path: &str, format: &str, rows: u64, bytes: u64) -> Result<RecordBatch, Fault> {
    let count = |number: u64| i64::try_from(number).map(|number| Int64Array::from(vec![number]));
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(StringArray::from(vec![path])),
        Arc::new(StringArray::from(vec![format])),
        Arc::new(count(rows).map_err(Fault::internal)?),
        Arc::new(count(bytes).map_err(Fault::internal)?),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
