//! Values as `COPY` reads them: each as the text of its column's type.

use crate::lines::{self, Cells as _, Lines, Text};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, DurationFormat, FormatOptions};
use flight_common::Fault;
use std::fmt::{self, Write};

/// Times as PostgreSQL reads them.
const OPTIONS: FormatOptions<'static> = FormatOptions::new()
    .with_display_error(false)
    .with_duration_format(DurationFormat::ISO8601)
    .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
    .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f%:z"));

/// The rows of plain columns as lines.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for a time that has no spelling, or a NUL in a text, which PostgreSQL does not hold.
pub fn lines(columns: &[ArrayRef], names: &[String]) -> Result<Lines, Fault> {
    let cells: Vec<Cells<'_>> = columns.iter().map(Cells::new).collect::<Result<_, _>>()?;
    lines::lines(&cells, names, columns.first().map_or(0, |column| column.len()))
}

/// The values of a column.
enum Cells<'a> {
    Null,
    Text(&'a ArrayRef),
    Bytes(&'a ArrayRef),
    /// Numbers, times and truths, whose spelling needs no escape.
    Plain(&'a ArrayRef, ArrayFormatter<'a>),
    List(&'a ArrayRef, Box<Cells<'a>>),
}

impl<'a> Cells<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self, Fault> {
        Ok(match column.data_type() {
            DataType::Null => Self::Null,
            DataType::Utf8View => Self::Text(column),
            DataType::BinaryView => Self::Bytes(column),
            DataType::List(_) => Self::List(column, Box::new(Self::new(column.as_list::<i32>().values())?)),
            _ => Self::Plain(column, ArrayFormatter::try_new(column, &OPTIONS)?),
        })
    }

    /// A value that is no list, as PostgreSQL spells it.
    fn spell(&self, row: usize, out: &mut impl Write) -> fmt::Result {
        match self {
            Self::Text(column) => out.write_str(column.as_string_view().value(row)),
            Self::Bytes(column) => {
                out.write_str("\\x")?;
                column.as_binary_view().value(row).iter().try_for_each(|byte| write!(out, "{byte:02x}"))
            }
            Self::Plain(column, formatter) if matches!(column.data_type(), DataType::Duration(_)) => {
                let mut length = String::new();
                formatter.value(row).write(&mut length).map_err(|_| fmt::Error)?;
                // PostgreSQL reads a sign before a number, and none before the whole.
                match length.strip_prefix("-PT") {
                    Some(below_zero) => write!(out, "PT-{below_zero}"),
                    None => out.write_str(&length),
                }
            }
            Self::Plain(_, formatter) => formatter.value(row).write(out).map_err(|_| fmt::Error),
            Self::Null | Self::List(..) => Ok(()),
        }
    }
}

impl lines::Cells for Cells<'_> {
    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Text(column) | Self::Bytes(column) | Self::Plain(column, _) | Self::List(column, _) => {
                column.is_null(row)
            }
        }
    }

    fn push(&self, row: usize, text: &mut Text) -> Result<(), String> {
        match self {
            Self::List(column, items) => text.escaped(array(column, items, row)?.as_bytes(), None),
            Self::Text(column) => text.escaped(column.as_string_view().value(row).as_bytes(), None),
            // The backslash of `\x` is one to COPY too.
            Self::Bytes(_) => text.write_str("\\").and_then(|()| self.spell(row, text)).map_err(|_| unspelled()),
            _ => self.spell(row, text).map_err(|_| unspelled()),
        }
    }
}

fn unspelled() -> String {
    "a time beyond what can be spelled".to_owned()
}

/// An array of one dimension: `{"1",NULL,"a\"b"}` (PostgreSQL's manual, *Arrays*, Input and Output Syntax).
fn array(column: &ArrayRef, items: &Cells<'_>, row: usize) -> Result<String, String> {
    let offsets = column.as_list::<i32>().value_offsets();
    let (begin, end) = (offsets[row] as usize, offsets[row + 1] as usize);
    let (mut literal, mut item) = ("{".to_owned(), String::new());
    for place in begin..end {
        if place > begin {
            literal.push(',');
        }
        if items.is_null(place) {
            literal.push_str("NULL");
            continue;
        }
        item.clear();
        items.spell(place, &mut item).map_err(|_| unspelled())?;
        literal.push('"');
        for character in item.chars() {
            if matches!(character, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(character);
        }
        literal.push('"');
    }
    literal.push('}');
    Ok(literal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryViewArray, DurationMillisecondArray, Float64Array, Int64Array, ListArray, NullArray, StringViewArray,
    };
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    fn text(columns: Vec<ArrayRef>) -> Result<String, Fault> {
        let names: Vec<String> = (0..columns.len()).map(|place| format!("c{place}")).collect();
        lines(&columns, &names).map(|lines| String::from_utf8(lines.text).expect("UTF-8"))
    }

    #[test]
    fn values_are_spelled_for_copy() {
        let texts = StringViewArray::from(vec![Some("a\tb\\c\n"), Some(""), None]);
        let bytes = BinaryViewArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None]);
        let floats = Float64Array::from(vec![Some(f64::NAN), Some(0.1), None]);
        let written = text(vec![Arc::new(texts), Arc::new(bytes), Arc::new(floats), Arc::new(NullArray::new(3))]);
        assert_eq!(
            written.expect("spelled"),
            "a\\tb\\\\c\\n\t\\\\x00ff\tNaN\t\\N\n\t\\\\x\t0.1\t\\N\n\\N\t\\N\t\\N\t\\N\n"
        );
    }

    #[test]
    fn a_length_of_time_has_its_sign_where_it_is_read() {
        let lengths = DurationMillisecondArray::from(vec![1500, -1500, 0]);
        assert_eq!(text(vec![Arc::new(lengths)]).expect("spelled"), "PT1.5S\nPT-1.5S\nP0D\n");
    }

    #[test]
    fn lists_are_array_literals() {
        let numbers =
            ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), Some(vec![]), None]);
        assert_eq!(text(vec![Arc::new(numbers)]).expect("spelled"), "{\"1\",NULL}\n{}\n\\N\n");
    }

    #[test]
    fn a_nul_is_refused_with_its_row() {
        let fault =
            text(vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringViewArray::from(vec!["a", "b\0"]))]);
        assert_eq!(fault.expect_err("refused").row_number(), Some(2));
    }
}
