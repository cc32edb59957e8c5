//! Types as every reader knows them.
//!
//! Inside the mesh a column may be a dictionary, a view or run-end encoded. Those forms are about memory, not about
//! meaning: files get the plain type of the values.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::util::display::FormatOptions;
use flight_common::Fault;
use std::sync::Arc;

/// How batches of one schema become plain.
#[derive(Clone, Debug)]
pub struct Plain {
    schema: SchemaRef,
}

impl Plain {
    /// For batches of this schema. `instead` names the type that the file has instead of one that it lacks.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] for a type whose values cannot be had plainly.
    pub fn new(schema: &Schema, instead: impl Fn(&DataType) -> Option<DataType>) -> Result<Self, Fault> {
        let mut fields = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let data_type = plain_type(field.data_type(), &instead);
            if data_type != *field.data_type() && !can_cast_types(field.data_type(), &data_type) {
                let message = format!("column \"{}\" is {}, which no file format has", field.name(), field.data_type());
                return Err(Fault::bad_schema(message).column(field.name()));
            }
            fields.push(with_type(field, data_type));
        }
        Ok(Self { schema: Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())) })
    }

    /// The schema of plain batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The batch in plain types. One that has them already is not copied.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for a value that the plain type cannot hold.
    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, Fault> {
        if batch.schema_ref() == &self.schema {
            return Ok(batch);
        }
        let columns = self.schema.fields().iter().zip(batch.columns());
        let columns: Result<Vec<ArrayRef>, Fault> = columns.map(|(field, column)| cast(field, column)).collect();
        Ok(RecordBatch::try_new(self.schema.clone(), columns?)?)
    }
}

fn cast(field: &Field, column: &ArrayRef) -> Result<ArrayRef, Fault> {
    if column.data_type() == field.data_type() {
        return Ok(column.clone());
    }
    let exactly = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(column, field.data_type(), &exactly).map_err(|error| {
        Fault::bad_data(format!("column \"{}\" does not fit in {}: {error}", field.name(), field.data_type()))
            .column(field.name())
    })
}

fn plain_type(data_type: &DataType, instead: &impl Fn(&DataType) -> Option<DataType>) -> DataType {
    let inner = |field: &FieldRef| with_type(field, plain_type(field.data_type(), instead));
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values, instead),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type(), instead),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) | DataType::ListView(item) => DataType::List(inner(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(inner(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(inner(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => instead(other).unwrap_or_else(|| other.clone()),
    }
}

fn with_type(field: &FieldRef, data_type: DataType) -> FieldRef {
    if *field.data_type() == data_type {
        return field.clone();
    }
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone()))
}
