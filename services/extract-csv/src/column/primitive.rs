//! Columns of values of a fixed width.

use super::{BadField, Column, null_buffer};
use crate::field::Rules;
use crate::mask::LANES;
use crate::rows::Block;
use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::DataType;
use flight_common::values::{Native, Parse};
use std::sync::Arc;

/// A column of such values.
pub struct Primitive<P: Parse> {
    parse: P,
    data_type: DataType,
    rules: Arc<Rules>,
    /// No spelling of null is told to be a value at a glance, so that the glance may come first.
    glances: bool,
    values: Vec<Native<P>>,
    nulls: Vec<u32>,
    scratch: Vec<u8>,
}

impl<P: Parse> Primitive<P> {
    /// An empty column.
    pub fn new(parse: P, data_type: DataType, rules: Arc<Rules>) -> Self {
        let deceives = |word: &[u8]| parse.glance(&[word, &[0; LANES]].concat(), 0, word.len()).is_some();
        let glances = !rules.nulls.words().any(deceives);
        Self { parse, data_type, rules, glances, values: Vec::new(), nulls: Vec::new(), scratch: Vec::new() }
    }

    /// Reads the field at `text[start..end]`, which was not told at a glance.
    #[inline(never)]
    fn read(&mut self, row: usize, text: &[u8], start: usize, end: usize) -> Result<Native<P>, BadField> {
        let raw = &text[start..end];
        if self.glances && raw.len() > 2 && self.rules.is_quoted(raw) {
            // Quotes within fail the glance, and so does one that is not closed.
            if let Some(value) = self.parse.glance(text, start + 1, raw.len() - 2) {
                return Ok(value);
            }
        }
        let value = self.rules.value(raw, &mut self.scratch).map_err(BadField::quote(row, raw))?;
        let Some(value) = value else {
            self.nulls.push(row as u32);
            return Ok(Native::<P>::default());
        };
        self.parse.parse(value).ok_or_else(|| BadField::wrong_type(row, value))
    }
}

impl<P: Parse> Column for Primitive<P> {
    fn reserve(&mut self, rows: usize) {
        self.values.reserve_exact(rows);
    }

    fn append(&mut self, block: &Block<'_>, place: usize) -> Result<(), BadField> {
        let text = block.text();
        let (before, glances) = (self.values.len(), self.glances);
        // The values are taken out so that the loop need not look up anew for each of them where they are, and the loop
        // goes on after a bad field so that its length is known from the start.
        let mut values = std::mem::take(&mut self.values);
        let mut bad = None;
        values.extend(block.column(place).enumerate().map(|(row, (start, end))| {
            let glance = if glances { self.parse.glance(text, start, end - start) } else { None };
            glance.unwrap_or_else(|| {
                self.read(before + row, text, start, end).unwrap_or_else(|field| {
                    bad.get_or_insert(field);
                    Native::<P>::default()
                })
            })
        }));
        self.values = values;
        bad.map_or(Ok(()), Err)
    }

    fn finish(&mut self) -> Result<ArrayRef, BadField> {
        let nulls = null_buffer(self.values.len(), &self.nulls);
        self.nulls.clear();
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        let array = PrimitiveArray::<P::Arrow>::new(values, nulls).with_data_type(self.data_type.clone());
        Ok(Arc::new(array))
    }
}
