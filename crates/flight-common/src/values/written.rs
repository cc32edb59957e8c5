//! Whether a float64 is the number that was written.
//!
//! Hardly any decimal number is a float, so that it cannot be asked whether both are the same point on the line. What is
//! asked is whether the number comes out as it went in: the float, printed with as many digits as were written, or with
//! the fewest that bring it back, has the digits that were written. So what any program has printed of a float passes,
//! and `0.1` does; `1234567890123456789.25` and `9007199254740993.0` do not.

/// Digits that every float keeps, away from the ends of its range.
const SAFE_DIGITS: usize = 15;
/// Digits of the longest decimal form of a float: none has more.
const MOST_DIGITS: usize = 767;
/// The smallest number that has all its digits is a little less.
const SMALLEST: f64 = 1e-307;
/// The first number of more digits.
const SEVENTEEN_DIGITS: u64 = 100_000_000_000_000_000;
/// Powers of ten that, times 53 bits, are no more than 128.
const POWERS: [u128; 23] = {
    let (mut powers, mut power) = ([1; 23], 1);
    while power < powers.len() {
        powers[power] = powers[power - 1] * 10;
        power += 1;
    }
    powers
};

/// Whether the float that a number reads as is that number. Of what is no number it says so too.
pub fn is_held(written: &[u8], float: f64) -> bool {
    if !float.is_finite() {
        return true;
    }
    // Nearly all are short.
    let float = float.abs();
    if written.len() <= SAFE_DIGITS && float >= SMALLEST {
        return true;
    }
    if is_near(written, float) {
        return true;
    }
    let number = Number::of(written);
    match number.digits {
        0 => true,
        ..=SAFE_DIGITS if float >= SMALLEST => true,
        MOST_DIGITS.. => false,
        _ => number.is_printed(float),
    }
}

/// Whether a number is the float rounded to the last digit that is written, as far as that is told at once: for numbers of
/// up to seventeen digits without an exponent that are neither very large nor very small.
fn is_near(written: &[u8], float: f64) -> bool {
    const MANTISSA: u32 = f64::MANTISSA_DIGITS - 1;
    let digits = written.strip_prefix(b"-").unwrap_or(written);
    let (mut whole, mut point) = (0_u64, digits.len());
    for (place, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        match digit {
            0..=9 if whole < SEVENTEEN_DIGITS / 10 => whole = whole * 10 + u64::from(digit),
            _ if byte == b'.' => point = place + 1,
            _ => return false,
        }
    }
    // The number is `whole / 10^decimals`, and the float `mantissa / 2^shift`.
    let decimals = digits.len() - point;
    let bits = float.to_bits();
    let mantissa = u128::from(bits & ((1 << MANTISSA) - 1) | 1 << MANTISSA);
    let shift = 1023 + i64::from(MANTISSA) - (bits >> MANTISSA) as i64;
    if decimals >= POWERS.len() || !(1..=70).contains(&shift) {
        return false;
    }
    // 53 bits and 74; 57 bits and 70.
    let (float, number) = (mantissa * POWERS[decimals], u128::from(whole) << shift);
    float.abs_diff(number) <= 1 << (shift - 1)
}

/// A number as it is written, without zeros at either end.
struct Number<'a> {
    text: &'a [u8],
    /// How many digits it has.
    digits: usize,
    /// The power of ten of the last of them.
    power: i64,
}

impl<'a> Number<'a> {
    fn of(text: &'a [u8]) -> Self {
        let (text, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], exponent(&text[at + 1..])),
            None => (text, 0),
        };
        let mut number = Self { text, digits: 0, power: exponent };
        // Zeros that are digits if one more follows.
        let (mut zeros, mut decimals, mut is_decimal) = (0, 0, false);
        for &byte in text {
            match byte {
                b'.' => is_decimal = true,
                b'0' => {
                    zeros += usize::from(number.digits > 0);
                    decimals += i64::from(is_decimal);
                }
                b'1'..=b'9' => {
                    number.digits += zeros + 1;
                    zeros = 0;
                    decimals += i64::from(is_decimal);
                }
                _ => {}
            }
        }
        number.power = exponent.saturating_add(zeros as i64 - decimals);
        number
    }

    /// Whether it is what is printed of the float, in as many digits or in the fewest.
    fn is_printed(&self, float: f64) -> bool {
        [format!("{float:.*e}", self.digits - 1), format!("{float:e}")]
            .iter()
            .any(|printed| self.is_same(&Number::of(printed.as_bytes())))
    }

    fn is_same(&self, other: &Number<'_>) -> bool {
        self.power == other.power && self.significant().eq(other.significant())
    }

    fn significant(&self) -> impl Iterator<Item = u8> + '_ {
        let digits = self.text.iter().copied().filter(u8::is_ascii_digit);
        digits.skip_while(|digit| *digit == b'0').take(self.digits)
    }
}

/// An exponent: one that is too large for any number stays so.
fn exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let exponent = digits
        .iter()
        .filter(|digit| digit.is_ascii_digit())
        .fold(0_i64, |exponent, digit| exponent.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if negative { -exponent } else { exponent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(text: &str) -> bool {
        is_held(text.as_bytes(), text.parse().expect("a number"))
    }

    #[test]
    fn numbers_that_come_out_as_they_went_in_are_held() {
        for text in [
            "0",
            "-0.0",
            "0e-999",
            "0.1",
            "0.1000000000000000000000",
            "0.3",
            "0.30000000000000004",
            "123456789012345680000.0",
            "1e23",
            "1e300",
            "-1.7976931348623157e308",
            "9007199254740992.0",
            "9007199254740994.0",
            "5e-324",
            "4.9E-324",
            "4.9406564584124654e-324",
            "2.2250738585072014e-308",
            // All the digits of 0.1, and some of them.
            "0.1000000000000000055511151231257827021181583404541015625",
            "0.10000000000000000555",
            "12.345678901234567",
            "nan",
            "inf",
        ] {
            assert!(held(text), "{text}");
        }
    }

    #[test]
    fn numbers_that_do_not_are_not() {
        for text in [
            "1234567890123456789.25",
            "9007199254740993.0",
            "-9007199254740993.0",
            "9007199254740993e0",
            "0.12345678901234567890",
            "0.1000000000000000000001",
            "1e-400",
            "-3e-324",
            "1.2345e-320",
            "123456789012345678e3",
        ] {
            assert!(!held(text), "{text}");
        }
        assert!(!held(&format!("0.{}", "1234567890".repeat(100))));
    }

    proptest! {
        #[test]
        fn whatever_is_printed_of_a_float_is_held(float: f64, more in 16..40_usize) {
            prop_assume!(float.is_finite());
            for text in [format!("{float}"), format!("{float:e}"), format!("{float:.16e}"), format!("{float:.more$e}")] {
                prop_assert!(held(&text), "{text}");
            }
        }

        #[test]
        fn seventeen_digits_are_held_where_they_are_those_of_the_float(text in r"[1-9][0-9]{0,8}\.[0-9]{8,15}[1-9]") {
            let float: f64 = text.parse().expect("a number");
            let decimals = text.len() - text.find('.').expect("a point") - 1;
            let is_shortest = float.to_string() == text;
            prop_assert_eq!(held(&text), is_shortest || format!("{float:.decimals$}") == text, "{}", text);
        }
    }
}
