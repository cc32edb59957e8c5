//! Decimals: read from text, and divided, without a binary float in between.

use arrow::array::ArrowNativeTypeOp;
use arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType, i256};

/// The type that holds every decimal of this scale.
pub fn widest(scale: i8) -> DataType {
    DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale)
}

/// Reads `-12.50` or `1.25e3` as a number of units of 10^-scale; nothing if digits would be lost or it is no number.
pub fn parse(text: &str, scale: i8) -> Option<i256> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, i32::from(exponent.parse::<i16>().ok()?)),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = format!("{whole}{}", fraction.trim_end_matches('0'));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let zeros = exponent + i32::from(scale) - i32::try_from(fraction.trim_end_matches('0').len()).ok()?;
    let units = match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        // 1.5e3 and 1500 alike may have zeros to give to a negative scale.
        digits if zeros < 0 => digits.strip_suffix(&"0".repeat(usize::try_from(-zeros).ok()?))?.to_owned(),
        digits if zeros <= i32::from(DECIMAL256_MAX_PRECISION) => {
            digits.to_owned() + &"0".repeat(usize::try_from(zeros).ok()?)
        }
        _ => return None,
    };
    if units.is_empty() || units.len() > usize::from(DECIMAL256_MAX_PRECISION) {
        return None;
    }
    let units = i256::from_string(&units)?;
    Some(if negative { units.wrapping_neg() } else { units })
}

/// `sum / count` to the nearest whole number, halves away from zero. `count` is above 0.
pub fn nearest(sum: i256, count: i256) -> i256 {
    let (quotient, rest) = (sum.div_wrapping(count), sum.mod_wrapping(count));
    let up = rest.wrapping_abs() >= count.sub_wrapping(rest.wrapping_abs());
    match (up, sum.is_negative()) {
        (false, _) => quotient,
        (true, false) => quotient.add_wrapping(i256::ONE),
        (true, true) => quotient.sub_wrapping(i256::ONE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_units_of_the_scale() {
        let units = |text, scale| parse(text, scale).and_then(i256::to_i128);
        assert_eq!(units("12.5", 2), Some(1250));
        assert_eq!(units("-0.07", 2), Some(-7));
        assert_eq!(units("1.25e3", 0), Some(1250));
        assert_eq!(units("1e-2", 2), Some(1));
        assert_eq!(units("1500", -2), Some(15));
        assert_eq!(units("12.3400", 2), Some(1234));
        assert_eq!(units("0", 5), Some(0));
        for wrong in ["12.345", "", "-", ".", "1.2.3", "ten", "1e999", "0x10"] {
            assert_eq!(units(wrong, 2), None, "{wrong}");
        }
        assert_eq!(units("1501", -2), None);
    }

    #[test]
    fn halves_go_away_from_zero() {
        let nearest = |sum, count| nearest(i256::from_i128(sum), i256::from_i128(count)).to_i128();
        assert_eq!((nearest(5, 2), nearest(-5, 2)), (Some(3), Some(-3)));
        assert_eq!((nearest(4, 3), nearest(5, 3)), (Some(1), Some(2)));
        assert_eq!((nearest(-4, 3), nearest(-5, 3)), (Some(-1), Some(-2)));
        assert_eq!((nearest(6, 3), nearest(0, 7)), (Some(2), Some(0)));
    }
}
