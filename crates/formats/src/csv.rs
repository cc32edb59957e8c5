//! Record batches as CSV, after RFC 4180 with `\n` between lines.
//!
//! A field is quoted where it must be: when it holds the delimiter, a quote or a line break, and when it would read as
//! a null. So `""` is an empty text and nothing at all is a null. This is the part of a pipeline that costs most, so
//! each column is downcast once per batch, a column of text is searched once for characters that need quotes, and
//! batches are printed on all cores.

use crate::text::{Out, Print, scalar};
use arrow::array::{Array, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int64Type, Schema};
use std::ops::Range;

/// How CSV is written.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Whether a line of names comes first.
    pub header: bool,
    /// How a null is written.
    pub null: Vec<u8>,
}

impl Dialect {
    /// What is written unless told: commas, a line of names, and nothing for a null. A table of one column would have a
    /// blank line for it, and most readers skip those: there it is `NA`.
    pub fn of(schema: &Schema) -> Self {
        let null = if schema.fields().len() == 1 { "NA" } else { "" };
        Self { delimiter: b',', header: true, null: null.into() }
    }
}

/// Whether readers of CSV commonly take this word for a null. A text that is one of them is quoted.
#[inline]
fn is_null_word(text: &[u8]) -> bool {
    matches!(
        text,
        b"" | b"NA"
            | b"N/A"
            | b"n/a"
            | b"NaN"
            | b"nan"
            | b"-NaN"
            | b"-nan"
            | b"null"
            | b"Null"
            | b"NULL"
            | b"None"
            | b"none"
            | b"<NA>"
            | b"#N/A"
            | b"#NA"
            | b"nil"
    )
}

/// Whether values of this type are a field: not those that hold others.
pub fn can_hold(data_type: &DataType) -> bool {
    text_column(data_type)
        || scalar(&arrow::array::new_empty_array(data_type)).is_some()
        || *data_type == DataType::Null
}

fn text_column(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(data_type: &DataType) -> bool {
    use DataType::{Binary, BinaryView, FixedSizeBinary, LargeBinary};
    matches!(data_type, Binary | LargeBinary | BinaryView | FixedSizeBinary(_))
}

/// The line of names.
pub fn header(schema: &Schema, dialect: &Dialect) -> Vec<u8> {
    let mut out = Out::default();
    for field in schema.fields() {
        dialect.put_text(field.name().as_bytes(), &mut out);
        out.push(dialect.delimiter);
    }
    out.replace_last(b'\n');
    out.into_bytes()
}

/// The rows of a batch, into memory that may hold an earlier text.
pub fn rows(batch: &RecordBatch, dialect: &Dialect, memory: Vec<u8>) -> Vec<u8> {
    let mut out = Out::reuse(memory);
    let columns: Vec<Column<'_>> = batch.columns().iter().map(|array| Column::new(array, dialect)).collect();
    let room: usize = columns.iter().map(|column| column.cells.most().max(dialect.null.len()) + 1).sum();
    for row in 0..batch.num_rows() {
        out.ensure(room);
        let mut end = out.end();
        for column in &columns {
            if column.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                end = out.part_at(end, &dialect.null, 0, dialect.null.len());
            } else {
                end = match &column.cells {
                    Cells::Whole(numbers) => out.i64_at(end, numbers[row]),
                    Cells::Clean(texts) if !texts.reads_as_null(row) => texts.put_at(end, row, &mut out),
                    Cells::Clean(texts) => printed(end, texts, row, room, &mut out),
                    Cells::Printed(printer) => printed(end, printer.as_ref(), row, room, &mut out),
                };
            }
            end = out.byte_at(end, dialect.delimiter);
        }
        out.set_end(end);
        out.replace_last(b'\n');
    }
    out.into_bytes()
}

/// Prints a cell that may take any room, and makes room again for the rest of the row.
#[inline(never)]
fn printed(end: usize, printer: &dyn Print, row: usize, room: usize, out: &mut Out) -> usize {
    out.set_end(end);
    printer.print(row, out);
    out.ensure(room);
    out.end()
}

struct Column<'a> {
    /// Which rows are null; absent if none is.
    nulls: Option<&'a NullBuffer>,
    cells: Cells<'a>,
}

/// Values by how they are written. The first two are what most tables are made of, and have no call for each cell.
enum Cells<'a> {
    Whole(&'a [i64]),
    Clean(Texts<'a, i32>),
    Printed(Box<dyn Print + 'a>),
}

impl<'a> Column<'a> {
    fn new(array: &'a dyn Array, dialect: &'a Dialect) -> Self {
        let cells = match array.data_type() {
            DataType::Int64 => Cells::Whole(array.as_primitive::<Int64Type>().values()),
            DataType::Utf8 => {
                let texts = Texts::<i32>::new(array, dialect);
                if texts.clean() && texts.longest <= LONGEST_IN_PLACE {
                    Cells::Clean(texts)
                } else {
                    Cells::Printed(texts.printer())
                }
            }
            DataType::LargeUtf8 => Cells::Printed(Texts::<i64>::new(array, dialect).printer()),
            DataType::Utf8View => {
                let array = array.as_string_view();
                Cells::Printed(Box::new(Quoted { dialect, value: |row| array.value(row).as_bytes() }))
            }
            _ => match scalar(array) {
                Some(scalar) if is_binary(array.data_type()) => {
                    Cells::Printed(Box::new(Guarded { dialect, printer: scalar.printer }))
                }
                Some(scalar) => Cells::Printed(scalar.printer),
                None => Cells::Printed(Box::new(Nulls(dialect))),
            },
        };
        Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), cells }
    }
}

/// Texts up to this length count in the room that is made for a row.
const LONGEST_IN_PLACE: usize = 1024;

impl Cells<'_> {
    /// The room that a cell takes at most. None is made for those that make their own.
    fn most(&self) -> usize {
        match self {
            Self::Whole(_) => Out::MOST_FOR_NUMBER,
            Self::Clean(texts) => Out::most_for_part(texts.longest),
            Self::Printed(_) => 0,
        }
    }
}

/// A column of the type that has no values.
struct Nulls<'a>(&'a Dialect);

impl Print for Nulls<'_> {
    fn print(&self, _row: usize, out: &mut Out) {
        out.put(&self.0.null);
    }
}

/// Text of which each value is looked at.
struct Quoted<'a, F> {
    dialect: &'a Dialect,
    value: F,
}

impl<'a, F: Fn(usize) -> &'a [u8]> Print for Quoted<'a, F> {
    fn print(&self, row: usize, out: &mut Out) {
        self.dialect.put_text((self.value)(row), out);
    }
}

/// Values whose digits may read as a null, as those of no bytes do: they are quoted then.
struct Guarded<'a> {
    dialect: &'a Dialect,
    printer: Box<dyn Print + 'a>,
}

impl Print for Guarded<'_> {
    fn print(&self, row: usize, out: &mut Out) {
        let start = out.end();
        self.printer.print(row, out);
        if self.dialect.reads_as_null(out.since(start)) {
            let digits = out.since(start).to_vec();
            out.set_end(start);
            self.dialect.put_quoted(&digits, out);
        }
    }
}

/// Text in one piece, which can be searched as a whole.
#[derive(Clone, Copy)]
struct Texts<'a, O> {
    dialect: &'a Dialect,
    offsets: &'a [O],
    bytes: &'a [u8],
    longest: usize,
}

impl<'a, O: OffsetSizeTrait> Texts<'a, O> {
    fn new(array: &'a dyn Array, dialect: &'a Dialect) -> Self {
        let array = array.as_string::<O>();
        let offsets = array.value_offsets();
        let lengths = offsets.windows(2).map(|ends| (ends[1] - ends[0]).as_usize());
        Self { dialect, offsets, bytes: array.value_data(), longest: lengths.max().unwrap_or(0) }
    }

    /// Whether no text holds a character that needs quotes.
    fn clean(&self) -> bool {
        let used = self.offsets[0].as_usize()..self.offsets[self.offsets.len() - 1].as_usize();
        !self.dialect.must_quote(&self.bytes[used])
    }

    fn printer(self) -> Box<dyn Print + 'a> {
        Box::new(Quoted { dialect: self.dialect, value: move |row| &self.bytes[self.span(row)] })
    }

    #[inline(always)]
    fn span(&self, row: usize) -> Range<usize> {
        self.offsets[row].as_usize()..self.offsets[row + 1].as_usize()
    }

    #[inline(always)]
    fn reads_as_null(&self, row: usize) -> bool {
        self.dialect.reads_as_null(&self.bytes[self.span(row)])
    }

    #[inline(always)]
    fn put_at(&self, at: usize, row: usize, out: &mut Out) -> usize {
        let span = self.span(row);
        out.part_at(at, self.bytes, span.start, span.end)
    }
}

impl<O: OffsetSizeTrait> Print for Texts<'_, O> {
    fn print(&self, row: usize, out: &mut Out) {
        self.dialect.put_text(&self.bytes[self.span(row)], out);
    }
}

impl Dialect {
    fn put_text(&self, text: &[u8], out: &mut Out) {
        if self.reads_as_null(text) || self.must_quote(text) {
            self.put_quoted(text, out);
        } else {
            out.put(text);
        }
    }

    /// Whether these bytes, one text or many, hold a character that needs quotes.
    fn must_quote(&self, text: &[u8]) -> bool {
        memchr::memchr3(self.delimiter, b'"', b'\n', text).is_some() || memchr::memchr(b'\r', text).is_some()
    }

    #[inline]
    fn reads_as_null(&self, text: &[u8]) -> bool {
        is_null_word(text) || text == self.null
    }

    fn put_quoted(&self, text: &[u8], out: &mut Out) {
        out.push(b'"');
        let mut rest = text;
        while let Some(quote) = memchr::memchr(b'"', rest) {
            out.put(&rest[..=quote]);
            out.push(b'"');
            rest = &rest[quote + 1..];
        }
        out.put(rest);
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::testing::batch;

    fn text_of(batch: &RecordBatch, delimiter: u8, null: &str) -> String {
        let dialect = Dialect { delimiter, header: true, null: null.into() };
        let mut text = header(batch.schema_ref(), &dialect);
        text.extend(rows(batch, &dialect, Vec::new()));
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn only_what_must_be_quoted_is() {
        let batch = batch!(
            "plain" => StringArray ["a b", "ü😀"],
            "a,b" => StringArray ["x,y", "say \"hi\"\r\nbye"],
            "n" => Int64Array [Some(-7), None],
        );
        assert_eq!(text_of(&batch, b',', ""), "plain,\"a,b\",n\na b,\"x,y\",-7\nü😀,\"say \"\"hi\"\"\r\nbye\",\n");
        assert_eq!(text_of(&batch.slice(0, 1), b';', ""), "plain;a,b;n\na b;x,y;-7\n");
    }

    #[test]
    fn a_text_that_would_read_as_a_null_is_quoted() {
        let batch = batch!(
            "s" => StringArray [Some(""), None, Some("NA"), Some("-"), Some("nun")],
            "v" => StringViewArray [Some(""), None, Some("null"), Some("-"), Some("ok")],
        );
        assert_eq!(text_of(&batch, b',', ""), "s,v\n\"\",\"\"\n,\n\"NA\",\"null\"\n-,-\nnun,ok\n");
        assert_eq!(text_of(&batch, b',', "-"), "s,v\n\"\",\"\"\n-,-\n\"NA\",\"null\"\n\"-\",\"-\"\nnun,ok\n");
    }
    #[test]
    fn binary_that_would_read_as_a_null_is_quoted() {
        let batch = batch!(
            "b" => BinaryArray [Some(&b""[..]), None, Some(b"\x00")],
            "v" => BinaryViewArray [Some(&b""[..]), None, Some(b"\x00")],
        );
        assert_eq!(text_of(&batch, b',', ""), "b,v\n\"\",\"\"\n,\n00,00\n");
        assert_eq!(text_of(&batch, b',', "00"), "b,v\n\"\",\"\"\n00,00\n\"00\",\"00\"\n");
    }
}
