//! Numbers and booleans as text.
//!
//! A float is written with as few digits as bring back the same float, and always so that it is seen to be one: `3.0`,
//! `1e16`. `NaN`, `inf` and `-inf` are written so; JSON, which has no word for them, does not come here with them.

use super::{Out, Print};
use arrow::array::{Array, ArrowPrimitiveType, AsArray, BooleanArray};
use arrow::datatypes::*;

/// The printer of a column of numbers or booleans.
pub fn printer(array: &dyn Array) -> Option<Box<dyn Print + '_>> {
    fn values<T: ArrowPrimitiveType>(array: &dyn Array) -> &[T::Native] {
        array.as_primitive::<T>().values()
    }
    Some(match array.data_type() {
        DataType::Boolean => Box::new(Booleans(array.as_boolean())),
        DataType::Int8 => Box::new(Signed(values::<Int8Type>(array))),
        DataType::Int16 => Box::new(Signed(values::<Int16Type>(array))),
        DataType::Int32 => Box::new(Signed(values::<Int32Type>(array))),
        DataType::Int64 => Box::new(Signed(values::<Int64Type>(array))),
        DataType::UInt8 => Box::new(Unsigned(values::<UInt8Type>(array))),
        DataType::UInt16 => Box::new(Unsigned(values::<UInt16Type>(array))),
        DataType::UInt32 => Box::new(Unsigned(values::<UInt32Type>(array))),
        DataType::UInt64 => Box::new(Unsigned(values::<UInt64Type>(array))),
        DataType::Float16 => Box::new(Floats::<Float16Type>(values::<Float16Type>(array))),
        DataType::Float32 => Box::new(Floats::<Float32Type>(values::<Float32Type>(array))),
        DataType::Float64 => Box::new(Floats::<Float64Type>(values::<Float64Type>(array))),
        _ => return None,
    })
}

/// Floating-point numbers of a width.
pub trait FloatType: ArrowPrimitiveType {
    /// Whether it is neither infinite nor NaN.
    fn is_finite(number: Self::Native) -> bool;

    /// Writes it.
    fn put(number: Self::Native, out: &mut Out);
}

macro_rules! float_type {
    ($type:ty, $number:ident => $plain:expr) => {
        impl FloatType for $type {
            fn is_finite($number: Self::Native) -> bool {
                $plain.is_finite()
            }

            fn put($number: Self::Native, out: &mut Out) {
                out.put(ryu::Buffer::new().format($plain).as_bytes());
            }
        }
    };
}
float_type!(Float16Type, number => number.to_f32());
float_type!(Float32Type, number => number);
float_type!(Float64Type, number => number);

struct Floats<'a, T: ArrowPrimitiveType>(&'a [T::Native]);

impl<T: FloatType> Print for Floats<'_, T> {
    fn print(&self, row: usize, out: &mut Out) {
        T::put(self.0[row], out);
    }
}

struct Signed<'a, T>(&'a [T]);

impl<T: Copy + Into<i64>> Print for Signed<'_, T> {
    fn print(&self, row: usize, out: &mut Out) {
        out.put_i64(self.0[row].into());
    }
}

struct Unsigned<'a, T>(&'a [T]);

impl<T: Copy + Into<u64>> Print for Unsigned<'_, T> {
    fn print(&self, row: usize, out: &mut Out) {
        out.put_u64(self.0[row].into());
    }
}

struct Booleans<'a>(&'a BooleanArray);

impl Print for Booleans<'_> {
    fn print(&self, row: usize, out: &mut Out) {
        out.put(if self.0.value(row) { b"true" } else { b"false" });
    }
}

#[cfg(test)]
mod tests {
    use super::super::printed;
    use arrow::array::{BooleanArray, Float32Array, Float64Array, Int64Array, UInt64Array};

    #[test]
    fn floats_have_the_fewest_digits_that_bring_them_back() {
        let numbers = vec![3.0, 0.1, -0.0, 1e16, 1e-7, 123_456.789, f64::MAX, f64::MIN_POSITIVE];
        let texts = printed(&Float64Array::from(numbers.clone()));
        assert_eq!(texts[..6], ["3.0", "0.1", "-0.0", "1e16", "1e-7", "123456.789"]);
        let back: Vec<f64> = texts.iter().map(|text| text.parse().expect("a number")).collect();
        assert_eq!(back, numbers);
        assert_eq!(printed(&Float32Array::from(vec![0.1])), ["0.1"]);
        assert_eq!(printed(&Float64Array::from(vec![f64::NAN, f64::INFINITY, -f64::INFINITY])), ["NaN", "inf", "-inf"]);
    }

    #[test]
    fn whole_numbers_and_booleans_are_exact() {
        assert_eq!(
            printed(&Int64Array::from(vec![(1 << 53) + 1, i64::MIN])),
            ["9007199254740993", "-9223372036854775808"]
        );
        assert_eq!(printed(&UInt64Array::from(vec![u64::MAX])), ["18446744073709551615"]);
        assert_eq!(printed(&BooleanArray::from(vec![true, false])), ["true", "false"]);
    }
}
