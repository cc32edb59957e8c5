//! What is told of rows: the columns of a file, and the first rows of an output.

use super::download::{reader, spoilt};
use crate::format::Format;
use arrow::datatypes::Schema;
use flight_common::Fault;
use formats::json::{Layout, records};
use formats::{Form, fitted};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
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

/// The rows of a file, where it tells them. Text is read as a whole to count them, if that is asked for.
///
/// # Errors
/// That it is no such file.
pub fn count(file: File, path: &str, format: Format, all: bool) -> Result<Option<u64>, Fault> {
    let wrong = |error: &dyn Display| Fault::bad_data(format!("{path} cannot be read: {error}"));
    match format {
        Format::Parquet => {
            let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
                .map_err(|error| wrong(&error))?;
            Ok(u64::try_from(builder.metadata().file_metadata().num_rows()).ok())
        }
        Format::Csv if all => {
            let records = csv_records(BufReader::new(file)).map_err(|error| Fault::io(path, &error))?;
            Ok(Some(records.saturating_sub(1)))
        }
        Format::Jsonl if all => {
            let records = serde_json::Deserializer::from_reader(BufReader::new(file)).into_iter::<IgnoredAny>();
            let counted = records.into_iter().try_fold(0, |count, record| record.map(|_| count + 1));
            Ok(Some(counted.map_err(|error| wrong(&error))?))
        }
        Format::Arrow | Format::Csv | Format::Json | Format::Jsonl => Ok(None),
    }
}

/// Lines that are not empty, where a quoted field may hold line breaks. A quote within a field is a character of it: `5"`.
fn csv_records(mut text: impl BufRead) -> io::Result<u64> {
    let (mut records, mut quoted, mut some) = (0, false, false);
    // What a quote opens after: where a field begins; and the quote that has just ended one, which both stand for a quote.
    let (mut before, mut closed) = (b'\n', false);
    loop {
        let piece = text.fill_buf()?;
        if piece.is_empty() {
            return Ok(records + u64::from(some));
        }
        for byte in piece {
            let turns = *byte == b'"' && (quoted || closed || b"\r\n,;|\t".contains(&before));
            closed = turns && quoted;
            quoted ^= turns;
            before = *byte;
            if *byte == b'\n' && !quoted {
                records += u64::from(std::mem::take(&mut some));
            } else if *byte != b'\r' {
                some = true;
            }
        }
        let taken = piece.len();
        text.consume(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_whatever_is_in_quotes() {
        for (text, count) in [
            ("", 0),
            ("a\n", 1),
            ("a\n1\n\n2", 3),
            ("a;b\r\n\"x\n\"\"y\n\";1\r\n", 2),
            ("id,size\n1,5\"\n2,6\"\"\n3,\"\"\n", 4),
        ] {
            assert_eq!(csv_records(BufReader::with_capacity(1, text.as_bytes())).expect("text"), count, "{text:?}");
        }
    }
}
