//! The columns of the result, as one file has them: of its own, of its folders, or not at all.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::SchemaRef;
use flight_common::Fault;

/// What a folder says: a column, and its value as an array of one row.
pub type FolderValue = (String, ArrayRef);

/// The rows of a batch of a file, in this schema. A column that neither the file nor a folder has is null.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for a column that is not what its schema says.
pub fn seen(rows: &RecordBatch, folders: &[FolderValue], schema: &SchemaRef) -> Result<RecordBatch, Fault> {
    let count = rows.num_rows();
    let columns = schema.fields().iter().map(|field| {
        let folder = folders.iter().find(|(name, _)| name == field.name());
        if let Some((_, value)) = folder {
            return take(value, &UInt32Array::from_value(0, count), None);
        }
        let Some(column) = rows.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), count));
        };
        let exactly = CastOptions { safe: false, ..CastOptions::default() };
        match column.data_type() == field.data_type() {
            true => Ok(column.clone()),
            false => cast_with_options(column, field.data_type(), &exactly),
        }
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, arrow::error::ArrowError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Fault::bad_data(error.to_string()))
}
