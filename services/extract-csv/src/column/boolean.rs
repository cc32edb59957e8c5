//! Booleans.

use super::{BadField, Column, null_buffer};
use crate::field::Rules;
use crate::rows::Block;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use flight_common::values::parse_boolean;
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
        let parsed = parse_boolean(value, self.given);
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
