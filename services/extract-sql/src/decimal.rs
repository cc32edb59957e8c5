//! Decimals out of digits: whole numbers of the last decimal, of which nothing is rounded.

use arrow::datatypes::i256;

/// A whole number that digits are pushed onto.
pub trait Whole: Copy {
    /// Zero.
    const ZERO: Self;
    /// `self · times + more`, if it can be held.
    fn push(self, times: i32, more: i32) -> Option<Self>;
    /// With the other sign.
    fn negated(self) -> Self;
}

impl Whole for i128 {
    const ZERO: Self = 0;

    fn push(self, times: i32, more: i32) -> Option<Self> {
        self.checked_mul(times.into())?.checked_add(more.into())
    }

    fn negated(self) -> Self {
        -self
    }
}

impl Whole for i256 {
    const ZERO: Self = i256::ZERO;

    fn push(self, times: i32, more: i32) -> Option<Self> {
        self.checked_mul(i256::from(times))?.checked_add(i256::from(more))
    }

    fn negated(self) -> Self {
        self.wrapping_neg()
    }
}

/// Reads a text such as `-12.50` as a decimal of this scale; nothing if it is none, or if a digit would be lost. That it
/// has no more digits than its type allows is for the caller to check.
pub fn parse<W: Whole>(text: &str, scale: i8) -> Option<W> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = usize::try_from(scale).ok()?;
    // Zeros at the end may be more than there is room for.
    let part = if part.len() > scale { part.trim_end_matches('0') } else { part };
    let padding = scale.checked_sub(part.len())?;
    if whole.is_empty() {
        return None;
    }
    let mut number = W::ZERO;
    for digit in whole.bytes().chain(part.bytes()) {
        let digit = Some(digit).filter(u8::is_ascii_digit)?;
        number = number.push(10, i32::from(digit - b'0'))?;
    }
    for _ in 0..padding {
        number = number.push(10, 0)?;
    }
    Some(if negative { number.negated() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit_or_are_none() {
        for (text, scale, whole) in [("12.5", 2, 1250), ("-0.10", 2, -10), ("7", 2, 700), ("1.500", 1, 15), ("0", 0, 0)]
        {
            assert_eq!(parse(text, scale), Some(whole), "{text}");
            assert_eq!(parse(text, scale), Some(i256::from_i128(whole)), "{text}");
        }
        let nines = "99999999999999999999999999999999999.999";
        assert_eq!(parse(nines, 3), Some(99_999_999_999_999_999_999_999_999_999_999_999_999_i128));
        for lost in ["1.255", "1e5", "", "x", "NaN", ".", "-", "1.2.3", "1,5", "+1", " 1"] {
            assert_eq!(parse::<i128>(lost, 2), None, "{lost}");
        }
        assert_eq!(parse::<i128>(&"9".repeat(40), 0), None);
        assert_eq!(parse::<i256>(&"9".repeat(65), 0).map(|number| number.to_string()), Some("9".repeat(65)));
    }
}
