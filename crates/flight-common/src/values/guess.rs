//! Which type a column has, guessed from its first values.
//!
//! A guess loses nothing: what it would read as a number must come out as it went in. So `007` makes a column text, and
//! so does an integer beyond 64 bits, one that a float does not hold among values that are floats, or a number with more
//! digits than a float gives back.

use super::boolean::truth;
use super::forms::{Forms, Stamp};
use super::number::{integer, is_float, is_lossless_float, is_plain};
use arrow::datatypes::{DataType, TimeUnit};

/// The kinds of value that a column was seen to have, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u16);

const INTEGER: u16 = 1;
/// An integer that no float64 holds.
const WIDE: u16 = 1 << 1;
const FLOAT: u16 = 1 << 2;
const BOOLEAN: u16 = 1 << 3;
const DATE: u16 = 1 << 4;
/// A date and time without an offset, and with one.
const LOCAL: u16 = 1 << 5;
const INSTANT: u16 = 1 << 6;
/// Parts of a second finer than a microsecond.
const NANOS: u16 = 1 << 7;
const TEXT: u16 = 1 << 8;
/// A date or time in a form that the user gave: it does not go together with the other.
const FORMED: u16 = 1 << 9;
/// A date or time that 64 bits of nanoseconds do not hold.
const FAR: u16 = 1 << 10;
/// Seconds before and after 1970 that they do hold.
const NEAR: u64 = i64::MAX.unsigned_abs() / 1_000_000_000;

impl Seen {
    /// What a column of this type holds, as far as a guess can tell it.
    pub fn of(data_type: &DataType) -> Self {
        Self(match data_type {
            DataType::Int64 => INTEGER,
            DataType::Float64 => FLOAT,
            DataType::Boolean => BOOLEAN,
            DataType::Date32 => DATE,
            DataType::Timestamp(unit, zone) => {
                let kind = if zone.is_some() { INSTANT } else { LOCAL };
                kind | if *unit == TimeUnit::Nanosecond { NANOS } else { 0 }
            }
            _ => TEXT,
        })
    }

    /// Whether there are values among them that only text can hold.
    pub fn is_text(self) -> bool {
        self.0 & TEXT != 0
    }

    /// Adds an integer of up to eight digits.
    pub fn add_short_integer(&mut self) {
        self.0 |= INTEGER;
    }

    /// Adds a text that is a text, even where it looks like a number: it may be a date or a time.
    pub fn add_text(&mut self, value: &[u8], forms: &Forms) {
        let seen = kind(value, forms);
        self.0 |= if seen & (DATE | LOCAL | INSTANT) == 0 { TEXT } else { seen };
    }

    /// Adds a value that is not null, without the spaces around it.
    pub fn add(&mut self, value: &[u8], forms: &Forms) {
        self.0 |= kind(value, forms);
    }

    /// Adds what another part of the column was seen to have.
    pub fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The type that holds them all. A column without values is text.
    pub fn data_type(self) -> DataType {
        let only = |kinds: u16| self.0 != 0 && self.0 & !kinds == 0;
        let unit = match (self.0 & NANOS, self.0 & FAR) {
            (0, _) => TimeUnit::Microsecond,
            (_, 0) => TimeUnit::Nanosecond,
            _ => return DataType::Utf8,
        };
        if only(INTEGER | WIDE) {
            DataType::Int64
        } else if only(INTEGER | FLOAT) {
            DataType::Float64
        } else if only(BOOLEAN) {
            DataType::Boolean
        } else if only(DATE | FORMED | FAR) {
            DataType::Date32
        } else if only(DATE | LOCAL | NANOS | FAR) || only(LOCAL | NANOS | FORMED | FAR) {
            DataType::Timestamp(unit, None)
        } else if only(INSTANT | NANOS | FORMED | FAR) {
            DataType::Timestamp(unit, Some("UTC".into()))
        } else {
            DataType::Utf8
        }
    }
}

fn kind(value: &[u8], forms: &Forms) -> u16 {
    // A pattern that the user gave goes before all that its values look like.
    if forms.date.is_some()
        && let Some(days) = forms.date(value)
    {
        return date_kind(days) | FORMED;
    }
    if forms.timestamp.is_some()
        && let Some(stamp) = forms.stamp(value)
    {
        return time_kind(stamp) | FORMED;
    }
    match value {
        [b'0'..=b'9' | b'-' | b'.', ..] => number(value).unwrap_or_else(|| time(value, forms)),
        [b't' | b'T' | b'f' | b'F', ..] if truth(value).is_some() => BOOLEAN,
        // Not a number, and infinity.
        [b'n' | b'N' | b'i' | b'I', ..] if is_float(value) => FLOAT,
        _ => TEXT,
    }
}

fn number(value: &[u8]) -> Option<u16> {
    if let Some(whole) = integer(value) {
        return Some(match i64::try_from(whole) {
            _ if !is_plain(value) => TEXT,
            Err(_) => TEXT,
            Ok(_) if is_lossless_float(value) => INTEGER,
            Ok(_) => INTEGER | WIDE,
        });
    }
    is_float(value).then_some(FLOAT)
}

fn time(value: &[u8], forms: &Forms) -> u16 {
    if forms.date.is_none()
        && let Some(days) = forms.date(value)
    {
        return date_kind(days);
    }
    match forms.timestamp {
        None => forms.stamp(value).map_or(TEXT, time_kind),
        Some(_) => TEXT,
    }
}

fn date_kind(days: i32) -> u16 {
    DATE | far(i64::from(days) * 86_400)
}

fn time_kind(stamp: Stamp) -> u16 {
    let kind = if stamp.offset.is_some() { INSTANT } else { LOCAL };
    let seconds = stamp.seconds - i64::from(stamp.offset.unwrap_or(0));
    kind | far(seconds) | if stamp.nanos.is_multiple_of(1000) { 0 } else { NANOS }
}

fn far(seconds: i64) -> u16 {
    if seconds.unsigned_abs() < NEAR { 0 } else { FAR }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::types::name;

    fn guess(values: &[&str]) -> String {
        let mut seen = Seen::default();
        values.iter().for_each(|value| seen.add(value.as_bytes(), &Forms::default()));
        name(&seen.data_type())
    }

    #[test]
    fn the_narrowest_type_that_loses_nothing_is_guessed() {
        for (values, wanted) in [
            (&["1", "-20", "0"][..], "int64"),
            (&["9223372036854775807", "1"], "int64"),
            (&["9223372036854775808"], "string"),
            (&["1", "007"], "string"),
            (&["1", "+1"], "string"),
            (&["1", "2.5", "-1e3", ".5"], "float64"),
            (&["9007199254740993", "0.5"], "string"),
            (&["1234567890123456789.25", "0.5"], "string"),
            (&["9007199254740993.0"], "string"),
            (&["1e-400"], "string"),
            (&["0.30000000000000004", "5e-324"], "float64"),
            (&["1e400", "0.5"], "string"),
            (&["01.5"], "string"),
            (&["inf", "NaN", "1"], "float64"),
            (&["true", "False", "TRUE"], "boolean"),
            (&["true", "1"], "string"),
            (&["Yes", "No"], "string"),
            (&["2024-01-31", "1999-12-01"], "date"),
            (&["2024-01-31", "2024-01-31 10:00"], "timestamp"),
            (&["2024-01-31T10:00:00Z", "2024-01-31T10:00:00+02:00"], "timestamp[us, UTC]"),
            (&["2024-01-31T10:00:00.123456789"], "timestamp[ns]"),
            (&["2024-01-31T10:00:00.123456789", "2262-04-11"], "timestamp[ns]"),
            (&["2024-01-31T10:00:00.123456789", "9999-12-31"], "string"),
            (&["9999-12-31T00:00:00Z", "0001-01-01T00:00:00.000001Z"], "timestamp[us, UTC]"),
            (&["9999-12-31", "0001-01-01"], "date"),
            (&["2024-01-31T10:00:00Z", "2024-01-31T10:00:00"], "string"),
            (&["2024-02-30"], "string"),
            (&["10.0.0.1"], "string"),
            (&["", "-"], "string"),
            (&[], "string"),
        ] {
            assert_eq!(guess(values), wanted, "{values:?}");
        }
    }
}
