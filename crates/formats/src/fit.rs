//! Whether the columns of a schema fit into a format.

use crate::{Form, Plain, csv, json};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, TimeUnit};
use arrow_ipc::writer::FileWriter;
use flight_common::Fault;
use parquet::arrow::ArrowWriter;
use std::io;
use std::sync::Arc;

/// The columns of a sheet, as Excel limits them.
pub const MAX_XLSX_COLUMNS: usize = 16_384;

/// How batches of this schema become such as the format can hold.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`], with the column that the format cannot hold and what can.
pub fn fitted(schema: &Schema, form: Form) -> Result<Plain, Fault> {
    if schema.fields().is_empty() {
        return Err(Fault::bad_schema("there is no column to write").help("leave at least one column in the input"));
    }
    let plain = Plain::new(schema, |data_type| match form {
        Form::Parquet => instead_in_parquet(data_type),
        _ => None,
    })?;
    check_names(plain.schema(), form)?;
    for field in plain.schema().fields() {
        check_column(field, form)?;
    }
    Ok(plain)
}

fn check_names(schema: &Schema, form: Form) -> Result<(), Fault> {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    if form == Form::Xlsx && schema.fields().len() > MAX_XLSX_COLUMNS {
        let message = format!("{} columns: an xlsx sheet has at most {}", schema.fields().len(), MAX_XLSX_COLUMNS);
        return Err(Fault::bad_schema(message).help("write csv, parquet or arrow, or delete columns first"));
    }
    match json::duplicate(names).filter(|_| matches!(form, Form::Json | Form::Jsonl)) {
        None => Ok(()),
        Some(name) => Err(Fault::bad_schema(format!("two columns are called \"{name}\": JSON records can hold one"))
            .column(name)
            .help("rename or delete one of them, or write csv, parquet or arrow")),
    }
}

fn check_column(field: &Field, form: Form) -> Result<(), Fault> {
    let (why, instead) = match form {
        Form::Csv | Form::Xlsx if csv::can_hold(field.data_type()) => return Ok(()),
        Form::Csv | Form::Xlsx => {
            (format!("it is {}, which is no single value", field.data_type()), "json, jsonl, parquet or arrow")
        }
        Form::Json | Form::Jsonl => match json::refusal(field) {
            None => return Ok(()),
            Some(why) => (why, "parquet or arrow"),
        },
        Form::Parquet => match refused_by_parquet(field) {
            None => return Ok(()),
            Some(why) => (why, "arrow"),
        },
        Form::Arrow => match refused_by_arrow(field) {
            None => return Ok(()),
            Some(why) => (why, "parquet"),
        },
    };
    let message = format!("column \"{}\" cannot be written to {}: {why}", field.name(), form.name());
    Err(Fault::bad_schema(message.clone())
        .column(field.name())
        .help(format!("write {instead}, or delete the column first"))
        .violation("/format", message))
}

fn refused_by_arrow(field: &Field) -> Option<String> {
    let schema = Schema::new(vec![field.clone()]);
    FileWriter::try_new(io::sink(), &schema).err().map(|error| error.to_string())
}

/// The type that Parquet has instead of one that it lacks: it knows no seconds, and its dates are days. Written as they
/// are, those would be plain numbers to everybody who does not read the Arrow schema.
fn instead_in_parquet(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Timestamp(TimeUnit::Second, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::Time32(TimeUnit::Second) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Date64 => DataType::Date32,
        _ => return None,
    })
}

fn refused_by_parquet(field: &Field) -> Option<String> {
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    // Of these the writer does not say so by itself, or not before their first value.
    let lacking = schema.flattened_fields().into_iter().find_map(|part| match part.data_type() {
        DataType::Union(..) => Some("Parquet has no unions"),
        DataType::Interval(IntervalUnit::MonthDayNano) => Some("the intervals of Parquet know no nanoseconds"),
        DataType::FixedSizeBinary(0) => Some("Parquet has no values without bytes"),
        _ => None,
    });
    if let Some(lacking) = lacking {
        return Some(lacking.to_owned());
    }
    let mut writer = match ArrowWriter::try_new(io::sink(), schema.clone(), None) {
        Ok(writer) => writer,
        Err(error) => return Some(error.to_string()),
    };
    let written = writer.write(&RecordBatch::new_empty(schema)).and_then(|()| writer.finish());
    written.err().map(|error| error.to_string())
}
