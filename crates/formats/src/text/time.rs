//! Dates and times as ISO 8601 text: `2024-02-29`, `12:30:00.250`, `2024-02-29T12:30:00.250Z`.
//!
//! The number of decimals tells the unit (none, 3, 6 or 9). A time with a zone ends in `Z` or in the offset that was
//! valid there and then; one without a zone has no ending. Years before 0 and after 9999 bear their sign, which few readers
//! know: an instant of the years 0 to 9999 that an offset would lead beyond them is written in UTC.

use super::{Out, Print};
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrowPrimitiveType, AsArray};
use arrow::datatypes::*;
use chrono::{DateTime, Offset, TimeZone};
use std::ops::RangeInclusive;

const DAY: i64 = 86_400;
/// 0000-01-01 to 9999-12-31, counted from 1970-01-01: the days whose years have four digits and no sign.
const FOUR_DIGITS: RangeInclusive<i64> = -719_528..=2_932_896;

/// The printer of a column of dates or times.
pub fn printer(array: &dyn Array) -> Option<Box<dyn Print + '_>> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    Some(match array.data_type() {
        DataType::Date32 => times::<Date32Type>(array, put_date),
        DataType::Date64 => times::<Date64Type>(array, put_date64),
        DataType::Time32(Second) => times::<Time32SecondType>(array, |time, out| put_time(time, Second, out)),
        DataType::Time32(_) => times::<Time32MillisecondType>(array, |time, out| put_time(time, Millisecond, out)),
        DataType::Time64(Microsecond) => {
            times::<Time64MicrosecondType>(array, |time, out| put_time(time, Microsecond, out))
        }
        DataType::Time64(_) => times::<Time64NanosecondType>(array, |time, out| put_time(time, Nanosecond, out)),
        DataType::Timestamp(unit, zone) => {
            let zone = Zone::of(zone.as_deref());
            match *unit {
                Second => instants::<TimestampSecondType>(array, Second, zone),
                Millisecond => instants::<TimestampMillisecondType>(array, Millisecond, zone),
                Microsecond => instants::<TimestampMicrosecondType>(array, Microsecond, zone),
                Nanosecond => instants::<TimestampNanosecondType>(array, Nanosecond, zone),
            }
        }
        _ => return None,
    })
}

struct Times<'a, T, P> {
    values: &'a [T],
    put: P,
}

impl<T: Copy + Into<i64>, P: Fn(i64, &mut Out)> Print for Times<'_, T, P> {
    fn print(&self, row: usize, out: &mut Out) {
        (self.put)(self.values[row].into(), out);
    }
}

fn times<'a, T>(array: &'a dyn Array, put: impl Fn(i64, &mut Out) + 'a) -> Box<dyn Print + 'a>
where
    T: ArrowPrimitiveType<Native: Into<i64>>,
{
    Box::new(Times { values: &array.as_primitive::<T>().values()[..], put })
}

fn instants<'a, T>(array: &'a dyn Array, unit: TimeUnit, zone: Zone) -> Box<dyn Print + 'a>
where
    T: ArrowPrimitiveType<Native: Into<i64>>,
{
    times::<T>(array, move |instant, out| put_instant(instant, unit, &zone, out))
}

/// How many of a unit a second has, and how many decimals that makes.
pub fn scale(unit: TimeUnit) -> (i64, usize) {
    match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    }
}

/// How the zone of a column is written.
enum Zone {
    /// There is none: nothing is written.
    Absent,
    /// `Z`
    Utc,
    /// `+01:00`
    Named(Tz),
}

impl Zone {
    /// A name that nobody knows is taken for UTC: the instant is right all the same.
    fn of(name: Option<&str>) -> Self {
        match name {
            None | Some("") => Self::Absent,
            Some(name) => name.parse().map_or(Self::Utc, Self::Named),
        }
    }

    /// The offset from UTC in seconds at this instant. Nothing where ISO 8601 has no form for it: local mean times of
    /// the 19th century, with seconds, and years that calendars do not reach.
    fn offset(&self, second: i64) -> Option<i64> {
        let Self::Named(zone) = self else { return None };
        let instant = DateTime::from_timestamp(second, 0)?;
        let offset = zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc();
        (offset != 0 && offset % 60 == 0).then_some(offset.into())
    }
}

fn put_instant(instant: i64, unit: TimeUnit, zone: &Zone, out: &mut Out) {
    let (per_second, decimals) = scale(unit);
    let second = instant.div_euclid(per_second);
    let has_four_digits = |second: i64| FOUR_DIGITS.contains(&second.div_euclid(DAY));
    let leads_beyond = |offset: i64| has_four_digits(second) && !has_four_digits(second + offset);
    let offset = zone.offset(second).filter(|offset| !leads_beyond(*offset));
    let local = second + offset.unwrap_or(0);
    put_date(local.div_euclid(DAY), out);
    out.push(b'T');
    put_clock(local.rem_euclid(DAY), out);
    put_decimals(instant.rem_euclid(per_second), decimals, out);
    match (zone, offset) {
        (Zone::Absent, _) => {}
        (_, None) => out.push(b'Z'),
        (_, Some(offset)) => {
            out.push(if offset < 0 { b'-' } else { b'+' });
            let minutes = offset.unsigned_abs() / 60;
            out.put_padded(minutes / 60, 2);
            out.push(b':');
            out.put_padded(minutes % 60, 2);
        }
    }
}

/// A time of day. One that is none, negative or beyond 24 hours, is written as the number of hours that it is.
fn put_time(time: i64, unit: TimeUnit, out: &mut Out) {
    if time < 0 {
        out.push(b'-');
    }
    let (per_second, decimals) = scale(unit);
    let time = time.saturating_abs();
    put_clock(time / per_second, out);
    put_decimals(time % per_second, decimals, out);
}

fn put_clock(second: i64, out: &mut Out) {
    out.put_padded((second / 3600).unsigned_abs(), 2);
    out.push(b':');
    out.put_pair(((second / 60) % 60) as u32);
    out.push(b':');
    out.put_pair((second % 60) as u32);
}

/// `.250`, or nothing for no decimals.
pub fn put_decimals(part: i64, decimals: usize, out: &mut Out) {
    if decimals > 0 {
        out.push(b'.');
        out.put_padded(part.unsigned_abs(), decimals);
    }
}

/// Milliseconds since 1970. They ought to be whole days; where they are not, the time of day is written too.
fn put_date64(millis: i64, out: &mut Out) {
    match millis.rem_euclid(DAY * 1000) {
        0 => put_date(millis.div_euclid(DAY * 1000), out),
        _ => put_instant(millis, TimeUnit::Millisecond, &Zone::Absent, out),
    }
}

fn put_date(day: i64, out: &mut Out) {
    let (year, month, day) = civil(day);
    if !(0..=9999).contains(&year) {
        out.push(if year < 0 { b'-' } else { b'+' });
    }
    out.put_padded(year.unsigned_abs(), 4);
    out.push(b'-');
    out.put_pair(month);
    out.push(b'-');
    out.put_pair(day);
}

/// Year, month and day in the Gregorian calendar of a day counted from 1970-01-01.
///
/// After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (`civil_from_days`): years begin in March, so
/// that the leap day is their last, and 400 of them have 146,097 days.
fn civil(day: i64) -> (i64, u32, u32) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::super::printed;
    use super::civil;
    use arrow::array::*;
    use chrono::{Datelike, NaiveDate};

    #[test]
    fn days_are_those_of_the_calendar() {
        let first = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a day");
        for day in (-1_000_000..4_000_000).step_by(17).chain([-719_468, -1, 0, 58, 59, 60, 11_016]) {
            let known = first + chrono::Duration::days(day);
            assert_eq!(civil(day), (known.year().into(), known.month(), known.day()));
        }
    }

    #[test]
    fn timestamps_show_their_unit_and_their_zone() {
        assert_eq!(printed(&TimestampSecondArray::from(vec![0, -1])), ["1970-01-01T00:00:00", "1969-12-31T23:59:59"]);
        let millis = TimestampMillisecondArray::from(vec![1_709_209_800_250, -1]).with_timezone("UTC");
        assert_eq!(printed(&millis), ["2024-02-29T12:30:00.250Z", "1969-12-31T23:59:59.999Z"]);
        let micros = TimestampMicrosecondArray::from(vec![-1]).with_timezone("-03:30");
        assert_eq!(printed(&micros), ["1969-12-31T20:29:59.999999-03:30"]);
        let nanos = TimestampNanosecondArray::from(vec![i64::MIN]);
        assert_eq!(printed(&nanos), ["1677-09-21T00:12:43.145224192"]);
    }

    #[test]
    fn a_named_zone_has_the_offset_of_its_season() {
        let summer_and_winter = TimestampSecondArray::from(vec![1_720_000_000, 1_704_100_000, -4_000_000_000]);
        let texts = printed(&summer_and_winter.with_timezone("Europe/Berlin"));
        assert_eq!(texts, ["2024-07-03T11:46:40+02:00", "2024-01-01T10:06:40+01:00", "1843-03-31T16:53:20Z"]);
    }

    #[test]
    fn an_offset_never_leads_beyond_four_digits_of_a_year() {
        let last = TimestampMicrosecondArray::from(vec![253_402_300_799_999_999, 253_402_300_800_000_000]);
        assert_eq!(
            printed(&last.with_timezone("Europe/Berlin")),
            ["9999-12-31T23:59:59.999999Z", "+10000-01-01T01:00:00.000000+01:00"]
        );
        let first = TimestampSecondArray::from(vec![-62_167_219_200]).with_timezone("-03:00");
        assert_eq!(printed(&first), ["0000-01-01T00:00:00Z"]);
    }

    #[test]
    fn dates_and_times_of_day_are_exact_at_their_edges() {
        let days = Date32Array::from(vec![0, -719_529, -719_162, 2_932_897, 19_782]);
        assert_eq!(printed(&days), ["1970-01-01", "-0001-12-31", "0001-01-01", "+10000-01-01", "2024-02-29"]);
        assert_eq!(printed(&Date64Array::from(vec![-86_400_000, 1])), ["1969-12-31", "1970-01-01T00:00:00.001"]);
        assert_eq!(printed(&Time32SecondArray::from(vec![86_399])), ["23:59:59"]);
        assert_eq!(printed(&Time64NanosecondArray::from(vec![1])), ["00:00:00.000000001"]);
    }

    #[test]
    fn extreme_values_are_no_panic() {
        printed(&TimestampSecondArray::from(vec![i64::MIN, i64::MAX]));
        printed(&TimestampSecondArray::from(vec![i64::MIN, i64::MAX]).with_timezone("Asia/Tokyo"));
        printed(&Date64Array::from(vec![i64::MIN, i64::MAX]));
        printed(&Time64NanosecondArray::from(vec![i64::MIN, i64::MAX]));
        printed(&Date32Array::from(vec![i32::MIN, i32::MAX]));
    }
}
