//! Columns being filled: fields are read straight into Arrow buffers of the column's type.
//!
//! One virtual call per column and block; within, each type has its own loop. A null costs a note of its place, a
//! value nothing beyond itself.

mod boolean;
mod decimal;
mod number;
mod primitive;
mod text;
mod time;

use crate::field::{BadQuote, Rules};
use crate::forms::Forms;
use crate::rows::Block;
use arrow::array::ArrayRef;
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::*;
use std::sync::Arc;

pub use boolean::truth;
pub use number::{integer, is_float, is_lossless_float, is_plain, up_to_eight_digits};
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
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let (given, forms) = (plan.given, forms.clone());
    macro_rules! primitive {
        ($parse:expr) => {
            Box::new(Primitive::new($parse, plan.data_type.clone(), rules.clone()))
        };
    }
    match &plan.data_type {
        DataType::Int8 => primitive!(number::Integers::<Int8Type>::new(given)),
        DataType::Int16 => primitive!(number::Integers::<Int16Type>::new(given)),
        DataType::Int32 => primitive!(number::Integers::<Int32Type>::new(given)),
        DataType::Int64 => primitive!(number::Integers::<Int64Type>::new(given)),
        DataType::UInt8 => primitive!(number::Integers::<UInt8Type>::new(given)),
        DataType::UInt16 => primitive!(number::Integers::<UInt16Type>::new(given)),
        DataType::UInt32 => primitive!(number::Integers::<UInt32Type>::new(given)),
        DataType::UInt64 => primitive!(number::Integers::<UInt64Type>::new(given)),
        DataType::Float32 => primitive!(number::Floats::<Float32Type>::new(given)),
        DataType::Float64 => primitive!(number::Floats::<Float64Type>::new(given)),
        DataType::Decimal128(precision, scale) => primitive!(decimal::Decimals::new(*precision, *scale)),
        DataType::Date32 => primitive!(time::Dates(forms)),
        DataType::Time64(_) => primitive!(time::Times),
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_deref();
            match unit {
                Second => primitive!(time::Stamps::<TimestampSecondType>::new(zone, given, forms)),
                Millisecond => primitive!(time::Stamps::<TimestampMillisecondType>::new(zone, given, forms)),
                Microsecond => primitive!(time::Stamps::<TimestampMicrosecondType>::new(zone, given, forms)),
                Nanosecond => primitive!(time::Stamps::<TimestampNanosecondType>::new(zone, given, forms)),
            }
        }
        DataType::Boolean => Box::new(boolean::Booleans::new(rules.clone(), given)),
        _ => Box::new(text::Texts::new(rules.clone(), plan.mean_length)),
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
