//! A written value as a value of a column's type, or the reason why it is none.
//!
//! Nothing is bent to fit: `1.5` is no integer, `"12"` is no number, and `300` is no 8-bit integer. Only binary floats
//! take the nearest value they have, if they keep all its digits.

use crate::decimal;
use crate::params::Literal;
use arrow::array::{ArrayRef, AsArray, BooleanArray, Decimal256Array, Float64Array, StringArray};
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use arrow::util::display::FormatOptions;
use flight_common::digits::float_keeps;
use serde_json::Number;
use std::fmt;
use std::sync::Arc;

/// The value as one row of this type.
///
/// # Errors
/// What is wrong, to follow the words "the value": `"abc" is a text, not Int64`.
pub fn one_row(literal: &Literal, data_type: &DataType) -> Result<ArrayRef, String> {
    let wrong_kind = || Err(format!("{literal} is {}, not {data_type}{}", literal.kind(), literal.hint(data_type)));
    match (data_type, literal) {
        (DataType::Boolean, Literal::Truth(truth)) => Ok(Arc::new(BooleanArray::from(vec![*truth]))),
        (whole, Literal::Number(number)) if whole.is_integer() => match whole_number(number) {
            Some(value) => exactly(&text_row(&value.to_string()), data_type, literal),
            None => Err(format!("{number} is no whole number, and the column holds {data_type}")),
        },
        (float, Literal::Number(number)) if float.is_floating() => {
            let value = number.as_f64().filter(|value| value.is_finite());
            let value = value.ok_or_else(|| format!("{number} is too large for {data_type}"))?;
            if !float_keeps(&number.to_string()) {
                return Err(format!("{number} has more digits than {data_type} keeps"));
            }
            exactly(&(Arc::new(Float64Array::from(vec![value])) as ArrayRef), data_type, literal)
        }
        (decimal, Literal::Number(_) | Literal::Text(_)) if is_decimal(decimal) => decimal_row(literal, data_type),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Literal::Text(text))
        | (DataType::Binary | DataType::LargeBinary | DataType::BinaryView, Literal::Text(text)) => {
            exactly(&text_row(text), data_type, literal)
        }
        (time, Literal::Text(text)) if time.is_temporal() => time_row(text, data_type, literal),
        (DataType::Boolean, _) => wrong_kind(),
        (other, _) if other.is_numeric() || other.is_temporal() || is_text(other) => wrong_kind(),
        _ => Err(format!("{literal} cannot be put into a column of {data_type}; only simple types can be filled")),
    }
}

/// A number without a fraction: `3`, and `3.0` too.
fn whole_number(number: &Number) -> Option<i128> {
    if let Some(value) = number.as_i64() {
        return Some(value.into());
    }
    if let Some(value) = number.as_u64() {
        return Some(value.into());
    }
    // Beyond 2^63 the cast saturates, and the range of the column's type refuses it.
    number.as_f64().filter(|value| value.fract() == 0.0).map(|value| value as i128)
}

fn decimal_row(literal: &Literal, data_type: &DataType) -> Result<ArrayRef, String> {
    let (DataType::Decimal32(_, scale)
    | DataType::Decimal64(_, scale)
    | DataType::Decimal128(_, scale)
    | DataType::Decimal256(_, scale)) = data_type
    else {
        return Err(format!("{data_type} is no decimal"));
    };
    let text = match literal {
        Literal::Text(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let Some(value) = decimal::parse(&text, *scale) else {
        return Err(format!(
            "{literal} is no decimal with {scale} digits after the point, and the column holds {data_type}"
        ));
    };
    let wide = Decimal256Array::from(vec![value]).with_data_type(decimal::widest(*scale));
    exactly(&(Arc::new(wide) as ArrayRef), data_type, literal)
}

/// A date or time, unless the column's unit would cut a part of it off.
fn time_row(text: &str, data_type: &DataType, literal: &Literal) -> Result<ArrayRef, String> {
    let row = exactly(&text_row(text), data_type, literal)?;
    if let DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, zone) = data_type {
        let finest = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
        // Years that nanoseconds cannot reach are not checked.
        if let (Ok(fine), Ok(coarse)) = (exactly(&text_row(text), &finest, literal), exactly(&row, &finest, literal))
            && fine != coarse
        {
            return Err(format!("{literal} is finer than {data_type}"));
        }
    }
    Ok(row)
}

/// Casts, and refuses what the type does not hold.
fn exactly(row: &ArrayRef, data_type: &DataType, literal: &Literal) -> Result<ArrayRef, String> {
    if !can_cast_types(row.data_type(), data_type) {
        return Err(format!("{literal} cannot be read as {data_type}"));
    }
    let strict = CastOptions { safe: false, format_options: FormatOptions::default() };
    let cast =
        cast_with_options(row, data_type, &strict).map_err(|_| format!("{literal} is no value of {data_type}"))?;
    // A float that is too large becomes infinite without an error.
    if data_type.is_floating() && has_infinity(&cast) {
        return Err(format!("{literal} is too large for {data_type}"));
    }
    Ok(cast)
}

fn has_infinity(row: &ArrayRef) -> bool {
    let wide = cast(row, &DataType::Float64);
    wide.is_ok_and(|wide| wide.as_primitive::<Float64Type>().values().iter().any(|value| value.is_infinite()))
}

fn text_row(text: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![text]))
}

fn is_text(data_type: &DataType) -> bool {
    use DataType as T;
    matches!(data_type, T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Binary | T::LargeBinary | T::BinaryView)
}

fn is_decimal(data_type: &DataType) -> bool {
    use DataType as T;
    matches!(data_type, T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..))
}

impl Literal {
    fn kind(&self) -> &'static str {
        match self {
            Self::Truth(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
        }
    }

    /// What to write instead, where that is plain.
    fn hint(&self, data_type: &DataType) -> &'static str {
        match self {
            Self::Text(text) if data_type.is_numeric() && text.trim().parse().is_ok_and(f64::is_finite) => {
                "; write it without the quotes"
            }
            Self::Truth(_) | Self::Number(_) if is_text(data_type) => "; write it in quotes",
            Self::Truth(_) | Self::Number(_) if data_type.is_temporal() => {
                "; write it as a text, such as \"2024-01-31\""
            }
            _ => "",
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth(truth) => truth.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put(value: serde_json::Value, data_type: &DataType) -> Result<String, String> {
        let literal: Literal = serde_json::from_value(value).expect("a literal");
        let row = one_row(&literal, data_type)?;
        assert_eq!(row.data_type(), data_type);
        arrow::util::display::array_value_to_string(&row, 0).map_err(|error| error.to_string())
    }

    #[test]
    fn what_fits_is_taken_exactly() {
        let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        for (value, data_type, wanted) in [
            (json!(9007199254740993i64), DataType::Int64, "9007199254740993"),
            (json!(18446744073709551615u64), DataType::UInt64, "18446744073709551615"),
            (json!(3.0), DataType::Int8, "3"),
            (json!(3), DataType::Float32, "3.0"),
            (json!(12.5), DataType::Decimal128(6, 2), "12.50"),
            (
                json!("123456789012345678901234567890.12"),
                DataType::Decimal128(38, 2),
                "123456789012345678901234567890.12",
            ),
            (json!("unknown"), DataType::Utf8View, "unknown"),
            (json!(true), DataType::Boolean, "true"),
            (json!("2024-02-29"), DataType::Date32, "2024-02-29"),
            (json!("2024-02-29T12:00:00.250+01:00"), utc, "2024-02-29T11:00:00.250Z"),
        ] {
            assert_eq!(put(value.clone(), &data_type).as_deref(), Ok(wanted), "{value} as {data_type}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let list = DataType::new_list(DataType::Int64, true);
        for (value, data_type) in [
            (json!(1.5), DataType::Int64),
            (json!(300), DataType::Int8),
            (json!(-1), DataType::UInt32),
            (json!(1e300), DataType::Int64),
            (json!("12"), DataType::Int64),
            (json!(1e300), DataType::Float32),
            (json!("NaN"), DataType::Float64),
            (json!(12.345), DataType::Decimal128(6, 2)),
            (json!(12345), DataType::Decimal128(6, 2)),
            (json!(0), DataType::Utf8),
            (json!(1), DataType::Boolean),
            (json!(20240229), DataType::Date32),
            (json!("yesterday"), DataType::Date32),
            (json!("2024-02-29T12:00:00.250"), DataType::Timestamp(TimeUnit::Second, None)),
            (json!(1), list),
        ] {
            assert!(put(value.clone(), &data_type).is_err(), "{value} as {data_type}");
        }
    }
}
