//! What is wrong with the text, where, and what to try.
//!
//! Pieces of the file are read in parallel, so a piece knows only its own lines and rows. The reader adds those of the
//! pieces before it, and here the words are found.

use crate::column::{BadField, ColumnPlan, Wrong};
use crate::rows::Ragged;
use arrow::datatypes::DataType;
use flight_common::Fault;
use flight_common::values::{Forms, Seen, types};
use memchr::memchr_iter;

/// What is wrong with the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Line breaks before it.
    pub line: u64,
    /// Rows before it, where that is known.
    pub row: Option<u64>,
    /// What it is.
    pub what: What,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A row has too many or too few fields.
    Ragged { fields: usize },
    /// A field of the column at this place cannot be read.
    Field { column: usize, wrong: Wrong, value: Vec<u8> },
    /// Bytes that are not UTF-8, in the first rows.
    NotUtf8 { byte: u8 },
    /// Bytes that mean nothing in the given encoding.
    Undecodable { encoding: &'static str },
    /// A quoted field does not end before the file does.
    Unclosed,
    /// A quoted field does not end within the limit.
    LongQuote { limit: usize },
    /// A line does not end within the limit.
    LongLine { limit: usize },
}

impl Trouble {
    /// A ragged row of `text`, before which there are `row` rows.
    pub fn ragged(text: &[u8], row: usize, ragged: Ragged) -> Self {
        let what = What::Ragged { fields: ragged.fields };
        Self { line: lines(&text[..ragged.start]), row: Some(row as u64), what }
    }

    /// A bad field of a row of `text` that begins at `start`, and before which there are `row` rows.
    pub fn field(text: &[u8], start: usize, row: usize, column: usize, field: BadField) -> Self {
        let what = What::Field { column, wrong: field.wrong, value: field.value };
        Self { line: lines(&text[..start]), row: Some(row as u64), what }
    }
}

/// Line breaks in a text.
pub fn lines(text: &[u8]) -> u64 {
    memchr_iter(b'\n', text).count() as u64
}

/// What a message speaks of: the file and its columns, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The file, as the user wrote it.
    pub path: &'a str,
    /// The names of its columns.
    pub names: &'a [String],
    /// Their types.
    pub columns: &'a [ColumnPlan],
    /// How dates and timestamps are written.
    pub forms: &'a Forms,
}

impl About<'_> {
    /// The fault. `lines` and `rows` lie before the piece that the trouble is in.
    pub fn explain(&self, trouble: Trouble, lines: u64, rows: u64) -> Fault {
        let place = format!("{}, line {}", self.path, lines + trouble.line + 1);
        let fault = match trouble.what {
            What::Ragged { fields } => self.ragged(&place, fields),
            What::Field { column, wrong, value } => self.field(&place, column, wrong, &value),
            What::NotUtf8 { byte } => not_text(format!("{place}: byte 0x{byte:02x} is not UTF-8")),
            What::Undecodable { encoding } => not_text(format!("{place}: the text is not {encoding}")),
            What::Unclosed => Fault::bad_data(format!("{place}: the quote that opens here is never closed"))
                .help("close it, or set `quote: \"\"` if quotes are characters like others in this file"),
            What::LongQuote { limit } => {
                Fault::bad_data(format!("{place}: the quoted field that begins here is longer than {}", mib(limit)))
                    .help("close the quote, or set `quote: \"\"` if quotes are characters like others in this file")
            }
            What::LongLine { limit } => Fault::bad_data(format!("{place}: the line is longer than {}", mib(limit)))
                .help("is it a CSV file, with a line break after each row?"),
        };
        match trouble.row {
            Some(row) => fault.row(rows + row + 1),
            None => fault,
        }
    }

    fn ragged(&self, place: &str, fields: usize) -> Fault {
        let wanted = self.names.len();
        let help = if fields > wanted {
            "put quotes around a field that holds the delimiter, or set `delimiter`"
        } else {
            "complete the row, or set `delimiter`; a line break within a field needs quotes around the field"
        };
        let expected = format!("expected {wanted}, like the first line");
        Fault::bad_data(format!("{place}: {}, {expected}", fields_in_words(fields))).help(help)
    }

    fn field(&self, place: &str, column: usize, wrong: Wrong, value: &[u8]) -> Fault {
        let name = self.names.get(column).map(String::as_str).unwrap_or_default();
        let shown = shown(value);
        let place = format!("{place}, column \"{name}\"");
        let fault = match wrong {
            Wrong::Encoding => not_text(format!("{place}: {shown} is not UTF-8")),
            Wrong::Quote => Fault::bad_data(format!("{place}: {shown} goes on after its closing quote"))
                .help("double a quote within quotes (\"\"), or set `quote: \"\"` if quotes are characters like others"),
            Wrong::Type => match self.columns.get(column) {
                Some(plan) => self.wrong_type(&place, name, plan, value),
                None => Fault::bad_data(format!("{place}: {shown}")),
            },
        };
        fault.column(name)
    }

    fn wrong_type(&self, place: &str, name: &str, plan: &ColumnPlan, value: &[u8]) -> Fault {
        let (shown, is) = (shown(value), types::name(&plan.data_type));
        let setting = |data_type: &DataType| format!("types: {{{name:?}: {:?}}}", types::name(data_type));
        let or_null = "or add it to `nulls` if it stands for a missing value";
        if plan.given {
            let help = format!("correct the value, set `{}`, {or_null}", setting(&DataType::Utf8));
            return Fault::bad_data(format!("{place}: {shown} is not {is}, as `types` says")).help(help);
        }
        let mut seen = Seen::of(&plan.data_type);
        seen.add(value, self.forms);
        let message = format!("{place}: {shown} is not {is}, the type guessed from the first rows");
        Fault::bad_data(message).help(format!("set `{}`, raise `sample_rows`, {or_null}", setting(&seen.data_type())))
    }
}

fn not_text(message: String) -> Fault {
    Fault::bad_data(message).help("set `encoding` to that of the file: windows-1252 (Western Europe), utf-16le, …")
}

/// A value in quotes, cut short.
fn shown(value: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(&value[..value.len().min(4 * LONGEST)]);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// `1 field`, `3 fields`.
fn fields_in_words(number: usize) -> String {
    format!("{number} field{}", if number == 1 { "" } else { "s" })
}

fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}
