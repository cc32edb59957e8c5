//! From text to a value of an Arrow type, and which parser a type has.

use super::forms::Forms;
use super::{decimal, number, time};
use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::*;
use std::sync::Arc;

/// Reads values of a type.
pub trait Parse: Send {
    /// The type.
    type Arrow: ArrowPrimitiveType;

    /// The value of a field without spaces and quotes, if it is one.
    fn parse(&self, value: &[u8]) -> Option<Native<Self>>;

    /// The value of the field at `text[start..start + len]`, if that is told at once: it has no quotes and no spaces.
    /// There is more text behind it.
    #[inline]
    fn glance(&self, _text: &[u8], _start: usize, _len: usize) -> Option<Native<Self>> {
        None
    }
}

/// A value as it lies in memory.
pub type Native<P> = <<P as Parse>::Arrow as ArrowPrimitiveType>::Native;

/// What is made of a type: one thing for those of a fixed width, given the parser of their values, another for booleans,
/// another for text.
pub trait ByType {
    /// What is made.
    type Made;

    /// For a type of a fixed width.
    fn primitive<P: Parse + 'static>(self, parse: P) -> Self::Made;

    /// For booleans.
    fn boolean(self) -> Self::Made;

    /// For text, and for all that has no parser.
    fn text(self) -> Self::Made;
}

/// Makes what a type needs. A type that the user gave takes a value at its word; one that was guessed takes none that
/// would not come out as it went in, such as `007` for an integer.
pub fn by_type<M: ByType>(data_type: &DataType, given: bool, forms: &Arc<Forms>, make: M) -> M::Made {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let forms = forms.clone();
    match data_type {
        DataType::Int8 => make.primitive(number::Integers::<Int8Type>::new(given)),
        DataType::Int16 => make.primitive(number::Integers::<Int16Type>::new(given)),
        DataType::Int32 => make.primitive(number::Integers::<Int32Type>::new(given)),
        DataType::Int64 => make.primitive(number::Integers::<Int64Type>::new(given)),
        DataType::UInt8 => make.primitive(number::Integers::<UInt8Type>::new(given)),
        DataType::UInt16 => make.primitive(number::Integers::<UInt16Type>::new(given)),
        DataType::UInt32 => make.primitive(number::Integers::<UInt32Type>::new(given)),
        DataType::UInt64 => make.primitive(number::Integers::<UInt64Type>::new(given)),
        DataType::Float32 => make.primitive(number::Floats::<Float32Type>::new(given)),
        DataType::Float64 => make.primitive(number::Floats::<Float64Type>::new(given)),
        DataType::Decimal128(precision, scale) => make.primitive(decimal::Decimals::new(*precision, *scale)),
        DataType::Date32 => make.primitive(time::Dates(forms)),
        DataType::Time64(_) => make.primitive(time::Times),
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_deref();
            match unit {
                Second => make.primitive(time::Stamps::<TimestampSecondType>::new(zone, given, forms)),
                Millisecond => make.primitive(time::Stamps::<TimestampMillisecondType>::new(zone, given, forms)),
                Microsecond => make.primitive(time::Stamps::<TimestampMicrosecondType>::new(zone, given, forms)),
                Nanosecond => make.primitive(time::Stamps::<TimestampNanosecondType>::new(zone, given, forms)),
            }
        }
        DataType::Boolean => make.boolean(),
        _ => make.text(),
    }
}
