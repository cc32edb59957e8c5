//! Durations and calendar intervals as ISO 8601 text: `PT90.500S`, `P1M2DT3.000000000S`.
//!
//! Seconds are not carried into minutes or hours, nor months into years, so that each part reads back as it was.

use super::time::{put_decimals, scale};
use super::{Out, Print};
use arrow::array::{Array, ArrowPrimitiveType, AsArray};
use arrow::datatypes::*;

/// The printer of a column of durations or intervals.
pub fn printer(array: &dyn Array) -> Option<Box<dyn Print + '_>> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    Some(match array.data_type() {
        DataType::Duration(Second) => durations::<DurationSecondType>(array, Second),
        DataType::Duration(Millisecond) => durations::<DurationMillisecondType>(array, Millisecond),
        DataType::Duration(Microsecond) => durations::<DurationMicrosecondType>(array, Microsecond),
        DataType::Duration(Nanosecond) => durations::<DurationNanosecondType>(array, Nanosecond),
        DataType::Interval(IntervalUnit::YearMonth) => spans::<IntervalYearMonthType>(array, |months, out| {
            out.push(b'P');
            put_part(months.into(), b'M', out);
        }),
        DataType::Interval(IntervalUnit::DayTime) => spans::<IntervalDayTimeType>(array, |span, out| {
            out.push(b'P');
            put_part(span.days.into(), b'D', out);
            put_seconds(span.milliseconds.into(), Millisecond, out);
        }),
        DataType::Interval(IntervalUnit::MonthDayNano) => spans::<IntervalMonthDayNanoType>(array, |span, out| {
            out.push(b'P');
            put_part(span.months.into(), b'M', out);
            put_part(span.days.into(), b'D', out);
            put_seconds(span.nanoseconds, Nanosecond, out);
        }),
        _ => return None,
    })
}

struct Spans<'a, T, P> {
    values: &'a [T],
    put: P,
}

impl<T: Copy, P: Fn(T, &mut Out)> Print for Spans<'_, T, P> {
    fn print(&self, row: usize, out: &mut Out) {
        (self.put)(self.values[row], out);
    }
}

fn spans<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    put: impl Fn(T::Native, &mut Out) + 'a,
) -> Box<dyn Print + 'a> {
    Box::new(Spans { values: &array.as_primitive::<T>().values()[..], put })
}

fn durations<'a, T: ArrowPrimitiveType<Native = i64>>(array: &'a dyn Array, unit: TimeUnit) -> Box<dyn Print + 'a> {
    spans::<T>(array, move |length, out| {
        if length < 0 {
            out.push(b'-');
        }
        out.push(b'P');
        put_magnitude(length.unsigned_abs(), unit, out);
    })
}

fn put_part(number: i64, letter: u8, out: &mut Out) {
    out.put_i64(number);
    out.push(letter);
}

fn put_seconds(length: i64, unit: TimeUnit, out: &mut Out) {
    if length >= 0 {
        return put_magnitude(length.unsigned_abs(), unit, out);
    }
    out.put(b"T-");
    put_number(length.unsigned_abs(), unit, out);
}

fn put_magnitude(length: u64, unit: TimeUnit, out: &mut Out) {
    out.push(b'T');
    put_number(length, unit, out);
}

fn put_number(length: u64, unit: TimeUnit, out: &mut Out) {
    let (per_second, decimals) = scale(unit);
    let per_second = per_second.unsigned_abs();
    out.put_u64(length / per_second);
    put_decimals((length % per_second) as i64, decimals, out);
    out.push(b'S');
}

#[cfg(test)]
mod tests {
    use super::super::printed;
    use arrow::array::*;
    use arrow::datatypes::{IntervalDayTime, IntervalMonthDayNano};

    #[test]
    fn spans_show_their_unit_and_their_sign() {
        assert_eq!(printed(&DurationSecondArray::from(vec![90, -1])), ["PT90S", "-PT1S"]);
        assert_eq!(printed(&DurationMillisecondArray::from(vec![90_500])), ["PT90.500S"]);
        assert_eq!(printed(&DurationNanosecondArray::from(vec![i64::MIN])), ["-PT9223372036.854775808S"]);
        assert_eq!(printed(&IntervalYearMonthArray::from(vec![14, -1])), ["P14M", "P-1M"]);
        let span = IntervalDayTime::new(3, -500);
        assert_eq!(printed(&IntervalDayTimeArray::from(vec![span])), ["P3DT-0.500S"]);
        let span = IntervalMonthDayNano::new(1, -2, 3_000_000_004);
        assert_eq!(printed(&IntervalMonthDayNanoArray::from(vec![span])), ["P1M-2DT3.000000004S"]);
    }
}
