//! Decimals: every digit or none.

use super::Parse;
use arrow::datatypes::Decimal128Type;

/// Decimals of a precision and scale. A value with more digits than either allows is refused, never rounded.
pub struct Decimals {
    scale: usize,
    /// The first number that has too many digits.
    limit: i128,
}

impl Decimals {
    /// Of up to 38 digits, `scale` of them behind the point.
    pub fn new(precision: u8, scale: i8) -> Self {
        Self { scale: usize::from(scale.unsigned_abs()), limit: 10_i128.pow(precision.min(38).into()) }
    }
}

impl Parse for Decimals {
    type Arrow = Decimal128Type;

    fn parse(&self, value: &[u8]) -> Option<i128> {
        let (negative, digits) = match value {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let point = memchr::memchr(b'.', digits).unwrap_or(digits.len());
        let (whole, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or_default());
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (kept, beyond) = fraction.split_at(fraction.len().min(self.scale));
        if !beyond.iter().all(|&digit| digit == b'0') {
            return None;
        }
        let zeros = std::iter::repeat_n(&b'0', self.scale - kept.len());
        let mut number: i128 = 0;
        for &digit in whole.iter().chain(kept).chain(zeros) {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
            if number >= self.limit {
                return None;
            }
        }
        Some(if negative { -number } else { number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_is_kept_or_the_value_is_refused() {
        let decimals = Decimals::new(6, 2);
        for (text, wanted) in [
            ("1", Some(100)),
            ("-1.5", Some(-150)),
            ("9999.99", Some(999_999)),
            ("0012.30", Some(1_230)),
            (".5", Some(50)),
            ("1.500", Some(150)),
            ("10000", None),
            ("1.005", None),
            ("1e3", None),
            (".", None),
            ("1.2.3", None),
            ("", None),
        ] {
            assert_eq!(decimals.parse(text.as_bytes()), wanted, "{text}");
        }
        let widest = "9".repeat(38);
        assert_eq!(Decimals::new(38, 0).parse(widest.as_bytes()), widest.parse().ok());
        assert_eq!(Decimals::new(38, 0).parse("9".repeat(39).as_bytes()), None);
    }
}
