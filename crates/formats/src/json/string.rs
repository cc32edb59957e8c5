//! JSON strings: what must be escaped is, all else stays as it is, in UTF-8.

use crate::text::{Out, Print};
use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

/// Whether a column holds text.
pub fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The printer of a column of text.
pub fn printer(array: &dyn Array) -> Option<Box<dyn Print + '_>> {
    Some(match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Box::new(Strings(|row| array.value(row)))
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            Box::new(Strings(|row| array.value(row)))
        }
        DataType::Utf8View => {
            let array = array.as_string_view();
            Box::new(Strings(|row| array.value(row)))
        }
        _ => return None,
    })
}

struct Strings<F>(F);

impl<'a, F: Fn(usize) -> &'a str> Print for Strings<F> {
    fn print(&self, row: usize, out: &mut Out) {
        put_string((self.0)(row), out);
    }
}

/// Writes a text in quotes.
pub fn put_string(text: &str, out: &mut Out) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(place) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.put(&rest[..place]);
        put_escape(rest[place], out);
        rest = &rest[place + 1..];
    }
    out.put(rest);
    out.push(b'"');
}

fn put_escape(byte: u8, out: &mut Out) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        other => {
            out.put(b"\\u00");
            return out.put_hex(&[other]);
        }
    };
    out.put(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_as_they_were() {
        for text in ["", "plain", "a\"b\\c/d", "\u{0}\u{1f}\n\r\t\u{8}\u{c}\u{7f}", "ü😀 \u{2028}", "\\\\\"\""] {
            let mut out = Out::default();
            put_string(text, &mut out);
            let back: String = serde_json::from_slice(&out.into_bytes()).expect("JSON");
            assert_eq!(back, text);
        }
    }
}
