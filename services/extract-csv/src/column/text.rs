//! Text.

use super::{BadField, Column, Wrong, null_buffer};
use crate::field::Rules;
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

    fn push_quoted(&mut self, raw: &[u8]) -> Result<(), BadField> {
        let row = self.rows();
        let text = self.rules.text(raw, &mut self.scratch).map_err(BadField::quote(row, raw))?;
        if self.rules.quoted_nulls && self.rules.nulls.contain(text) {
            self.push_null();
        } else {
            self.bytes.extend_from_slice(text);
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
            if self.rules.is_quoted(raw) {
                self.push_quoted(raw)?;
                continue;
            }
            if self.rules.nulls.contain(raw) {
                self.push_null();
                continue;
            }
            match text[start..].first_chunk::<SHORT>() {
                Some(short) if raw.len() <= SHORT => {
                    let len = self.bytes.len() + raw.len();
                    self.bytes.extend_from_slice(short);
                    self.bytes.truncate(len);
                }
                _ => self.bytes.extend_from_slice(raw),
            }
            self.end_value();
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
