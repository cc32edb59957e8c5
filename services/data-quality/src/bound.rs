//! The ends of a range in the terms of a column: whole numbers of its smallest unit (ones, hundredths, microseconds),
//! or floats. A smallest value is rounded up to that unit and a largest one down, so that no comparison rounds.

use crate::params::{Bound, ValueRange};
use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, TimeUnit, i256};
use flight_common::cells::plain_type;
use half::f16;
use serde_json::Number;

/// A range in the terms of a column. What is not told is not limited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limits {
    /// For integers, decimals, dates and timestamps.
    Exact(Option<i256>, Option<i256>),
    /// For floats.
    Float(Option<f64>, Option<f64>),
    /// For a column of the null type, in which no value can lie outside.
    Nothing,
}

/// Why a range cannot be checked.
#[derive(Debug, PartialEq)]
pub enum Refused {
    /// Columns of this type have no order that a range could speak of.
    Type,
    /// The bound of this name is no value of the column, or contradicts the other one (then the name is empty).
    Bound(&'static str, String),
}

/// The range in the terms of a column of this type.
///
/// # Errors
/// Why it cannot be checked.
pub fn limits(range: &ValueRange, column: &DataType) -> Result<Limits, Refused> {
    if range.min.is_none() && range.max.is_none() {
        return Err(Refused::Bound("", "neither min nor max is told".to_owned()));
    }
    let plain = plain_type(column);
    let limits = match plain {
        DataType::Null => Limits::Nothing,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let float = |bound: &Bound| float(bound, plain);
            Limits::Float(read(&range.min, "min", float)?, read(&range.max, "max", float)?)
        }
        _ => {
            let unit = Unit::of(plain).ok_or(Refused::Type)?;
            let min = read(&range.min, "min", |bound| unit.count(bound, Round::Up))?;
            Limits::Exact(min, read(&range.max, "max", |bound| unit.count(bound, Round::Down))?)
        }
    };
    let contradict = match limits {
        Limits::Exact(Some(min), Some(max)) => min > max,
        Limits::Float(Some(min), Some(max)) => min > max,
        _ => false,
    };
    match contradict {
        true => Err(Refused::Bound("", "no value of the column lies between min and max".to_owned())),
        false => Ok(limits),
    }
}

fn read<T>(
    bound: &Option<Bound>,
    name: &'static str,
    read: impl Fn(&Bound) -> Result<T, String>,
) -> Result<Option<T>, Refused> {
    bound.as_ref().map(read).transpose().map_err(|message| Refused::Bound(name, message))
}

/// The float nearest to the bound in the column's own precision, in which 0.1 is the value that the column calls 0.1.
fn float(bound: &Bound, column: &DataType) -> Result<f64, String> {
    let value = number(bound)?.as_f64().ok_or("the number is too large")?;
    Ok(match column {
        DataType::Float16 => f16::from_f64(value).to_f64(),
        DataType::Float32 => f64::from(value as f32),
        _ => value,
    })
}

fn number(bound: &Bound) -> Result<&Number, String> {
    match bound {
        Bound::Number(number) => Ok(number),
        Bound::Text(text) => Err(no_number(text)),
    }
}

fn no_number(text: &str) -> String {
    format!("\"{text}\" is a text, and the column holds numbers")
}

/// Whether a text is a number as it is written: one of more digits than a number of YAML keeps.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit()) && digits.parse().is_ok_and(f64::is_finite)
}

/// The nanoseconds that one whole number of a column of dates or timestamps counts; nothing for other columns.
pub fn nanoseconds_each(column: &DataType) -> Option<i128> {
    match Unit::of(plain_type(column))? {
        Unit::Time(length, _) => Some(length),
        Unit::Decimal(_) => None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Round {
    Up,
    Down,
}

/// What a column's whole numbers count.
enum Unit<'a> {
    /// Parts of one: 10 to the power of minus this.
    Decimal(i8),
    /// This many nanoseconds since 1970, in this zone.
    Time(i128, Option<&'a str>),
}

impl<'a> Unit<'a> {
    fn of(data_type: &'a DataType) -> Option<Self> {
        const SECOND: i128 = 1_000_000_000;
        Some(match data_type {
            integer if integer.is_integer() => Self::Decimal(0),
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => Self::Decimal(*scale),
            DataType::Date32 => Self::Time(86_400 * SECOND, None),
            DataType::Date64 => Self::Time(SECOND / 1_000, None),
            DataType::Timestamp(unit, zone) => {
                let length = match unit {
                    TimeUnit::Second => SECOND,
                    TimeUnit::Millisecond => SECOND / 1_000,
                    TimeUnit::Microsecond => SECOND / 1_000_000,
                    TimeUnit::Nanosecond => 1,
                };
                Self::Time(length, zone.as_deref())
            }
            _ => return None,
        })
    }

    fn count(&self, bound: &Bound, round: Round) -> Result<i256, String> {
        match (self, bound) {
            (Self::Decimal(scale), Bound::Number(number)) => Ok(scaled(&number.to_string(), i32::from(*scale), round)),
            (Self::Decimal(scale), Bound::Text(text)) if is_number(text) => Ok(scaled(text, i32::from(*scale), round)),
            (Self::Decimal(_), Bound::Text(text)) => Err(no_number(text)),
            (Self::Time(length, zone), Bound::Text(text)) => {
                Ok(divided(i256::from_i128(nanoseconds(text, *zone)?), i256::from_i128(*length), round))
            }
            (Self::Time(..), Bound::Number(number)) => {
                Err(format!("{number} is a number, and the column holds dates: write one such as \"2024-01-31\""))
            }
        }
    }
}

/// Nanoseconds since 1970. A time without an offset is in the column's zone, one of a column without a zone in UTC.
fn nanoseconds(text: &str, zone: Option<&str>) -> Result<i128, String> {
    let in_zone = |zone: &str| {
        let zone: Tz = zone.parse().map_err(|_| format!("the zone {zone} is not known here: write an offset"))?;
        let instant = string_to_datetime(&zone, text);
        let instant = instant.map_err(|_| format!("\"{text}\" is no ISO date such as \"2024-01-31T12:00:00Z\""))?;
        Ok(i128::from(instant.timestamp()) * 1_000_000_000 + i128::from(instant.timestamp_subsec_nanos()))
    };
    let utc = in_zone("+00:00")?;
    // A text that means the same instant wherever it is read brings its own offset.
    match zone {
        Some(zone) if utc != in_zone("+01:00")? => in_zone(zone),
        _ => Ok(utc),
    }
}

/// Digits of a number at most, so that any of them can be counted with.
const MOST_DIGITS: usize = 76;

/// The number times 10 to the power of `scale`. One that is too large for any column stays too large.
fn scaled(number: &str, scale: i32, round: Round) -> i256 {
    let text = number.to_lowercase();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // What is finite as a float has an exponent of three digits, unless it is 0 or as good as that.
    let exponent = exponent.parse::<i32>().unwrap_or(-1_000).clamp(-1_000, 1_000);
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let furthest = if sign.is_empty() { i256::MAX } else { i256::MIN };
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    // Of too many, the last ones only say whether there is something beyond: it is rounded.
    let (kept, cut) = match digits.len() {
        ..=MOST_DIGITS => (digits, ""),
        _ => digits.split_at(MOST_DIGITS - 1),
    };
    let rest = match cut {
        "" => "",
        zeros if zeros.bytes().all(|digit| digit == b'0') => "0",
        _ => "1",
    };
    let shift = exponent + scale - fraction.len() as i32 + (cut.len() - rest.len()) as i32;
    let digits = i256::from_string(&format!("{sign}0{kept}{rest}")).unwrap_or(furthest);
    let power = i256::from_i128(10).checked_pow(shift.unsigned_abs());
    match (shift >= 0, power) {
        _ if digits == i256::ZERO => digits,
        (true, power) => power.and_then(|power| digits.checked_mul(power)).unwrap_or(furthest),
        (false, power) => divided(digits, power.unwrap_or(i256::MAX), round),
    }
}

fn divided(value: i256, by: i256, round: Round) -> i256 {
    let (quotient, rest) = (value.wrapping_div(by), value.wrapping_rem(by));
    match round {
        Round::Up if rest.is_positive() => quotient.wrapping_add(i256::ONE),
        Round::Down if rest.is_negative() => quotient.wrapping_sub(i256::ONE),
        _ => quotient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn planned(range: Value, column: &DataType) -> Result<Limits, Refused> {
        limits(&serde_json::from_value(range).expect("a range"), column)
    }

    fn exact(min: i128, max: i128) -> Result<Limits, Refused> {
        Ok(Limits::Exact(Some(i256::from_i128(min)), Some(i256::from_i128(max))))
    }

    #[test]
    fn bounds_between_two_values_are_rounded_inwards() {
        assert_eq!(planned(json!({"min": 0.5, "max": 9.5}), &DataType::Int8), exact(1, 9));
        assert_eq!(planned(json!({"min": -9.5, "max": -0.5}), &DataType::Int64), exact(-9, -1));
        let cents = DataType::Decimal128(12, 2);
        assert_eq!(planned(json!({"min": 12.345, "max": 12.345e2}), &cents), exact(1235, 123_450));
        assert_eq!(planned(json!({"min": 1e-300, "max": 7}), &DataType::Int32), exact(1, 7));
        let thousands = DataType::Decimal128(12, -3);
        assert_eq!(planned(json!({"min": 1500, "max": 2500}), &thousands), exact(2, 2));
    }

    #[test]
    fn large_bounds_stay_exact_or_too_large() {
        let beyond_floats = (1i64 << 53) + 1;
        let range = json!({"min": beyond_floats, "max": u64::MAX});
        assert_eq!(planned(range, &DataType::UInt64), exact(beyond_floats.into(), u64::MAX.into()));
        let range = planned(json!({"min": -1e300, "max": 1e300}), &DataType::Int64);
        assert_eq!(range, Ok(Limits::Exact(Some(i256::MIN), Some(i256::MAX))));
    }

    #[test]
    fn a_text_gives_a_bound_of_any_digits() {
        let wide = DataType::Decimal128(38, 10);
        let range = json!({"min": "-1234567890123456789012345678.0123456788", "max": "12e2"});
        let min = -12_345_678_901_234_567_890_123_456_780_123_456_788;
        assert_eq!(planned(range, &wide), exact(min, 12_000_000_000_000));
        assert_eq!(planned(json!({"min": "0.5", "max": "9.5"}), &DataType::Int64), exact(1, 9));
        let range = planned(json!({"min": "-1e80", "max": "9".repeat(90)}), &wide);
        assert_eq!(range, Ok(Limits::Exact(Some(i256::MIN), Some(i256::MAX))));
        let thirds = format!("0.{}", "3".repeat(90));
        assert_eq!(planned(json!({"min": thirds, "max": "1.5"}), &wide), exact(3_333_333_334, 15_000_000_000));
        let range = json!({"min": "1.5e-2147483648", "max": format!("1{}e-80", "0".repeat(80))});
        assert_eq!(planned(range, &DataType::Int64), exact(1, 1));
    }

    #[test]
    fn dates_are_counted_in_the_unit_of_the_column() {
        let range = json!({"min": "1970-01-02", "max": "1970-01-03T23:59:59"});
        assert_eq!(planned(range, &DataType::Date32), exact(1, 2));
        let seconds = DataType::Timestamp(TimeUnit::Second, None);
        let range = json!({"min": "1970-01-01T00:00:00.5", "max": "1970-01-01 00:01:00.5"});
        assert_eq!(planned(range, &seconds), exact(1, 60));
        let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("+02:00".into()));
        let range = json!({"min": "1970-01-01T02:00:00", "max": "1970-01-01T01:00:00Z"});
        assert_eq!(planned(range, &zoned), exact(0, 3_600_000));
    }

    #[test]
    fn single_precision_bounds_are_those_of_the_column() {
        let range = planned(json!({"max": 0.1}), &DataType::Float32);
        assert_eq!(range, Ok(Limits::Float(None, Some(f64::from(0.1f32)))));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert_eq!(planned(json!({"min": 1}), &DataType::Utf8), Err(Refused::Type));
        let refused = |range, column: DataType| match planned(range, &column) {
            Err(Refused::Bound(name, _)) => name,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(refused(json!({"min": "2024-01-01"}), DataType::Int64), "min");
        assert_eq!(refused(json!({"min": "2024-01-01", "max": 7}), DataType::Date32), "max");
        assert_eq!(refused(json!({"max": "soon"}), DataType::Date64), "max");
        assert_eq!(refused(json!({"min": 2, "max": 1}), DataType::Int64), "");
        assert_eq!(refused(json!({"min": 0.1, "max": 0.9}), DataType::Int64), "");
        assert_eq!(refused(json!({}), DataType::Int64), "");
    }
}
