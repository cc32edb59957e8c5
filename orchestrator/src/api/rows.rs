//! What is told of rows: the columns of a file, and the first rows of an output.

use super::download::{Format, reader, spoilt};
use arrow::csv;
use arrow::datatypes::Schema;
use flight_common::Fault;
use formats::json::{Layout, records};
use formats::{Form, fitted};
use serde::Serialize;
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{BufReader, Seek};
use utoipa::ToSchema;

/// A column, as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it may hold nulls.
    pub nullable: bool,
}

/// The columns of a schema.
pub fn columns(schema: &Schema) -> Vec<Column> {
    let column = |field: &arrow::datatypes::FieldRef| Column {
        name: field.name().clone(),
        kind: field.data_type().to_string(),
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}

/// The first rows of an output.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// Its columns.
    columns: Vec<Column>,
    /// Its rows, each with its values by column, as `load-data` writes them to JSON: nulls and all digits are written out.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Box<RawValue>>,
    /// The rows it has in all, where that is known.
    total_rows: Option<u64>,
}

/// Reads the first rows of a stream.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] when it is no whole stream; [`flight_common::FaultKind::BadSchema`] for a column
/// that JSON cannot hold.
pub fn preview(file: File, limit: usize, total_rows: Option<u64>) -> Result<Preview, Fault> {
    let reader = reader(file)?;
    let schema = reader.schema();
    let plain = fitted(&schema, Form::Jsonl)?;
    let mut rows = Vec::new();
    for batch in reader {
        if rows.len() == limit {
            break;
        }
        let batch = batch.map_err(spoilt)?;
        let part = batch.slice(0, batch.num_rows().min(limit - rows.len()));
        let text = String::from_utf8(records(&plain.apply(part)?, Layout::Lines, Vec::new()).bytes);
        for line in text.map_err(Fault::internal)?.lines() {
            rows.push(RawValue::from_string(line.to_owned()).map_err(Fault::internal)?);
        }
    }
    Ok(Preview { columns: columns(&schema), rows, total_rows })
}

/// The columns of a file, and its rows where it says so. No more than its beginning is read, unless the rows are to be
/// counted: then text is read as a whole.
///
/// # Errors
/// That it is no such file.
pub fn describe(file: File, format: Format, count: bool) -> Result<(Vec<Column>, Option<u64>), Fault> {
    let sample = if count { None } else { Some(1000) };
    let counted = |rows: usize| u64::try_from(rows).ok().filter(|_| count);
    let wrong = |error: &dyn std::fmt::Display| Fault::bad_data(format!("it cannot be read: {error}"));
    match format {
        Format::Parquet => {
            let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
                .map_err(|error| wrong(&error))?;
            let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
            Ok((columns(builder.schema()), rows))
        }
        Format::Arrow => {
            let mut again = file.try_clone().map_err(|error| Fault::io("it", &error))?;
            match arrow::ipc::reader::FileReader::try_new(file, None) {
                Ok(reader) => Ok((columns(&reader.schema()), None)),
                Err(_) => {
                    again.rewind().map_err(|error| Fault::io("it", &error))?;
                    Ok((columns(&reader(again)?.schema()), None))
                }
            }
        }
        Format::Csv => {
            let format = csv::reader::Format::default().with_header(true);
            let (schema, rows) = format.infer_schema(BufReader::new(file), sample).map_err(|error| wrong(&error))?;
            Ok((columns(&schema), counted(rows)))
        }
        Format::Jsonl => {
            let (schema, rows) =
                arrow::json::reader::infer_json_schema(BufReader::new(file), sample).map_err(|error| wrong(&error))?;
            Ok((columns(&schema), counted(rows)))
        }
        // An array has to be read as a whole.
        Format::Json => Ok((Vec::new(), None)),
    }
}
