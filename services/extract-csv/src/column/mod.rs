//! Columns being filled: fields are read straight into Arrow buffers of the column's type.
//!
//! One virtual call per column and block; within, each type has its own loop. A null costs a note of its place, a
//! value nothing beyond itself.

mod boolean;
mod primitive;
mod text;

use crate::field::{BadQuote, Rules};
use crate::rows::Block;
use arrow::array::ArrayRef;
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;
use flight_common::values::{ByType, Forms, Parse, by_type};
use std::sync::Arc;

use primitive::Primitive;

/// A column being filled.
pub trait Column: Send {
    /// Makes room for this many rows.
    fn reserve(&mut self, rows: usize);

    /// Reads its fields, those at `place` of each row, from a block.
    ///
    /// # Errors
    /// The first field that cannot be read.
    fn append(&mut self, block: &Block<'_>, place: usize) -> Result<(), BadField>;

    /// What was read since the last time.
    ///
    /// # Errors
    /// A field that is not UTF-8.
    fn finish(&mut self) -> Result<ArrayRef, BadField>;
}

/// A field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadField {
    /// Its row, counted from 0 since the column was last finished.
    pub row: usize,
    /// What is wrong with it.
    pub wrong: Wrong,
    /// What it says.
    pub value: Vec<u8>,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is no value of the column's type.
    Type,
    /// It is not UTF-8.
    Encoding,
    /// Something follows its closing quote.
    Quote,
}

impl BadField {
    fn wrong_type(row: usize, value: &[u8]) -> Self {
        let wrong = if std::str::from_utf8(value).is_ok() { Wrong::Type } else { Wrong::Encoding };
        Self { row, wrong, value: value.to_vec() }
    }

    /// The fault of a field at `row` that goes on after its closing quote.
    pub fn quote(row: usize, raw: &[u8]) -> impl Fn(BadQuote) -> Self {
        move |_| Self { row, wrong: Wrong::Quote, value: raw.to_vec() }
    }
}

/// What a column is to be.
#[derive(Clone, Debug)]
pub struct ColumnPlan {
    /// Its type.
    pub data_type: DataType,
    /// Whether the user gave the type. A guessed one takes no value that would not come out as it went in, such as
    /// `007` for an integer; a given one does what it is told.
    pub given: bool,
    /// The mean length of its fields in bytes, as far as it is known.
    pub mean_length: usize,
}

/// A column of that plan, empty.
pub fn new(plan: &ColumnPlan, rules: &Arc<Rules>, forms: &Arc<Forms>) -> Box<dyn Column> {
    by_type(&plan.data_type, plan.given, forms, Make { plan, rules })
}

struct Make<'a> {
    plan: &'a ColumnPlan,
    rules: &'a Arc<Rules>,
}

impl ByType for Make<'_> {
    type Made = Box<dyn Column>;

    fn primitive<P: Parse + 'static>(self, parse: P) -> Self::Made {
        Box::new(Primitive::new(parse, self.plan.data_type.clone(), self.rules.clone()))
    }

    fn boolean(self) -> Self::Made {
        Box::new(boolean::Booleans::new(self.rules.clone(), self.plan.given))
    }

    fn text(self) -> Self::Made {
        Box::new(text::Texts::new(self.rules.clone(), self.plan.mean_length))
    }
}

/// The nulls of a column of `rows` rows, given their places.
fn null_buffer(rows: usize, nulls: &[u32]) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut bits = vec![u8::MAX; rows.div_ceil(8)];
    for &null in nulls {
        bits[null as usize / 8] &= !(1 << (null % 8));
    }
    Some(NullBuffer::new(BooleanBuffer::new(bits.into(), 0, rows)))
}
