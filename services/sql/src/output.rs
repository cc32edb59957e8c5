//! The rows that come out, in the schema that was planned: plain types, unless an input brought others.
//!
//! Some functions of DataFusion give views of text where they were given plain text. Many readers know no views, and a
//! step should not change a type because of how it computes: so views leave only where some came in.

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use flight_common::Fault;
use std::sync::Arc;

/// The schema of the result of a query that gives this one.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] for two columns of one name.
pub fn schema<'a>(given: &Schema, mut inputs: impl Iterator<Item = &'a SchemaRef>) -> Result<SchemaRef, Fault> {
    refuse_namesakes(given)?;
    if inputs.any(|input| input.fields().iter().any(|field| has_views(field.data_type()))) {
        return Ok(Arc::new(given.clone()));
    }
    let fields: Vec<FieldRef> = given.fields().iter().map(plain_field).collect();
    Ok(Arc::new(Schema::new_with_metadata(fields, given.metadata().clone())))
}

fn refuse_namesakes(given: &Schema) -> Result<(), Fault> {
    let names: Vec<&String> = given.fields().iter().map(|field| field.name()).collect();
    let twice = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name));
    let Some((_, name)) = twice else { return Ok(()) };
    let fault = crate::faults::schema(format!("two columns of the result are called \"{name}\""));
    Err(fault.column(*name).help(format!(
        "name one of them otherwise (AS), leave it out (* EXCLUDE (\"{name}\")), or join by USING (\"{name}\")"
    )))
}

fn has_views(data_type: &DataType) -> bool {
    plain(data_type) != *data_type
}

fn plain_field(field: &FieldRef) -> FieldRef {
    match plain(field.data_type()) {
        same if same == *field.data_type() => field.clone(),
        other => Arc::new(Field::clone(field).with_data_type(other)),
    }
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(field) | DataType::ListView(field) => DataType::List(plain_field(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => DataType::LargeList(plain_field(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(plain_field(field), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Map(field, sorted) => DataType::Map(plain_field(field), *sorted),
        DataType::Dictionary(keys, values) => DataType::Dictionary(keys.clone(), Box::new(plain(values))),
        other => other.clone(),
    }
}

/// A batch of the result in that schema.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for texts of a batch that are more than 2 GiB together;
/// [`flight_common::FaultKind::Internal`] if DataFusion gave something else than it had planned.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Fault> {
    let columns =
        batch.columns().iter().zip(schema.fields()).map(|(column, field)| match has_views(column.data_type()) {
            true => cast(column, field.data_type()),
            false => Ok(column.clone()),
        });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, data_type: DataType) -> Schema {
        Schema::new(vec![Field::new(name, data_type, true)])
    }

    #[test]
    fn views_leave_only_where_some_came_in() {
        let inner = Arc::new(Field::new("item", DataType::Utf8View, true));
        let given = one("a", DataType::List(inner));
        let plain = Arc::new(one("x", DataType::Utf8));
        let found = schema(&given, [&plain].into_iter()).expect("one column");
        assert_eq!(found.field(0).data_type(), &DataType::new_list(DataType::Utf8, true));
        let views = Arc::new(one("x", DataType::BinaryView));
        assert_eq!(*schema(&given, [&plain, &views].into_iter()).expect("one column"), given);
    }

    #[test]
    fn namesakes_are_refused() {
        let given = Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("id", DataType::Utf8, true)]);
        let fault = schema(&given, std::iter::empty()).expect_err("refused");
        assert_eq!((fault.column_name(), fault.violations()[0].pointer.as_str()), (Some("id"), "/query"));
    }
}
