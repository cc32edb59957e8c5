//! Integers and floats.

use super::{Parse, written};
use arrow::datatypes::{ArrowPrimitiveType, Float32Type, Float64Type};
use std::marker::PhantomData;

/// Integers of a width.
pub struct Integers<T> {
    given: bool,
    of: PhantomData<fn() -> T>,
}

impl<T> Integers<T> {
    /// Of a type that the user gave, or that was guessed.
    pub fn new(given: bool) -> Self {
        Self { given, of: PhantomData }
    }
}

impl<T> Parse for Integers<T>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<u32> + TryFrom<i128>,
{
    type Arrow = T;

    #[inline]
    fn glance(&self, text: &[u8], start: usize, len: usize) -> Option<T::Native> {
        let (number, is_number) = up_to_eight_digits(text, start, len);
        // One branch for both, and one that is nearly always taken.
        let is_plain = self.given | (len == 1) | (text[start] != b'0');
        if is_number & is_plain { T::Native::try_from(number).ok() } else { None }
    }

    fn parse(&self, value: &[u8]) -> Option<T::Native> {
        if !self.given && !is_plain(value) {
            return None;
        }
        T::Native::try_from(integer(value)?).ok()
    }
}

/// Up to eight digits, and whether that is what stands there. They are read as one word: whatever their number, it
/// costs no branch that could be guessed wrong. There are eight bytes at `start`, digits or not.
#[inline]
pub fn up_to_eight_digits(text: &[u8], start: usize, len: usize) -> (u32, bool) {
    let Some(word) = text[start..].first_chunk() else { return (0, false) };
    // The digits move to the end of the word, and zeros before them. A digit is now 0 to 9, anything else is more.
    let shift = 64usize.wrapping_sub(8 * len) as u32;
    let digits = (u64::from_le_bytes(*word) ^ 0x3030_3030_3030_3030).wrapping_shl(shift);
    let others = (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
    // Neighbours are joined: single digits to pairs, pairs to fours, fours to eight.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let eight = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) as u32;
    (eight, (others == 0) & (len.wrapping_sub(1) < 8))
}

/// Whether a number is written as a number would be written again: without `+` and without leading zeros.
pub fn is_plain(value: &[u8]) -> bool {
    match value.strip_prefix(b"-").unwrap_or(value) {
        [b'+', ..] => false,
        [b'0', next, ..] => !next.is_ascii_digit(),
        _ => true,
    }
}

/// Digits, with or without a sign. More than 38 digits are no integer of any width here.
pub fn integer(value: &[u8]) -> Option<i128> {
    let (negative, digits) = match value {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 38 {
        return None;
    }
    // Eighteen digits fit an i64, which is quicker to compute with.
    let (head, tail) = digits.split_at(digits.len().min(18));
    let mut number = i128::from(short_integer(head)?);
    for part in tail.chunks(18) {
        number = number * 10_i128.pow(part.len() as u32) + i128::from(short_integer(part)?);
    }
    Some(if negative { -number } else { number })
}

fn short_integer(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, &digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit <= 9).then(|| number * 10 + i64::from(digit))
    })
}

/// Floats of a width.
pub struct Floats<T> {
    given: bool,
    of: PhantomData<fn() -> T>,
}

impl<T> Floats<T> {
    /// Of a type that the user gave, or that was guessed.
    pub fn new(given: bool) -> Self {
        Self { given, of: PhantomData }
    }
}

macro_rules! floats {
    ($($arrow:ty: $glance:expr),*) => {$(
        impl Parse for Floats<$arrow> {
            type Arrow = $arrow;

            #[inline]
            fn glance(&self, text: &[u8], start: usize, len: usize) -> Option<<$arrow as ArrowPrimitiveType>::Native> {
                $glance(&text[start..start + len])
            }

            fn parse(&self, value: &[u8]) -> Option<<$arrow as ArrowPrimitiveType>::Native> {
                if !self.given && !(is_plain(value) && is_lossless_float(value)) {
                    return None;
                }
                let number: <$arrow as ArrowPrimitiveType>::Native = lexical_core::parse(value).ok()?;
                let is_held = self.given || written::is_held(value, f64::from(number));
                (is_held && (number.is_finite() || !has_digits(value))).then_some(number)
            }
        }
    )*};
}
floats!(Float32Type: |_| None, Float64Type: short_decimal);

/// A number of up to fifteen digits with a point among them, as most are. Its digits as an integer and the power of ten
/// are both floats without a loss, so that dividing them rounds once, and right.
fn short_decimal(value: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = match value {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let starts_plain = matches!(digits, [b'0', b'.', ..] | [b'1'..=b'9', ..]);
    if digits.len() > 16 || !starts_plain {
        return None;
    }
    let (mut number, mut point) = (0u64, None);
    for (place, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            number = number * 10 + u64::from(digit);
        } else if byte == b'.' && point.is_none() {
            point = Some(place);
        } else {
            return None;
        }
    }
    let number = number as f64 / POWERS[digits.len() - 1 - point?];
    Some(if negative { -number } else { number })
}

/// Whether a number is written in digits. If such a one reads as infinite, it is only too large.
fn has_digits(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit)
}

/// Whether a guess may take this for a float.
pub fn is_float(value: &[u8]) -> bool {
    Floats::<Float64Type>::new(false).parse(value).is_some()
}

/// Whether a whole number is one that a float64 holds exactly. What has a point or an exponent always passes: see
/// [`written::is_held`].
pub fn is_lossless_float(value: &[u8]) -> bool {
    // 2^53 has 16 digits.
    if value.len() < 16 {
        return true;
    }
    match integer(value) {
        Some(whole) => (whole as f64) as i128 == whole,
        None => !value.strip_prefix(b"-").unwrap_or(value).iter().all(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glance(text: &str) -> Option<u32> {
        let padded = format!("{text},123456789");
        let (number, is_number) = up_to_eight_digits(padded.as_bytes(), 0, text.len());
        is_number.then_some(number)
    }

    #[test]
    fn up_to_eight_digits_are_read_at_once() {
        for number in [0u32, 7, 10, 99, 123, 4_096, 54_321, 999_999, 1_234_567, 99_999_999] {
            assert_eq!(glance(&number.to_string()), Some(number));
        }
        assert_eq!(glance("007"), Some(7));
        for other in ["", "123456789", "-1", "1.5", "a", "1a", "a1", "1 ", "\"1\"", "12:4", "1/", "\u{ff}1", "٣"] {
            assert_eq!(glance(other), None, "{other}");
        }
    }

    #[test]
    fn every_byte_but_a_digit_is_refused() {
        for byte in 0..=u8::MAX {
            for place in 0..4 {
                let mut text = *b"1234,,,,,,,,";
                text[place] = byte;
                assert_eq!(up_to_eight_digits(&text, 0, 4).1, byte.is_ascii_digit(), "{byte} {place}");
            }
        }
    }

    #[test]
    fn integers_have_any_length_and_a_sign() {
        for number in [0, -1, i128::from(i64::MAX), i128::from(i64::MIN), i128::from(u64::MAX), 10_i128.pow(37)] {
            assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }
        assert_eq!(integer(b"+5"), Some(5));
        for other in [&b""[..], b"-", b"1x", b"1.0", b"--1", &[b'9'; 39]] {
            assert_eq!(integer(other), None);
        }
    }

    proptest! {
        #[test]
        fn short_decimals_are_what_the_standard_library_reads(text in r"-?[0-9]{0,9}\.[0-9]{0,9}") {
            if let Some(number) = short_decimal(text.as_bytes()) {
                prop_assert_eq!(number.to_bits(), text.parse::<f64>().expect("a number").to_bits());
            }
        }
    }

    #[test]
    fn only_short_decimals_are_told_at_once() {
        for (text, wanted) in
            [("0.1", Some(0.1)), ("-2.50", Some(-2.5)), ("123456789.012345", Some(123_456_789.012_345))]
        {
            assert_eq!(short_decimal(text.as_bytes()), wanted, "{text}");
        }
        for other in ["", ".", "-", ".5", "12", "1.2.3", "00.5", "1e5", "1.5 ", "12345678901.234567"] {
            assert_eq!(short_decimal(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_guessed_type_takes_only_what_comes_out_as_it_went_in() {
        for plain in ["0", "-5", "0.5", "-0.25", "10"] {
            assert!(is_plain(plain.as_bytes()), "{plain}");
        }
        for other in ["007", "+5", "-01", "00", "01.5"] {
            assert!(!is_plain(other.as_bytes()), "{other}");
        }
        assert!(is_lossless_float(b"9007199254740992") && !is_lossless_float(b"9007199254740993"));
        assert!(is_float(b"0.1000000000000000056") && is_float(b"1e300"));
        assert!(!is_float(b"1234567890123456789.25") && !is_float(b"9007199254740993.0") && !is_float(b"1e-400"));
    }
}
