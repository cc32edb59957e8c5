//! Text.

use super::{BadField, Column, Wrong, null_buffer};
use crate::field::Rules;
use crate::mask::equal;
use crate::rows::Block;
use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;

/// Bytes that are copied in one go, and of which those beyond the field are forgotten again: quicker than a call to
/// copy just as many.
const SHORT: usize = 16;

/// A column of text.
pub struct Texts {
    rules: Arc<Rules>,
    mean_length: usize,
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    nulls: Vec<u32>,
    scratch: Vec<u8>,
}

impl Texts {
    /// An empty column, whose fields are expected to be about as long.
    pub fn new(rules: Arc<Rules>, mean_length: usize) -> Self {
        Self { rules, mean_length, offsets: vec![0], bytes: Vec::new(), nulls: Vec::new(), scratch: Vec::new() }
    }

    fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Ends the value that begins where the last one ended. A text is cut out of a piece of file that is shorter than
    /// 2 GiB, so its length always fits.
    #[inline]
    fn end_value(&mut self) {
        self.offsets.push(self.bytes.len() as i32);
    }

    fn push_null(&mut self) {
        self.nulls.push(self.rows() as u32);
        self.end_value();
    }

    /// Ends a value that is copied from `text[start..end]`.
    #[inline(always)]
    fn push(&mut self, text: &[u8], start: usize, end: usize) {
        match text[start..].first_chunk::<SHORT>() {
            Some(short) if end - start <= SHORT => {
                let len = self.bytes.len() + (end - start);
                self.bytes.extend_from_slice(short);
                self.bytes.truncate(len);
            }
            _ => self.bytes.extend_from_slice(&text[start..end]),
        }
        self.end_value();
    }

    /// Reads a field between quotes.
    #[inline(never)]
    fn read_quoted(&mut self, quote: u8, text: &[u8], start: usize, end: usize) -> Result<(), BadField> {
        let (row, raw) = (self.rows(), &text[start..end]);
        // If the next quote is the last byte, and that is seen at once, nothing else has to be looked at.
        let closing = text[start + 1..].first_chunk().map_or(0, |word| equal(word, quote).trailing_zeros());
        if !self.rules.quoted_nulls && start + 2 + closing as usize == end {
            self.push(text, start + 1, end - 1);
            return Ok(());
        }
        let value = self.rules.text(raw, &mut self.scratch).map_err(BadField::quote(row, raw))?;
        if self.rules.quoted_nulls && self.rules.nulls.contain(value) {
            self.push_null();
        } else {
            self.bytes.extend_from_slice(value);
            self.end_value();
        }
        Ok(())
    }

    fn first_bad_value(&self, bytes: &Buffer, offsets: &ScalarBuffer<i32>) -> BadField {
        let value = |row: usize| &bytes[offsets[row] as usize..offsets[row + 1] as usize];
        let rows = offsets.len() - 1;
        let row = (0..rows).find(|&row| std::str::from_utf8(value(row)).is_err()).unwrap_or_default();
        BadField { row, wrong: Wrong::Encoding, value: value(row).to_vec() }
    }
}

impl Column for Texts {
    fn reserve(&mut self, rows: usize) {
        self.offsets.reserve_exact(rows);
        // An eighth more than expected, so that it seldom has to grow.
        self.bytes.reserve_exact(rows * self.mean_length * 9 / 8 + SHORT);
    }

    fn append(&mut self, block: &Block<'_>, place: usize) -> Result<(), BadField> {
        let text = block.text();
        for (start, end) in block.column(place) {
            let raw = &text[start..end];
            match self.rules.dialect.quote {
                Some(quote) if raw.first() == Some(&quote) => self.read_quoted(quote, text, start, end)?,
                _ if self.rules.nulls.contain(raw) => self.push_null(),
                _ => self.push(text, start, end),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, BadField> {
        let nulls = null_buffer(self.rows(), &self.nulls);
        self.nulls.clear();
        let offsets = ScalarBuffer::from(std::mem::replace(&mut self.offsets, vec![0]));
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        let array = StringArray::try_new(OffsetBuffer::new(offsets.clone()), bytes.clone(), nulls);
        Ok(Arc::new(array.map_err(|_| self.first_bad_value(&bytes, &offsets))?))
    }
}
