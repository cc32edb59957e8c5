//! Types for everybody: what leaves the mesh holds no dictionaries and no views, which JDBC and older readers refuse.

use crate::fault::Fault;
use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// The schema that an outside client sees.
pub fn outward_schema(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|field| outward_field(field)).collect();
    if fields.iter().zip(schema.fields()).all(|(new, old)| new == old.as_ref()) {
        return schema.clone();
    }
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn outward_field(field: &Field) -> Field {
    field.clone().with_data_type(outward_type(field.data_type()))
}

fn outward_type(data_type: &DataType) -> DataType {
    let inner = |field: &Arc<Field>| Arc::new(outward_field(field));
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => outward_type(values),
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

/// A batch as an outside client sees it, in the schema that [`outward_schema`] gave.
///
/// # Errors
/// [`crate::FaultKind::BadData`] for a value that the schema cannot hold, such as strings of a batch beyond 2 GiB.
pub fn outward(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Fault> {
    if batch.schema_ref().fields() == schema.fields() {
        return Ok(batch.clone());
    }
    let exactly = CastOptions { safe: false, ..CastOptions::default() };
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        cast_with_options(column, field.data_type(), &exactly)
            .map_err(|error| Fault::bad_data(error.to_string()).column(field.name()))
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)
}
