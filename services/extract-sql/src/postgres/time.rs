//! Dates, times and intervals: PostgreSQL counts from 2000, Arrow from 1970.

use crate::trouble::Wrong;
use arrow::datatypes::IntervalMonthDayNano;

/// Days from 1970-01-01 to 2000-01-01.
const DAYS: i32 = 10_957;
/// The same in microseconds.
const MICROS: i64 = DAYS as i64 * DAY;
/// Microseconds of a day.
pub const DAY: i64 = 86_400_000_000;

const INFINITE: &str = "leave such rows out, or put another value in its place: NULLIF(x, 'infinity')";

/// Days from 1970, of days from 2000.
///
/// # Errors
/// Infinity.
pub fn date(days: i32) -> Result<i32, Wrong> {
    let finite = Some(days).filter(|days| !matches!(*days, i32::MIN | i32::MAX));
    finite.and_then(|days| days.checked_add(DAYS)).ok_or_else(|| Wrong::new("an infinite date", INFINITE))
}

/// Microseconds from 1970, of microseconds from 2000.
///
/// # Errors
/// Infinity, and what lies after the year 294246.
pub fn timestamp(micros: i64) -> Result<i64, Wrong> {
    if matches!(micros, i64::MIN | i64::MAX) {
        return Err(Wrong::new("an infinite timestamp", INFINITE));
    }
    micros.checked_add(MICROS).ok_or_else(|| Wrong::new("a timestamp after the year 294246", INFINITE))
}

/// Microseconds of a day.
///
/// # Errors
/// 24:00:00, which is no time of a day elsewhere.
pub fn time(micros: i64) -> Result<i64, Wrong> {
    match (0..DAY).contains(&micros) {
        true => Ok(micros),
        false => {
            Err(Wrong::new("the time 24:00:00, which is no time of a day", "cast it to text or interval in the query"))
        }
    }
}

/// Microseconds, days and months, one after the other.
///
/// # Errors
/// More hours than nanoseconds in 64 bits can tell: some 292 years.
pub fn interval(field: [u8; 16]) -> Result<IntervalMonthDayNano, Wrong> {
    let [a, b, c, d, e, f, g, h, rest @ ..] = field;
    let [i, j, k, l, m, n, o, p] = rest;
    let nanos = i64::from_be_bytes([a, b, c, d, e, f, g, h]).checked_mul(1000);
    let nanos = nanos
        .ok_or_else(|| Wrong::new("an interval of more hours than can be held", "cast it to text in the query"))?;
    Ok(IntervalMonthDayNano::new(i32::from_be_bytes([m, n, o, p]), i32::from_be_bytes([i, j, k, l]), nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_begins_in_1970() {
        assert_eq!(date(0), Ok(10_957));
        assert_eq!(date(-DAYS - 1), Ok(-1));
        assert_eq!(timestamp(0), Ok(946_684_800_000_000));
        assert_eq!(timestamp(-MICROS - 1), Ok(-1));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert!(date(i32::MAX).is_err() && date(i32::MIN).is_err());
        assert!(timestamp(i64::MAX).is_err() && timestamp(i64::MIN).is_err() && timestamp(i64::MAX - 1).is_err());
        assert!(time(DAY).is_err() && time(DAY - 1).is_ok());
    }
}
