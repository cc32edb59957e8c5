//! Values that are summed without loss: each has its place in 256 bits.

use datafusion::arrow::array::ArrowNumericType;
use datafusion::arrow::datatypes::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Int64Type, IntervalDayTime, IntervalDayTimeType, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalYearMonthType, UInt64Type, i256,
};
use std::fmt::Debug;
use std::hash::Hash;

/// The type of a sum, whose values have their place in 256 bits.
pub trait Exact: ArrowNumericType<Native: Eq + Hash> + Debug + Send + Sync {
    /// The value in 256 bits.
    fn widened(value: Self::Native) -> i256;
    /// The value, if it fits.
    fn narrowed(total: i256) -> Option<Self::Native>;
}

macro_rules! exact {
    ($($type:ty: $native:ty),*) => {
        $(impl Exact for $type {
            fn widened(value: $native) -> i256 {
                i256::from_i128(value.into())
            }

            fn narrowed(total: i256) -> Option<$native> {
                <$native>::try_from(total.to_i128()?).ok()
            }
        })*
    };
}

exact!(Int64Type: i64, UInt64Type: u64, Decimal32Type: i32, Decimal64Type: i64, Decimal128Type: i128);
exact!(DurationSecondType: i64, DurationMillisecondType: i64, DurationMicrosecondType: i64, DurationNanosecondType: i64);

impl Exact for Decimal256Type {
    fn widened(value: i256) -> i256 {
        value
    }

    fn narrowed(total: i256) -> Option<i256> {
        Some(total)
    }
}

impl Exact for IntervalYearMonthType {
    fn widened(value: i32) -> i256 {
        i256::from_i128(value.into())
    }

    fn narrowed(total: i256) -> Option<i32> {
        i32::try_from(total.to_i128()?).ok()
    }
}

impl Exact for IntervalDayTimeType {
    fn widened(value: IntervalDayTime) -> i256 {
        joined([0, value.days.into(), value.milliseconds.into()])
    }

    fn narrowed(total: i256) -> Option<IntervalDayTime> {
        let [_, days, milliseconds] = parted(total)?;
        Some(IntervalDayTime::new(days.try_into().ok()?, milliseconds.try_into().ok()?))
    }
}

impl Exact for IntervalMonthDayNanoType {
    fn widened(value: IntervalMonthDayNano) -> i256 {
        joined([value.months.into(), value.days.into(), value.nanoseconds])
    }

    fn narrowed(total: i256) -> Option<IntervalMonthDayNano> {
        let [months, days, nanoseconds] = parted(total)?;
        let nanoseconds = nanoseconds.try_into().ok()?;
        Some(IntervalMonthDayNano::new(months.try_into().ok()?, days.try_into().ok()?, nanoseconds))
    }
}

/// The parts of an interval, which are summed each for itself, in one number: the last in the lower half of its bits, and
/// the others in a quarter each. No number of rows that there is takes them out of those.
fn joined([first, second, last]: [i64; 3]) -> i256 {
    let upper = (i128::from(first) << 64) + i128::from(second);
    i256::from_parts(0, upper).wrapping_add(i256::from_i128(last.into()))
}

fn parted(total: i256) -> Option<[i128; 3]> {
    let (lower, upper) = total.to_parts();
    let last = lower.cast_signed();
    // What is negative has taken one from the half above.
    let upper = upper.checked_add(i128::from(last < 0))?;
    let second = i128::from(upper as i64);
    Some([upper.checked_sub(second)? >> 64, second, last])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_intervals_are_summed_each_for_itself() {
        let of = |parts: [(i32, i32, i64); 3]| {
            let values = parts.map(|(months, days, nanos)| IntervalMonthDayNano::new(months, days, nanos));
            let sum = values.map(IntervalMonthDayNanoType::widened).into_iter().fold(i256::ZERO, i256::wrapping_add);
            IntervalMonthDayNanoType::narrowed(sum).map(|sum| (sum.months, sum.days, sum.nanoseconds))
        };
        assert_eq!(of([(1, -2, 3), (-5, 1, -4), (2, 0, 0)]), Some((-2, -1, -1)));
        let (most, least) = (i32::MAX, i32::MIN);
        assert_eq!(of([(most, least, i64::MIN), (least, most, i64::MAX), (0, 0, 0)]), Some((-1, -1, -1)));
        assert_eq!(of([(most, most, i64::MAX), (most, most, i64::MAX), (0, 0, 0)]), None);
        assert_eq!(of([(most, most, i64::MAX), (0, 0, 1), (0, 0, 0)]), None);
        assert_eq!(of([(most, most, i64::MAX), (0, 0, 1), (0, 0, -1)]), Some((most, most, i64::MAX)));
        assert_eq!(of([(0, least, 0), (0, -1, 0), (0, 0, 0)]), None);
    }
}
