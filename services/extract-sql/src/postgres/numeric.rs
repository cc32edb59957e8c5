//! PostgreSQL's numerics as decimals, digit by digit: nothing is rounded.
//!
//! On the wire a numeric is digits in base 10,000 with the weight of the first one: `Σ digit[i] · 10000^(weight − i)`
//! (PostgreSQL, `numeric_send`). A decimal of scale `s` is that times `10^s`, as a whole number.

use crate::decimal::Whole;
use crate::trouble::Wrong;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType};

/// Digits and scale of a numeric without a precision of its own, as `sum` and `avg` give them.
const UNCONSTRAINED: (u8, i8) = (38, 20);

const CAST: &str = "cast it in the query, such as CAST(x AS numeric(38, 4)), or as text";

/// The decimal that holds numerics with this type modifier: `((precision << 16) | scale) + 4`, where the scale has eleven
/// bits with a sign; negative for none.
///
/// # Errors
/// Why there is none.
pub fn data_type(modifier: i32) -> Result<DataType, Wrong> {
    let (precision, scale) = if modifier < 4 {
        (i32::from(UNCONSTRAINED.0), i32::from(UNCONSTRAINED.1))
    } else {
        let packed = modifier - 4;
        (packed >> 16 & 0xffff, ((packed & 0x7ff) ^ 0x400) - 0x400)
    };
    // A scale below zero means zeros before the point, one above the precision zeros after it.
    let (precision, scale) = if scale < 0 { (precision - scale, 0) } else { (precision.max(scale), scale) };
    let too_long =
        || Wrong::new(format!("a numeric of {precision} digits has no decimal type: there are up to 76"), CAST);
    let (precision, scale) =
        (u8::try_from(precision).map_err(|_| too_long())?, i8::try_from(scale).map_err(|_| too_long())?);
    match precision {
        0..=Decimal128Type::MAX_PRECISION => Ok(DataType::Decimal128(precision, scale)),
        _ if precision <= Decimal256Type::MAX_PRECISION => Ok(DataType::Decimal256(precision, scale)),
        _ => Err(too_long()),
    }
}

/// Reads a numeric as a decimal of this scale. That it has no more digits than its type allows is for the caller to check.
///
/// # Errors
/// Not a number, infinity, more decimals than the scale, more digits than there can be.
pub fn read<W: Whole>(field: &[u8], scale: i8) -> Result<W, Wrong> {
    let (head, digits) = field.split_at_checked(8).ok_or_else(damaged)?;
    let word = |at: usize| i16::from_be_bytes([head[at], head[at + 1]]);
    let (count, weight, sign) = (word(0), i32::from(word(2)), word(4).cast_unsigned());
    if digits.len() != usize::try_from(count).map_err(|_| damaged())? * 2 {
        return Err(damaged());
    }
    match sign {
        0 | 0x4000 => {}
        0xc000 => {
            return Err(Wrong::new(
                "NaN, which is no decimal",
                "write NULLIF(x, 'NaN'), or cast it to double precision",
            ));
        }
        _ => {
            return Err(Wrong::new(
                "infinity, which is no decimal",
                "leave such rows out, or cast it to double precision",
            ));
        }
    }
    let mut whole = W::ZERO;
    // The power of ten by which what is there must still be multiplied, after the last digit.
    let mut power = i32::from(scale) + (weight + 1) * 4;
    for pair in digits.chunks_exact(2) {
        let digit = i32::from(i16::from_be_bytes([pair[0], pair[1]]));
        power -= 4;
        whole = match power {
            0.. => whole.push(10_000, digit),
            // The scale ends within this digit.
            -3..0 => {
                let rest = 10i32.pow(power.unsigned_abs());
                if digit % rest != 0 {
                    return Err(too_fine(scale));
                }
                whole.push(10_000 / rest, digit / rest)
            }
            _ if digit == 0 => Some(whole),
            _ => return Err(too_fine(scale)),
        }
        .ok_or_else(too_large)?;
    }
    // Zeros that are not sent.
    for _ in 0..power.max(0) {
        whole = whole.push(10, 0).ok_or_else(too_large)?;
    }
    Ok(if sign == 0 { whole } else { whole.negated() })
}

fn too_fine(scale: i8) -> Wrong {
    Wrong::new(format!("a number with more than {scale} decimals"), CAST)
}

/// The fault of a number with more digits than its type holds.
pub fn too_large() -> Wrong {
    Wrong::new("a number with more digits than its type holds", CAST)
}

fn damaged() -> Wrong {
    Wrong::new("a numeric that cannot be read", CAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(sign: u16, weight: i16, digits: &[i16]) -> Vec<u8> {
        let count = i16::try_from(digits.len()).expect("few");
        let head = [count, weight, sign.cast_signed(), 0];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    fn number(sign: u16, weight: i16, digits: &[i16], scale: i8) -> Result<i128, Wrong> {
        read::<i128>(&wire(sign, weight, digits), scale)
    }

    #[test]
    fn digits_keep_their_places() {
        // 12345.678
        assert_eq!(number(0, 1, &[1, 2345, 6780], 3), Ok(12_345_678));
        assert_eq!(number(0x4000, 1, &[1, 2345, 6780], 5), Ok(-1_234_567_800));
        assert_eq!(number(0, 0, &[], 2), Ok(0));
        // 0.00000001, and 20,000,000
        assert_eq!(number(0, -2, &[1], 8), Ok(1));
        assert_eq!(number(0, 1, &[2000], 2), Ok(2_000_000_000));
        assert_eq!(number(0, -1, &[5000], 1), Ok(5));
        let nines = number(0, 9, &[99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999], 0);
        assert_eq!(nines, Ok(99_999_999_999_999_999_999_999_999_999_999_999_999));
    }

    #[test]
    fn nothing_is_rounded() {
        assert!(number(0, 0, &[1, 2345], 3).is_err());
        assert!(number(0, 0, &[1, 1, 1], 4).is_err());
        assert!(number(0, 9, &[99; 10], 2).is_err_and(|wrong| wrong.what.contains("digits")));
        assert!(number(0xc000, 0, &[], 2).is_err_and(|wrong| wrong.what.contains("NaN")));
        assert!(number(0xd000, 0, &[], 2).is_err_and(|wrong| wrong.what.contains("infinity")));
        assert!(read::<i128>(&[0, 9], 2).is_err());
    }

    #[test]
    fn a_modifier_tells_digits_and_scale() {
        let modifier = |precision: i32, scale: i32| (precision << 16 | scale & 0x7ff) + 4;
        assert_eq!(data_type(modifier(10, 2)), Ok(DataType::Decimal128(10, 2)));
        assert_eq!(data_type(modifier(39, 39)), Ok(DataType::Decimal256(39, 39)));
        assert_eq!(data_type(modifier(5, -3)), Ok(DataType::Decimal128(8, 0)));
        assert_eq!(data_type(modifier(3, 5)), Ok(DataType::Decimal128(5, 5)));
        assert_eq!(data_type(-1), Ok(DataType::Decimal128(38, 20)));
        assert!(data_type(modifier(100, 2)).is_err());
    }
}
