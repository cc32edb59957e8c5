//! What a cell holds, apart from the format of the workbook, and how it is written as text.

use calamine::{Data, DataRef, ExcelDateTime, ExcelDateTimeType};
use chrono::{Days, NaiveDate, NaiveTime};
use std::fmt::Write;

/// Whole numbers below this one are kept by the floats in which workbooks hold numbers. From here on several share one, so
/// that a float is all that is known of them.
const WHOLE: f64 = 9_007_199_254_740_992.0;
const DAY_MILLIS: f64 = 86_400_000.0;
/// The day after 9999-12-31, counted from 1899-12-30.
const LAST_DAY: f64 = 2_958_466.0;

/// What a cell holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// True or false.
    Truth(bool),
    /// A point in time, in ISO 8601: a date, a date and time, or a time of day.
    Moment(String),
    /// A length of time: `25:30:00`.
    Span(String),
    /// An error: `#DIV/0!`.
    Error(String),
    /// A 0 shown as a date or a time: midnight, or the day before the first one. What else its column holds tells which.
    Zero {
        /// Whether days are counted from 1904, so that it may be the first one.
        from_1904: bool,
    },
    /// A number shown as a date that no calendar has.
    NoDate(f64),
    /// What is in the place of a number and is none: one beyond all floats.
    NoNumber(f64),
    /// A formula whose result is not in the file.
    Uncalculated,
}

impl Cell {
    /// What a cell of a streamed sheet holds; nothing if it holds nothing.
    pub fn of_ref(value: DataRef<'_>) -> Option<Self> {
        Some(match value {
            DataRef::Empty => return None,
            DataRef::SharedString(text) => Self::Text(text.to_owned()),
            DataRef::String(text) => Self::Text(text),
            DataRef::Int(number) => Self::Number(number as f64),
            DataRef::Float(number) => of_float(number),
            DataRef::Bool(truth) => Self::Truth(truth),
            DataRef::DateTime(moment) => of_serial(moment),
            DataRef::DateTimeIso(text) => Self::Moment(text),
            DataRef::DurationIso(text) => of_duration(text),
            DataRef::Error(error) => Self::Error(error.to_string()),
        })
    }

    /// What a cell of a sheet in memory holds; nothing if it holds nothing.
    pub fn of(value: &Data) -> Option<Self> {
        Some(match value {
            Data::Empty => return None,
            Data::String(text) => Self::Text(text.clone()),
            Data::Int(number) => Self::Number(*number as f64),
            Data::Float(number) => of_float(*number),
            Data::Bool(truth) => Self::Truth(*truth),
            Data::DateTime(moment) => of_serial(*moment),
            Data::DateTimeIso(text) => Self::Moment(text.clone()),
            Data::DurationIso(text) => of_duration(text.clone()),
            Data::Error(error) => Self::Error(error.to_string()),
        })
    }

    /// Writes it as text, behind what is there.
    pub fn write(&self, into: &mut String) {
        match self {
            Self::Number(number) if number.fract() == 0.0 && number.abs() < WHOLE => {
                into.push_str(itoa::Buffer::new().format(*number as i64));
            }
            Self::Number(number) | Self::NoDate(number) | Self::NoNumber(number) => {
                into.push_str(ryu::Buffer::new().format(*number));
            }
            Self::Zero { .. } => into.push_str("00:00:00"),
            Self::Text(text) | Self::Moment(text) | Self::Span(text) | Self::Error(text) => into.push_str(text),
            Self::Truth(truth) => into.push_str(if *truth { "true" } else { "false" }),
            Self::Uncalculated => {}
        }
    }

    /// Writes it as a decimal number: a whole one as it is, others with the 15 digits that a workbook shows, so that 0.1 + 0.2
    /// is 0.3.
    pub fn write_decimal(&self, into: &mut String) {
        match self {
            Self::Number(number) => {
                let shown = match number.fract() == 0.0 {
                    true => *number,
                    false => format!("{number:.14e}").parse().unwrap_or(*number),
                };
                let _ = write!(into, "{shown}");
            }
            other => other.write(into),
        }
    }

    /// Bytes that it keeps beyond itself.
    pub fn heap(&self) -> usize {
        match self {
            Self::Text(text) | Self::Moment(text) | Self::Span(text) => text.len(),
            _ => 0,
        }
    }
}

fn of_float(number: f64) -> Cell {
    if number.is_finite() { Cell::Number(number) } else { Cell::NoNumber(number) }
}

/// A number that a workbook shows as a date, a time, or a length of time.
fn of_serial(moment: ExcelDateTime) -> Cell {
    let serial = moment.as_f64();
    let kind = |kind| ExcelDateTime::new(serial, kind, true);
    let from_1904 =
        [ExcelDateTimeType::DateTime, ExcelDateTimeType::TimeDelta].into_iter().any(|it| moment == kind(it));
    if !serial.is_finite() {
        return Cell::NoDate(serial);
    }
    let millis = (serial * DAY_MILLIS).round();
    if moment.is_duration() {
        return Cell::Span(span(millis));
    }
    if millis == 0.0 {
        return Cell::Zero { from_1904 };
    }
    date_and_time(millis, from_1904).map_or(Cell::NoDate(serial), Cell::Moment)
}

fn date_and_time(millis: f64, from_1904: bool) -> Option<String> {
    let days = (millis / DAY_MILLIS).floor();
    let time = time_of_day(millis - days * DAY_MILLIS)?;
    if !(0.0..LAST_DAY).contains(&days) {
        return None;
    }
    // A time of day alone is a part of day 0.
    if days == 0.0 {
        return Some(time_text(time));
    }
    // Workbooks that count from 1900 have a 1900-02-29, which no calendar has: it is day 60.
    let epoch = match (from_1904, days) {
        (true, _) => NaiveDate::from_ymd_opt(1904, 1, 1),
        (false, 60.0) => None,
        (false, ..60.0) => NaiveDate::from_ymd_opt(1899, 12, 31),
        (false, _) => NaiveDate::from_ymd_opt(1899, 12, 30),
    };
    let date = epoch?.checked_add_days(Days::new(days as u64))?;
    Some(if time == NaiveTime::MIN { date.to_string() } else { format!("{date}T{}", time_text(time)) })
}

fn time_of_day(millis: f64) -> Option<NaiveTime> {
    let millis = millis as u32;
    NaiveTime::from_num_seconds_from_midnight_opt(millis / 1000, millis % 1000 * 1_000_000)
}

fn time_text(time: NaiveTime) -> String {
    time.format("%H:%M:%S%.f").to_string()
}

/// `25:30:00`.
fn span(millis: f64) -> String {
    let sign = if millis < 0.0 { "-" } else { "" };
    let millis = millis.abs() as u64;
    let seconds = millis / 1000;
    let text = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if millis.is_multiple_of(1000) { text } else { format!("{text}.{:03}", millis % 1000) }
}

/// `PT12H30M00S`, which stands for a time of day as well as for a length of time.
fn of_duration(text: String) -> Cell {
    match duration(&text) {
        Some(millis) if (0.0..DAY_MILLIS).contains(&millis) => {
            time_of_day(millis).map_or(Cell::Span(text), |time| Cell::Moment(time_text(time)))
        }
        Some(millis) => Cell::Span(span(millis)),
        None => Cell::Span(text),
    }
}

fn duration(text: &str) -> Option<f64> {
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let mut rest = text.strip_prefix("PT")?;
    let mut seconds = 0.0;
    for (unit, length) in [('H', 3600.0), ('M', 60.0), ('S', 1.0)] {
        if let Some((number, after)) = rest.split_once(unit) {
            seconds += number.replace(',', ".").parse::<f64>().ok()? * length;
            rest = after;
        }
    }
    rest.is_empty().then(|| sign * (seconds * 1000.0).round())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cell: &Cell) -> String {
        let mut text = String::new();
        cell.write(&mut text);
        text
    }

    fn serial(value: f64, from_1904: bool) -> Cell {
        of_serial(ExcelDateTime::new(value, ExcelDateTimeType::DateTime, from_1904))
    }

    #[test]
    fn numbers_are_written_so_that_nothing_is_lost() {
        for (number, wanted) in [
            (5.0, "5"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (WHOLE - 1.0, "9007199254740991"),
            (WHOLE, "9007199254740992.0"),
            (1e300, "1e300"),
        ] {
            assert_eq!(shown(&Cell::Number(number)), wanted);
        }
        for (number, wanted) in [
            (0.1 + 0.2, "0.3"),
            (12.5, "12.5"),
            (1_234_567_890_123_456.0, "1234567890123456"),
            (1e20, "100000000000000000000"),
            (-7.0, "-7"),
        ] {
            let mut text = String::new();
            Cell::Number(number).write_decimal(&mut text);
            assert_eq!(text, wanted);
        }
    }

    #[test]
    fn serial_numbers_are_dates_of_their_calendar() {
        for (value, from_1904, wanted) in [
            (1.0, false, "1900-01-01"),
            (59.0, false, "1900-02-28"),
            (61.0, false, "1900-03-01"),
            (45351.0, false, "2024-02-29"),
            (45351.5, false, "2024-02-29T12:00:00"),
            (45_351.000_005_787, false, "2024-02-29T00:00:00.500"),
            (45_350.999_999_999_9, false, "2024-02-29"),
            (0.75, false, "18:00:00"),
            (0.75, true, "18:00:00"),
            (43889.0, true, "2024-02-29"),
            (1.0, true, "1904-01-02"),
            (2_958_465.0, false, "9999-12-31"),
        ] {
            assert_eq!(serial(value, from_1904), Cell::Moment(wanted.into()), "{value}");
        }
        for value in [-1.0, 60.0, 60.5, 2_958_466.0, 1e300, f64::INFINITY] {
            assert_eq!(serial(value, false), Cell::NoDate(value), "{value}");
        }
        for from_1904 in [false, true] {
            assert_eq!(serial(0.0, from_1904), Cell::Zero { from_1904 });
            assert_eq!(shown(&serial(0.0, from_1904)), "00:00:00");
        }
    }

    #[test]
    fn lengths_of_time_are_not_dates() {
        let length = |value| of_serial(ExcelDateTime::new(value, ExcelDateTimeType::TimeDelta, false));
        assert_eq!(length(1.0625), Cell::Span("25:30:00".into()));
        assert_eq!(length(-0.5), Cell::Span("-12:00:00".into()));
        assert_eq!(of_duration("PT12H30M00.5S".into()), Cell::Moment("12:30:00.500".into()));
        assert_eq!(of_duration("PT25H30M00S".into()), Cell::Span("25:30:00".into()));
        assert_eq!(of_duration("P1Y".into()), Cell::Span("P1Y".into()));
    }
}
