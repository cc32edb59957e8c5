//! The values of a column, read into an Arrow array. What does not fit the column's form is refused, never bent.

use super::form::Form;
use crate::decimal;
use crate::draft;
use crate::trouble::Wrong;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Decimal128Type, DecimalType};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use rusqlite::types::ValueRef;
use std::sync::Arc;

/// A column under way.
pub enum Cells {
    Whole(Int64Builder),
    Bool(BooleanBuilder),
    Real(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Decimal(Decimal128Builder, u8, i8),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

/// Whole numbers that a float holds exactly.
const EXACT: u64 = 1 << 53;

impl Cells {
    /// An empty column.
    pub fn new(form: Form) -> Self {
        match form {
            Form::Whole => Self::Whole(Int64Builder::new()),
            Form::Bool => Self::Bool(BooleanBuilder::new()),
            Form::Real => Self::Real(Float64Builder::new()),
            Form::Text => Self::Text(StringBuilder::new()),
            Form::Bytes => Self::Bytes(BinaryBuilder::new()),
            Form::Decimal(precision, scale) => {
                Self::Decimal(Decimal128Builder::new().with_data_type(form.data_type()), precision, scale)
            }
            Form::Date => Self::Date(Date32Builder::new()),
            Form::Time => Self::Time(Time64MicrosecondBuilder::new()),
            Form::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
        }
    }

    /// Adds a value, and tells how many bytes it takes about.
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub fn push(&mut self, value: ValueRef<'_>) -> Result<usize, Wrong> {
        match (self, value) {
            (cells, ValueRef::Null) => cells.push_null(),
            (Self::Whole(cells), ValueRef::Integer(number)) => cells.append_value(number),
            (Self::Bool(cells), ValueRef::Integer(number @ (0 | 1))) => cells.append_value(number == 1),
            (Self::Real(cells), ValueRef::Real(number)) => cells.append_value(number),
            (Self::Real(cells), ValueRef::Integer(number)) if number.unsigned_abs() <= EXACT => {
                cells.append_value(number as f64);
            }
            (Self::Text(cells), ValueRef::Text(bytes)) => {
                cells.append_value(text(bytes)?);
                return Ok(bytes.len());
            }
            (Self::Text(cells), ValueRef::Integer(number)) => cells.append_value(number.to_string()),
            (Self::Bytes(cells), ValueRef::Blob(bytes)) => {
                cells.append_value(bytes);
                return Ok(bytes.len());
            }
            (Self::Decimal(cells, precision, scale), value) => {
                let spelled = match value {
                    ValueRef::Integer(number) => number.to_string(),
                    // The shortest spelling that reads back as the same float, without an exponent.
                    ValueRef::Real(number) => number.to_string(),
                    ValueRef::Text(bytes) => text(bytes)?.to_owned(),
                    other => return Err(misfit(other, "a decimal")),
                };
                cells.append_value(decimal(&spelled, *precision, *scale).ok_or_else(|| {
                    Wrong::new(format!("{spelled} is no decimal of {precision} digits, {scale} of them decimals"), CAST)
                })?);
            }
            (Self::Date(cells), ValueRef::Text(bytes)) => {
                let date = date(text(bytes)?).ok_or_else(|| misfit(value, "a date such as 2024-02-29"))?;
                cells.append_value(date);
            }
            (Self::Time(cells), ValueRef::Text(bytes)) => {
                let time = time(text(bytes)?).ok_or_else(|| misfit(value, "a time such as 12:30:00"))?;
                cells.append_value(time);
            }
            (Self::Timestamp(cells), ValueRef::Text(bytes)) => {
                let stamp = timestamp(text(bytes)?);
                cells.append_value(stamp.ok_or_else(|| misfit(value, "a timestamp such as 2024-02-29 12:30:00"))?);
            }
            (cells, other) => return Err(misfit(other, cells.wanted())),
        }
        Ok(8)
    }

    fn push_null(&mut self) {
        match self {
            Self::Whole(cells) => cells.append_null(),
            Self::Bool(cells) => cells.append_null(),
            Self::Real(cells) => cells.append_null(),
            Self::Text(cells) => cells.append_null(),
            Self::Bytes(cells) => cells.append_null(),
            Self::Decimal(cells, ..) => cells.append_null(),
            Self::Date(cells) => cells.append_null(),
            Self::Time(cells) => cells.append_null(),
            Self::Timestamp(cells) => cells.append_null(),
        }
    }

    fn wanted(&self) -> &'static str {
        match self {
            Self::Whole(_) => "a whole number",
            Self::Bool(_) => "0 or 1, as booleans are",
            Self::Real(_) => "a number that a float holds exactly",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "a blob",
            Self::Decimal(..) => "a decimal",
            Self::Date(_) => "a date such as 2024-02-29",
            Self::Time(_) => "a time such as 12:30:00",
            Self::Timestamp(_) => "a timestamp such as 2024-02-29 12:30:00",
        }
    }
}

impl draft::Cells for Cells {
    fn finish(self) -> ArrayRef {
        match self {
            Self::Whole(mut cells) => Arc::new(cells.finish()),
            Self::Bool(mut cells) => Arc::new(cells.finish()),
            Self::Real(mut cells) => Arc::new(cells.finish()),
            Self::Text(mut cells) => Arc::new(cells.finish()),
            Self::Bytes(mut cells) => Arc::new(cells.finish()),
            Self::Decimal(mut cells, ..) => Arc::new(cells.finish()),
            Self::Date(mut cells) => Arc::new(cells.finish()),
            Self::Time(mut cells) => Arc::new(cells.finish()),
            Self::Timestamp(mut cells) => Arc::new(cells.finish()),
        }
    }
}

const CAST: &str = "SQLite holds any value in any column: mend the row, or give the column a type that holds it all, such as CAST(x AS TEXT)";

fn misfit(value: ValueRef<'_>, wanted: &str) -> Wrong {
    let shown = match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => format!("the whole number {number}"),
        ValueRef::Real(number) => format!("the float {number}"),
        ValueRef::Text(bytes) => {
            let start: String = String::from_utf8_lossy(bytes).chars().take(40).collect();
            format!("the text {start:?}")
        }
        ValueRef::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
    };
    Wrong::new(format!("{shown} is not {wanted}"), CAST)
}

fn text(bytes: &[u8]) -> Result<&str, Wrong> {
    std::str::from_utf8(bytes).map_err(|_| Wrong::new("a text that is not UTF-8", "read it as CAST(x AS BLOB)"))
}

fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let fits = |number: &i128| Decimal128Type::is_valid_decimal_precision(*number, precision);
    decimal::parse(text.trim(), scale).filter(fits)
}

fn date(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

fn time(text: &str) -> Option<i64> {
    let time = ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
    micros(time).map(|micros| i64::from(time.num_seconds_from_midnight()) * 1_000_000 + micros)
}

/// Microseconds of a second; nothing if it has finer decimals, or is a leap second.
fn micros(time: NaiveTime) -> Option<i64> {
    let nanos = time.nanosecond();
    (nanos.is_multiple_of(1000) && nanos < 1_000_000_000).then(|| i64::from(nanos / 1000))
}

fn timestamp(text: &str) -> Option<i64> {
    const FORMS: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let whole = FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let stamp = whole.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
    micros(stamp.time())?;
    Some(stamp.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit_or_are_refused() {
        assert_eq!(decimal("12.5", 10, 2), Some(1250));
        assert_eq!(decimal("-0.10", 10, 2), Some(-10));
        assert_eq!(decimal("7", 10, 2), Some(700));
        for lost in ["1.255", "123456789", "1e5", ""] {
            assert_eq!(decimal(lost, 10, 2), None, "{lost}");
        }
    }

    #[test]
    fn times_are_read_to_the_microsecond_and_no_further() {
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("31.12.1969"), None);
        assert_eq!(time("23:59:59.000001"), Some(86_399_000_001));
        assert_eq!(timestamp("1970-01-01T00:00:01.5"), Some(1_500_000));
        assert_eq!(timestamp("1969-12-31"), Some(-86_400_000_000));
        assert_eq!(timestamp("1970-01-01 00:00:00.0000001"), None);
        assert_eq!(timestamp("1970-01-01 00:00:00+02:00"), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Cells::new(Form::Whole).push(ValueRef::Text(b"7")).is_err());
        assert!(Cells::new(Form::Bool).push(ValueRef::Integer(2)).is_err());
        assert!(Cells::new(Form::Real).push(ValueRef::Integer((1 << 53) + 1)).is_err());
        assert!(Cells::new(Form::Text).push(ValueRef::Text(b"\xff")).is_err());
        assert!(Cells::new(Form::Date).push(ValueRef::Integer(0)).is_err());
    }
}
