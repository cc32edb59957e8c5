//! Record batches as JSON records, one to a line.
//!
//! Every record has every column, also where it is null, so that each record alone shows the columns. Numbers are
//! written with all their digits: JSON sets no limit, and a reader that keeps exact integers and decimals finds them
//! unharmed. Dates, times, spans and binary are strings, as in CSV. `NaN` and the infinities, for which JSON has no
//! word, become null and are counted.

use super::{nested, string};
use crate::text::{FloatType, Out, Print, scalar};
use arrow::array::{Array, AsArray, RecordBatch, new_empty_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type, Schema};
use std::cell::Cell;

/// What stands around the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A line for each.
    Lines,
    /// A list: each but the first follows a comma.
    Array,
}

impl Layout {
    /// What is written of the next records. Each record of a list brings the comma that stands before it; the first of all
    /// has a bracket there instead.
    pub fn framed(self, records: &[u8], is_first: bool) -> [&[u8]; 2] {
        match records.strip_prefix(b",") {
            Some(rest) if self == Self::Array && is_first => [b"[", rest],
            _ => [b"", records],
        }
    }

    /// What is written at the end, after records or after none.
    pub fn end(self, none: bool) -> &'static [u8] {
        match (self, none) {
            (Self::Lines, _) => b"",
            (Self::Array, true) => b"[]\n",
            (Self::Array, false) => b"\n]\n",
        }
    }
}

/// Records as text.
pub struct Records {
    /// Each begins with `,\n` (array) or ends with `\n` (lines).
    pub bytes: Vec<u8>,
    /// Numbers that became null.
    pub not_finite: u64,
}

/// Why a column cannot be written as JSON, if it cannot.
pub fn refusal(field: &Field) -> Option<String> {
    match field.data_type() {
        DataType::Struct(fields) => {
            let twice = duplicate(fields.iter().map(|field| field.name().as_str()));
            let twice = twice.map(|name| format!("it has two fields called \"{name}\""));
            twice.or_else(|| fields.iter().find_map(|field| refusal(field)))
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => refusal(item),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if !string::is_text(pair[0].data_type()) => {
                Some(format!("the keys of a map must be text in JSON, not {}", pair[0].data_type()))
            }
            _ => refusal(entries),
        },
        other if string::is_text(other) || *other == DataType::Null => None,
        other => match scalar(&new_empty_array(other)) {
            Some(_) => None,
            None => Some(format!("JSON has no form for {other}")),
        },
    }
}

/// A name that is there twice.
pub fn duplicate<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let mut seen = std::collections::HashSet::new();
    names.clone().find(|name| !seen.insert(*name))
}

/// The rows of a batch, into memory that may hold an earlier text.
pub fn records(batch: &RecordBatch, layout: Layout, memory: Vec<u8>) -> Records {
    let not_finite = Cell::new(0);
    let mut out = Out::reuse(memory);
    let members = members(batch.schema_ref(), batch.columns(), &not_finite);
    for row in 0..batch.num_rows() {
        if layout == Layout::Array {
            out.put(b",\n");
        }
        nested::put_members(&members, row, &mut out);
        if layout == Layout::Lines {
            out.push(b'\n');
        }
    }
    drop(members);
    Records { bytes: out.into_bytes(), not_finite: not_finite.get() }
}

/// A column of values that may be null.
pub struct Column<'a> {
    nulls: Option<&'a NullBuffer>,
    printer: Box<dyn Print + 'a>,
}

impl<'a> Column<'a> {
    /// A column of a type that [`refusal`] lets pass. `not_finite` counts the numbers that become null.
    pub fn new(array: &'a dyn Array, not_finite: &'a Cell<u64>) -> Self {
        let floats = match array.data_type() {
            DataType::Float16 => Some(Floats::<Float16Type>::printer(array, not_finite)),
            DataType::Float32 => Some(Floats::<Float32Type>::printer(array, not_finite)),
            DataType::Float64 => Some(Floats::<Float64Type>::printer(array, not_finite)),
            _ => None,
        };
        let printer = floats
            .or_else(|| string::printer(array))
            .or_else(|| nested::printer(array, not_finite))
            .or_else(|| scalar_printer(array))
            .unwrap_or_else(|| Box::new(Nulls));
        Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), printer }
    }

    /// Writes the value in this row.
    #[inline]
    pub fn put(&self, row: usize, out: &mut Out) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.put(b"null");
        } else {
            self.printer.print(row, out);
        }
    }
}

fn members<'a>(
    schema: &Schema,
    columns: &'a [arrow::array::ArrayRef],
    not_finite: &'a Cell<u64>,
) -> Vec<nested::Member<'a>> {
    let pairs = schema.fields().iter().zip(columns);
    pairs.map(|(field, array)| nested::Member::new(field.name(), Column::new(array, not_finite))).collect()
}

fn scalar_printer(array: &dyn Array) -> Option<Box<dyn Print + '_>> {
    let scalar = scalar(array)?;
    Some(if scalar.bare { scalar.printer } else { Box::new(InQuotes(scalar.printer)) })
}

/// A value in quotes that holds nothing to escape.
struct InQuotes<'a>(Box<dyn Print + 'a>);

impl Print for InQuotes<'_> {
    fn print(&self, row: usize, out: &mut Out) {
        out.push(b'"');
        self.0.print(row, out);
        out.push(b'"');
    }
}

struct Nulls;

impl Print for Nulls {
    fn print(&self, _row: usize, out: &mut Out) {
        out.put(b"null");
    }
}

struct Floats<'a, T: FloatType> {
    values: &'a [T::Native],
    not_finite: &'a Cell<u64>,
}

impl<'a, T: FloatType> Floats<'a, T> {
    fn printer(array: &'a dyn Array, not_finite: &'a Cell<u64>) -> Box<dyn Print + 'a> {
        Box::new(Self { values: array.as_primitive::<T>().values(), not_finite })
    }
}

impl<T: FloatType> Print for Floats<'_, T> {
    fn print(&self, row: usize, out: &mut Out) {
        let value = self.values[row];
        if T::is_finite(value) {
            return T::put(value, out);
        }
        self.not_finite.set(self.not_finite.get() + 1);
        out.put(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::testing::batch;

    #[test]
    fn every_record_has_every_column() {
        let batch = batch!("n" => Int64Array [Some(1), None], "a\"b" => StringArray [None, Some("x\ny")]);
        let text = |layout| String::from_utf8(records(&batch, layout, Vec::new()).bytes).expect("text");
        assert_eq!(text(Layout::Lines), "{\"n\":1,\"a\\\"b\":null}\n{\"n\":null,\"a\\\"b\":\"x\\ny\"}\n");
        assert_eq!(text(Layout::Array), ",\n{\"n\":1,\"a\\\"b\":null},\n{\"n\":null,\"a\\\"b\":\"x\\ny\"}");
    }

    #[test]
    fn numbers_that_are_none_become_null_and_are_counted() {
        let batch =
            batch!("f" => Float64Array [1.5, f64::NAN, f64::INFINITY], "g" => Float32Array [f32::NAN, 2.0, 3.0]);
        let records = records(&batch, Layout::Lines, Vec::new());
        let text = String::from_utf8(records.bytes).expect("text");
        assert_eq!(text, "{\"f\":1.5,\"g\":null}\n{\"f\":null,\"g\":2.0}\n{\"f\":null,\"g\":3.0}\n");
        assert_eq!(records.not_finite, 3);
    }
}
