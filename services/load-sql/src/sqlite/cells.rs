//! Values as SQLite holds them: whole numbers, floats, texts and blobs. Times are texts as its own functions read them, and
//! what has more digits than a float is a text.

use crate::ledger::Rows;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flight_common::Fault;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Statement, ToSql};
use std::fmt::Write;

/// Times as SQLite's functions read them.
const OPTIONS: FormatOptions<'static> = FormatOptions::new()
    .with_display_error(false)
    .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
    .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%:z"));

/// The values of a column.
enum Cells<'a> {
    Null,
    Whole(ArrayRef),
    Real(ArrayRef),
    Text(&'a ArrayRef),
    Bytes(&'a ArrayRef),
    Spelled(&'a ArrayRef, ArrayFormatter<'a>),
}

/// A value of a row.
enum Cell<'a> {
    Borrowed(ValueRef<'a>),
    Spelled(String),
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.value()))
    }
}

impl Cell<'_> {
    fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Borrowed(value) => *value,
            Self::Spelled(text) => ValueRef::Text(text.as_bytes()),
        }
    }
}

/// Why rows could not be inserted.
pub enum Refused {
    /// SQLite says so, of this row of the batch, from 1.
    Sqlite(u64, rusqlite::Error),
    /// It was not asked.
    Fault(Fault),
}

/// Inserts the rows of plain columns, and counts them in.
///
/// # Errors
/// Why a row cannot be written.
pub fn insert(columns: &[ArrayRef], statement: &mut Statement<'_>, rows: &mut Rows) -> Result<(), Refused> {
    let cells: Vec<Cells<'_>> = columns.iter().map(Cells::new).collect::<Result<_, _>>().map_err(Refused::Fault)?;
    let mut seen = Vec::new();
    for row in 0..columns.first().map_or(0, |column| column.len()) {
        seen.clear();
        let told = |error| Refused::Sqlite(row as u64 + 1, error);
        for (place, cells) in cells.iter().enumerate() {
            let cell = cells.at(row).map_err(Refused::Fault)?;
            note(&cell, &mut seen);
            statement.raw_bind_parameter(place + 1, cell).map_err(told)?;
        }
        statement.raw_execute().map_err(told)?;
        rows.add(&seen);
    }
    Ok(())
}

/// A value as bytes that no other value has, whatever stands before and after it.
fn note(cell: &Cell<'_>, seen: &mut Vec<u8>) {
    let mut part = |kind: u8, bytes: &[u8]| {
        seen.push(kind);
        seen.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        seen.extend_from_slice(bytes);
    };
    match cell.value() {
        ValueRef::Null => part(0, &[]),
        ValueRef::Integer(number) => part(1, &number.to_le_bytes()),
        ValueRef::Real(number) => part(2, &number.to_bits().to_le_bytes()),
        ValueRef::Text(bytes) => part(3, bytes),
        ValueRef::Blob(bytes) => part(4, bytes),
    }
}

impl<'a> Cells<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self, Fault> {
        Ok(match column.data_type() {
            DataType::Null => Self::Null,
            DataType::Utf8View => Self::Text(column),
            DataType::BinaryView => Self::Bytes(column),
            DataType::Boolean => Self::Whole(cast(column, &DataType::Int64)?),
            DataType::Float32 | DataType::Float64 => Self::Real(cast(column, &DataType::Float64)?),
            whole if whole.is_integer() && *whole != DataType::UInt64 => Self::Whole(cast(column, &DataType::Int64)?),
            _ => Self::Spelled(column, ArrayFormatter::try_new(column, &OPTIONS)?),
        })
    }

    fn at(&self, row: usize) -> Result<Cell<'_>, Fault> {
        let null = match self {
            Self::Null => true,
            Self::Whole(column) | Self::Real(column) => column.is_null(row),
            Self::Text(column) | Self::Bytes(column) | Self::Spelled(column, _) => column.is_null(row),
        };
        Ok(Cell::Borrowed(match self {
            _ if null => ValueRef::Null,
            Self::Null => ValueRef::Null,
            Self::Whole(column) => ValueRef::Integer(column.as_primitive::<Int64Type>().value(row)),
            Self::Real(column) => ValueRef::Real(column.as_primitive::<Float64Type>().value(row)),
            Self::Text(column) => ValueRef::Text(column.as_string_view().value(row).as_bytes()),
            Self::Bytes(column) => ValueRef::Blob(column.as_binary_view().value(row)),
            Self::Spelled(_, formatter) => {
                let mut text = String::new();
                write!(text, "{}", formatter.value(row)).map_err(|_| {
                    Fault::bad_data("a time beyond what can be spelled").help("mend the value, or leave the row out")
                })?;
                return Ok(Cell::Spelled(text));
            }
        }))
    }
}
