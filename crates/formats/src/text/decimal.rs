//! Decimals as text: every digit of their scale, and never an exponent.

use super::{Out, Print};
use arrow::array::{Array, ArrowPrimitiveType, AsArray};
use arrow::datatypes::*;

/// The printer of a column of decimals.
pub fn printer(array: &dyn Array) -> Option<Box<dyn Print + '_>> {
    fn values<T: ArrowPrimitiveType>(array: &dyn Array) -> &[T::Native] {
        array.as_primitive::<T>().values()
    }
    Some(match *array.data_type() {
        DataType::Decimal32(_, scale) => Box::new(Decimals { values: values::<Decimal32Type>(array), scale }),
        DataType::Decimal64(_, scale) => Box::new(Decimals { values: values::<Decimal64Type>(array), scale }),
        DataType::Decimal128(_, scale) => Box::new(Decimals { values: values::<Decimal128Type>(array), scale }),
        DataType::Decimal256(_, scale) => Box::new(Decimals { values: values::<Decimal256Type>(array), scale }),
        _ => return None,
    })
}

struct Decimals<'a, T> {
    values: &'a [T],
    scale: i8,
}

impl<T: Unscaled> Print for Decimals<'_, T> {
    fn print(&self, row: usize, out: &mut Out) {
        self.values[row].with_digits(|digits| put(digits, self.scale, out));
    }
}

/// The whole number behind a decimal.
trait Unscaled: Copy {
    fn with_digits(self, work: impl FnOnce(&str));
}

macro_rules! unscaled {
    ($($number:ty),*) => {$(
        impl Unscaled for $number {
            fn with_digits(self, work: impl FnOnce(&str)) {
                work(itoa::Buffer::new().format(self));
            }
        }
    )*};
}
unscaled!(i32, i64, i128);

impl Unscaled for i256 {
    fn with_digits(self, work: impl FnOnce(&str)) {
        work(&self.to_string());
    }
}

fn put(number: &str, scale: i8, out: &mut Out) {
    let digits = match number.strip_prefix('-') {
        Some(digits) => {
            out.push(b'-');
            digits
        }
        None => number,
    };
    let places = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.put(digits.as_bytes());
        let zeros = if digits == "0" { 0 } else { places };
        (0..zeros).for_each(|_| out.push(b'0'));
        return;
    }
    match digits.len().checked_sub(places).filter(|&whole| whole > 0) {
        Some(whole) => {
            out.put(&digits.as_bytes()[..whole]);
            out.push(b'.');
            out.put(&digits.as_bytes()[whole..]);
        }
        None => {
            out.put(b"0.");
            (digits.len()..places).for_each(|_| out.push(b'0'));
            out.put(digits.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::printed;
    use arrow::array::{Decimal128Array, Decimal256Array};
    use arrow::datatypes::i256;

    fn decimals(values: &[i128], scale: i8) -> Vec<String> {
        let array = Decimal128Array::from(values.to_vec()).with_precision_and_scale(38, scale).expect("it fits");
        printed(&array)
    }

    #[test]
    fn every_digit_of_the_scale_is_written() {
        assert_eq!(decimals(&[150, -5, 0, 12345], 2), ["1.50", "-0.05", "0.00", "123.45"]);
        assert_eq!(decimals(&[7, 0], 0), ["7", "0"]);
        assert_eq!(decimals(&[7, -12, 0], -3), ["7000", "-12000", "0"]);
        let widest = 99_999_999_999_999_999_999_999_999_999_999_999_999_i128;
        assert_eq!(
            decimals(&[widest, -widest], 38),
            [format!("0.{}", "9".repeat(38)), format!("-0.{}", "9".repeat(38))]
        );
    }

    #[test]
    fn the_widest_decimals_are_exact() {
        let number = i256::from_string(&"1234567890".repeat(7)).expect("70 digits");
        let array = Decimal256Array::from(vec![number]).with_precision_and_scale(76, 10).expect("it fits");
        assert_eq!(printed(&array), [format!("{}.1234567890", "1234567890".repeat(6))]);
    }
}
