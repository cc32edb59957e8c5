//! Values as text, the same in CSV and JSON: numbers, decimals, booleans, dates and times, binary.
//!
//! Text itself is not here: its quoting is what tells the formats apart. A column is looked at once per batch; then
//! each value is one call. Everything is exact: what is written reads back as the value it was.

mod decimal;
mod number;
mod out;
mod span;
mod time;

pub use number::FloatType;
pub use out::Out;

use arrow::array::{Array, AsArray};
use arrow::datatypes::*;

/// Prints the values of one column.
pub trait Print {
    /// Prints the value in this row, which is not null.
    fn print(&self, row: usize, out: &mut Out);
}

/// How the values of a column are printed, and whether JSON puts them in quotes.
pub struct Scalar<'a> {
    /// Prints them.
    pub printer: Box<dyn Print + 'a>,
    /// They stand bare in JSON: numbers and booleans.
    pub bare: bool,
}

/// The printer of a column that is neither text nor nested; nothing for one that is.
pub fn scalar(array: &dyn Array) -> Option<Scalar<'_>> {
    let bare = number::printer(array).or_else(|| decimal::printer(array));
    if let Some(printer) = bare {
        return Some(Scalar { printer, bare: true });
    }
    let printer = time::printer(array).or_else(|| span::printer(array)).or_else(|| binary(array))?;
    Some(Scalar { printer, bare: false })
}

/// Bytes as hexadecimal digits.
struct Hex<F>(F);

impl<'a, F: Fn(usize) -> &'a [u8]> Print for Hex<F> {
    fn print(&self, row: usize, out: &mut Out) {
        out.put_hex((self.0)(row));
    }
}

fn binary(array: &dyn Array) -> Option<Box<dyn Print + '_>> {
    Some(match array.data_type() {
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Box::new(Hex(|row| array.value(row)))
        }
        DataType::LargeBinary => {
            let array = array.as_binary::<i64>();
            Box::new(Hex(|row| array.value(row)))
        }
        DataType::BinaryView => {
            let array = array.as_binary_view();
            Box::new(Hex(|row| array.value(row)))
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            Box::new(Hex(|row| array.value(row)))
        }
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) fn printed(array: &dyn Array) -> Vec<String> {
    let scalar = scalar(array).expect("a scalar column");
    let text = |row| {
        let mut out = Out::default();
        scalar.printer.print(row, &mut out);
        String::from_utf8(out.into_bytes()).expect("text")
    };
    (0..array.len()).map(text).collect()
}
