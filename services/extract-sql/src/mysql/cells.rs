//! The values of a column as the driver hands them over, read into an Arrow array.

use super::types::Form;
use crate::decimal;
use crate::draft;
use crate::trouble::Wrong;
use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder,
    Float32Builder, Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow::datatypes::{Decimal128Type, Decimal256Type, DecimalType};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use mysql_async::Value;

/// A column under way.
pub enum Cells {
    Int8(Int8Builder),
    UInt8(UInt8Builder),
    Int16(Int16Builder),
    UInt16(UInt16Builder),
    Int32(Int32Builder),
    UInt32(UInt32Builder),
    Int64(Int64Builder),
    UInt64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Bit(BooleanBuilder),
    Bits(UInt64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

const ZERO: &str = "leave such rows out, or put a null in their place: NULLIF(x, 0)";
const DAY: &str = "a TIME may be below zero or past a day: write TIME_TO_SEC(x), or CAST(x AS CHAR)";
const DAMAGED: &str = "run again; if it stays, cast the column in the query: CAST(x AS CHAR)";

impl Cells {
    /// An empty column.
    pub fn new(form: Form) -> Self {
        match form {
            Form::Int8 => Self::Int8(Int8Builder::new()),
            Form::UInt8 => Self::UInt8(UInt8Builder::new()),
            Form::Int16 => Self::Int16(Int16Builder::new()),
            Form::UInt16 => Self::UInt16(UInt16Builder::new()),
            Form::Int32 => Self::Int32(Int32Builder::new()),
            Form::UInt32 => Self::UInt32(UInt32Builder::new()),
            Form::Int64 => Self::Int64(Int64Builder::new()),
            Form::UInt64 => Self::UInt64(UInt64Builder::new()),
            Form::Float32 => Self::Float32(Float32Builder::new()),
            Form::Float64 => Self::Float64(Float64Builder::new()),
            Form::Decimal128(precision, scale) => {
                Self::Decimal128(Decimal128Builder::new().with_data_type(form.data_type()), precision, scale)
            }
            Form::Decimal256(precision, scale) => {
                Self::Decimal256(Decimal256Builder::new().with_data_type(form.data_type()), precision, scale)
            }
            Form::Bit => Self::Bit(BooleanBuilder::new()),
            Form::Bits => Self::Bits(UInt64Builder::new()),
            Form::Text => Self::Text(StringBuilder::new()),
            Form::Bytes => Self::Bytes(BinaryBuilder::new()),
            Form::Date => Self::Date(Date32Builder::new()),
            Form::Time => Self::Time(Time64MicrosecondBuilder::new()),
            Form::Timestamp { .. } => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(form.data_type()))
            }
        }
    }

    /// Adds a value, and tells how many bytes it takes about.
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub fn push(&mut self, value: &Value) -> Result<usize, Wrong> {
        match self {
            Self::Int8(cells) => cells.append_option(whole(value)?),
            Self::UInt8(cells) => cells.append_option(whole(value)?),
            Self::Int16(cells) => cells.append_option(whole(value)?),
            Self::UInt16(cells) => cells.append_option(whole(value)?),
            Self::Int32(cells) => cells.append_option(whole(value)?),
            Self::UInt32(cells) => cells.append_option(whole(value)?),
            Self::Int64(cells) => cells.append_option(whole(value)?),
            Self::UInt64(cells) => cells.append_option(whole(value)?),
            Self::Float32(cells) => cells.append_option(match value {
                Value::NULL => None,
                Value::Float(float) => Some(*float),
                _ => return Err(strange()),
            }),
            Self::Float64(cells) => cells.append_option(match value {
                Value::NULL => None,
                Value::Float(float) => Some(f64::from(*float)),
                Value::Double(float) => Some(*float),
                _ => return Err(strange()),
            }),
            Self::Decimal128(cells, precision, scale) => {
                let fits = |number: &i128| Decimal128Type::is_valid_decimal_precision(*number, *precision);
                cells.append_option(digits(value, *scale, fits)?);
            }
            Self::Decimal256(cells, precision, scale) => {
                let fits = |number: &_| Decimal256Type::is_valid_decimal_precision(*number, *precision);
                cells.append_option(digits(value, *scale, fits)?);
            }
            Self::Bit(cells) => cells.append_option(bits(value)?.map(|bits| bits != 0)),
            Self::Bits(cells) => cells.append_option(bits(value)?),
            Self::Text(cells) => {
                let text = text(value)?;
                cells.append_option(text);
                return Ok(text.map_or(0, str::len) + size_of::<i32>());
            }
            Self::Bytes(cells) => {
                let bytes = bytes(value)?;
                cells.append_option(bytes);
                return Ok(bytes.map_or(0, <[u8]>::len) + size_of::<i32>());
            }
            Self::Date(cells) => cells.append_option(moment(value)?.map(|moment| days(moment.date()))),
            Self::Time(cells) => cells.append_option(time(value)?),
            Self::Timestamp(cells) => {
                cells.append_option(moment(value)?.map(|moment| moment.and_utc().timestamp_micros()));
            }
        }
        Ok(size_of::<i64>())
    }
}

impl draft::Cells for Cells {
    fn finish(mut self) -> ArrayRef {
        let builder: &mut dyn ArrayBuilder = match &mut self {
            Self::Int8(cells) => cells,
            Self::UInt8(cells) => cells,
            Self::Int16(cells) => cells,
            Self::UInt16(cells) => cells,
            Self::Int32(cells) => cells,
            Self::UInt32(cells) => cells,
            Self::Int64(cells) => cells,
            Self::UInt64(cells) | Self::Bits(cells) => cells,
            Self::Float32(cells) => cells,
            Self::Float64(cells) => cells,
            Self::Decimal128(cells, ..) => cells,
            Self::Decimal256(cells, ..) => cells,
            Self::Bit(cells) => cells,
            Self::Text(cells) => cells,
            Self::Bytes(cells) => cells,
            Self::Date(cells) => cells,
            Self::Time(cells) => cells,
            Self::Timestamp(cells) => cells,
        };
        builder.finish()
    }
}

fn strange() -> Wrong {
    Wrong::new("a value of another type than the server told", DAMAGED)
}

fn whole<T: TryFrom<i64> + TryFrom<u64>>(value: &Value) -> Result<Option<T>, Wrong> {
    let number = match value {
        Value::NULL => return Ok(None),
        Value::Int(number) => T::try_from(*number).ok(),
        Value::UInt(number) => T::try_from(*number).ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(strange)
}

fn bytes(value: &Value) -> Result<Option<&[u8]>, Wrong> {
    match value {
        Value::NULL => Ok(None),
        Value::Bytes(bytes) => Ok(Some(bytes)),
        _ => Err(strange()),
    }
}

fn text(value: &Value) -> Result<Option<&str>, Wrong> {
    let text = bytes(value)?.map(std::str::from_utf8).transpose();
    text.map_err(|_| Wrong::new("a text that is not UTF-8", "read it as bytes: CAST(x AS BINARY)"))
}

fn digits<W: decimal::Whole>(value: &Value, scale: i8, fits: impl Fn(&W) -> bool) -> Result<Option<W>, Wrong> {
    let Some(text) = text(value)? else { return Ok(None) };
    let number = decimal::parse(text, scale).filter(fits);
    let other = || Wrong::new(format!("the decimal {text}, which has more digits than the server told"), DAMAGED);
    number.map(Some).ok_or_else(other)
}

/// Bits as a number: bytes, the highest first.
fn bits(value: &Value) -> Result<Option<u64>, Wrong> {
    let Some(bytes) = bytes(value)? else { return Ok(None) };
    match bytes.len() {
        0..=8 => Ok(Some(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))),
        _ => Err(strange()),
    }
}

/// A day, or a moment of it. MySQL also keeps days that are none: `0000-00-00`, `2024-02-00`.
fn moment(value: &Value) -> Result<Option<NaiveDateTime>, Wrong> {
    let (year, month, day, hour, minute, second, micros) = match *value {
        Value::NULL => return Ok(None),
        Value::Date(year, month, day, hour, minute, second, micros) => (year, month, day, hour, minute, second, micros),
        _ => return Err(strange()),
    };
    let date = NaiveDate::from_ymd_opt(year.into(), month.into(), day.into()).filter(|_| year > 0);
    let moment = date.and_then(|date| date.and_hms_micro_opt(hour.into(), minute.into(), second.into(), micros));
    let other = || Wrong::new(format!("{year:04}-{month:02}-{day:02}, which is no day"), ZERO);
    moment.map(Some).ok_or_else(other)
}

fn days(date: NaiveDate) -> i32 {
    // Four digits of years: some three million days.
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or(i32::MAX)
}

/// Microseconds of a day.
fn time(value: &Value) -> Result<Option<i64>, Wrong> {
    let (negative, days, hour, minute, second, micros) = match *value {
        Value::NULL => return Ok(None),
        Value::Time(negative, days, hour, minute, second, micros) => (negative, days, hour, minute, second, micros),
        _ => return Err(strange()),
    };
    let time = NaiveTime::from_hms_micro_opt(hour.into(), minute.into(), second.into(), micros);
    let time = time.filter(|_| !negative && days == 0);
    let since = time.map(|time| time.signed_duration_since(NaiveTime::MIN).num_microseconds());
    let shown = || {
        let (sign, hours) = (if negative { "-" } else { "" }, days * 24 + u32::from(hour));
        Wrong::new(format!("{sign}{hours:02}:{minute:02}:{second:02}, which is no time of a day"), DAY)
    };
    since.ok_or_else(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_that_are_none_are_refused() {
        assert_eq!(
            moment(&Value::Date(1970, 1, 2, 0, 0, 1, 5)).map(|at| at.map(|at| at.and_utc().timestamp_micros())),
            Ok(Some(86_401_000_005))
        );
        assert_eq!(moment(&Value::Date(1969, 12, 31, 0, 0, 0, 0)).map(|at| at.map(|at| days(at.date()))), Ok(Some(-1)));
        for none in [
            Value::Date(0, 0, 0, 0, 0, 0, 0),
            Value::Date(2024, 2, 0, 0, 0, 0, 0),
            Value::Date(2023, 2, 29, 0, 0, 0, 0),
        ] {
            assert!(moment(&none).is_err_and(|wrong| wrong.what.contains("no day")), "{none:?}");
        }
        assert_eq!(time(&Value::Time(false, 0, 23, 59, 59, 999_999)), Ok(Some(86_399_999_999)));
        assert!(time(&Value::Time(false, 1, 0, 0, 0, 0)).is_err_and(|wrong| wrong.what.starts_with("24:00:00")));
        assert!(time(&Value::Time(true, 34, 22, 59, 59, 0)).is_err_and(|wrong| wrong.what.starts_with("-838:59:59")));
    }

    #[test]
    fn numbers_are_taken_whole_or_not_at_all() {
        assert_eq!(whole::<i8>(&Value::Int(-128)), Ok(Some(-128)));
        assert_eq!(whole::<u64>(&Value::UInt(u64::MAX)), Ok(Some(u64::MAX)));
        assert!(whole::<i8>(&Value::Int(128)).is_err() && whole::<i64>(&Value::Bytes(b"7".to_vec())).is_err());
        assert_eq!(bits(&Value::Bytes(vec![1, 2])), Ok(Some(258)));
        assert!(digits::<i128>(&Value::Bytes(b"100.00".to_vec()), 2, |whole| *whole < 10_000).is_err());
    }
}
