//! One row of CSV in the making.

use std::io::{self, Write};

/// Cells, written one after another into one buffer. Texts hold no character that would need quotes.
#[derive(Default)]
pub(super) struct Row(Vec<u8>);

impl Row {
    pub fn text(&mut self, text: &str) {
        debug_assert!(!text.contains([',', '"', '\n']), "{text} would need quotes");
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b',');
    }

    pub fn int(&mut self, number: i64) {
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.0.push(b',');
    }

    /// An amount with two decimals, given in hundredths.
    pub fn hundredths(&mut self, number: i64) {
        self.0.extend_from_slice(itoa::Buffer::new().format(number / 100).as_bytes());
        let rest = (number % 100).unsigned_abs() as u8;
        self.0.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10, b',']);
    }

    /// A cell without a value.
    pub fn null(&mut self) {
        self.0.push(b',');
    }

    /// Ends the row, writes it, and is empty again.
    pub fn write_to(&mut self, out: &mut impl Write) -> io::Result<()> {
        if let Some(last) = self.0.last_mut() {
            *last = b'\n';
        }
        let written = out.write_all(&self.0);
        self.0.clear();
        written
    }
}
