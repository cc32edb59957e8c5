//! Booleans.

use super::{BadField, Column, null_buffer};
use crate::field::Rules;
use crate::rows::Block;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use std::sync::Arc;

/// A column of booleans.
pub struct Booleans {
    rules: Arc<Rules>,
    given: bool,
    values: Vec<bool>,
    nulls: Vec<u32>,
    scratch: Vec<u8>,
}

impl Booleans {
    /// Of a type that the user gave, or that was guessed.
    pub fn new(rules: Arc<Rules>, given: bool) -> Self {
        Self { rules, given, values: Vec::new(), nulls: Vec::new(), scratch: Vec::new() }
    }

    fn push(&mut self, raw: &[u8]) -> Result<(), BadField> {
        let row = self.values.len();
        let value = self.rules.value(raw, &mut self.scratch).map_err(BadField::quote(row, raw))?;
        let Some(value) = value else {
            self.nulls.push(row as u32);
            self.values.push(false);
            return Ok(());
        };
        let parsed = truth(value).or_else(|| given_truth(value).filter(|_| self.given));
        self.values.push(parsed.ok_or_else(|| BadField::wrong_type(row, value))?);
        Ok(())
    }
}

impl Column for Booleans {
    fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
    }

    fn append(&mut self, block: &Block<'_>, place: usize) -> Result<(), BadField> {
        block.column(place).try_for_each(|(start, end)| self.push(&block.text()[start..end]))
    }

    fn finish(&mut self) -> Result<ArrayRef, BadField> {
        let nulls = null_buffer(self.values.len(), &self.nulls);
        let values = BooleanBuffer::from(self.values.as_slice());
        self.nulls.clear();
        self.values.clear();
        Ok(Arc::new(BooleanArray::new(values, nulls)))
    }
}

/// `true` and `false`, in any case.
pub fn truth(value: &[u8]) -> Option<bool> {
    match value.len() {
        4 if value.eq_ignore_ascii_case(b"true") => Some(true),
        5 if value.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// What a user may mean who said that the column is boolean.
fn given_truth(value: &[u8]) -> Option<bool> {
    const YES: [&[u8]; 5] = [b"yes", b"y", b"t", b"1", b"on"];
    const NO: [&[u8]; 5] = [b"no", b"n", b"f", b"0", b"off"];
    let among = |words: [&[u8]; 5]| words.iter().any(|word| word.eq_ignore_ascii_case(value));
    if among(YES) { Some(true) } else { among(NO).then_some(false) }
}
