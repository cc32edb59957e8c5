//! How far the values of a column reach, and how many lie outside its limits.

use crate::bound::Limits;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal256Array, Int32Array, Int64Array, PrimitiveArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Decimal128Type, Decimal256Type, Float64Type,
    Int64Type, UInt64Type, i256,
};
use arrow::util::display::array_value_to_string;
use flight_common::Fault;
use flight_common::cells::plain_type;
use serde_json::{Number, Value};

/// The extent of a column's values. Nulls and NaN have none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Extent {
    /// The smallest value.
    pub lowest: Option<Edge>,
    /// The largest value.
    pub highest: Option<Edge>,
    /// How many values lie outside the limits.
    pub outside: u64,
    /// The first row of one that does, counted from 0.
    pub first: Option<u64>,
}

/// A value in the terms of [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Edge {
    /// An integer, decimal, date or timestamp, in its smallest unit.
    Exact(i256),
    /// A float.
    Float(f64),
}

impl Extent {
    /// The extent of a column.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if an encoded column cannot be decoded.
    pub fn of(column: &ArrayRef, limits: &Limits) -> Result<Self, Fault> {
        Self::noting(column, limits, &mut |_| {})
    }

    /// The same; each row whose value lies outside is told to `note`.
    ///
    /// # Errors
    /// As [`Extent::of`].
    pub fn noting(column: &ArrayRef, limits: &Limits, note: &mut dyn FnMut(usize)) -> Result<Self, Fault> {
        let plain = plain_type(column.data_type());
        let (min, max) = match *limits {
            Limits::Nothing => return Ok(Self::default()),
            Limits::Float(min, max) => {
                let values = cast(column, &DataType::Float64)?;
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                return Ok(scan(values.as_primitive::<Float64Type>(), min, max, Edge::Float, note));
            }
            Limits::Exact(min, max) => (min, max),
        };
        let widest = match plain {
            DataType::UInt64 => DataType::UInt64,
            DataType::Decimal256(..) => plain.clone(),
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
                DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale)
            }
            _ => DataType::Int64,
        };
        let values = cast(column, &widest)?;
        Ok(match widest {
            DataType::UInt64 => exact(values.as_primitive::<UInt64Type>(), min, max, note),
            DataType::Decimal128(..) => exact(values.as_primitive::<Decimal128Type>(), min, max, note),
            DataType::Decimal256(..) => exact(values.as_primitive::<Decimal256Type>(), min, max, note),
            _ => exact(values.as_primitive::<Int64Type>(), min, max, note),
        })
    }

    /// Takes in the extent of the rows that follow the first `rows`.
    pub fn add(&mut self, next: &Self, rows: u64) {
        let pick = |ours: Option<Edge>, theirs: Option<Edge>, wanted: fn(&Edge, &Edge) -> bool| match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(if wanted(&theirs, &ours) { theirs } else { ours }),
            (ours, theirs) => ours.or(theirs),
        };
        self.lowest = pick(self.lowest, next.lowest, |new, old| new < old);
        self.highest = pick(self.highest, next.highest, |new, old| new > old);
        self.outside += next.outside;
        self.first = self.first.or(next.first.map(|row| row + rows));
    }
}

impl Edge {
    /// As JSON: a number, or a date as the column would show it.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] for a date that cannot be shown.
    pub fn to_json(self, column: &DataType) -> Result<Value, Fault> {
        let value = match self {
            Self::Float(value) => {
                return Ok(Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number));
            }
            Self::Exact(value) => value,
        };
        let small = value.to_i128().and_then(|value| i64::try_from(value).ok()).unwrap_or_default();
        let dates: ArrayRef = match plain_type(column) {
            integer if integer.is_integer() => return Ok(number(&value.to_string())),
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => {
                let one = Decimal256Array::from(vec![value]);
                let one = one.with_precision_and_scale(DECIMAL256_MAX_PRECISION, *scale)?;
                return Ok(number(&one.value_as_string(0)));
            }
            date @ DataType::Date32 => {
                let days = i32::try_from(small).map_err(Fault::internal)?;
                cast(&Int32Array::from(vec![days]), date)?
            }
            // In UTC, which every build of Arrow can show.
            DataType::Timestamp(unit, Some(_)) => {
                cast(&Int64Array::from(vec![small]), &DataType::Timestamp(*unit, Some("+00:00".into())))?
            }
            date => cast(&Int64Array::from(vec![small]), date)?,
        };
        Ok(Value::String(array_value_to_string(&dates, 0)?))
    }
}

/// A JSON number, or its text if JSON has no such number.
fn number(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Number)
}

/// A native value that limits can be compared with.
trait Native: Copy + PartialOrd {
    const SMALLEST: Self;
    const LARGEST: Self;
    /// The same value, if it fits.
    fn from_exact(value: i256) -> Option<Self>;
    fn to_exact(self) -> i256;
}

macro_rules! native {
    ($($native:ty),*) => {$(
        impl Native for $native {
            const SMALLEST: Self = Self::MIN;
            const LARGEST: Self = Self::MAX;
            fn from_exact(value: i256) -> Option<Self> {
                Self::try_from(value.to_i128()?).ok()
            }
            fn to_exact(self) -> i256 {
                i256::from_i128(self.into())
            }
        }
    )*};
}

native!(i64, u64, i128);

impl Native for i256 {
    const SMALLEST: Self = Self::MIN;
    const LARGEST: Self = Self::MAX;
    fn from_exact(value: i256) -> Option<Self> {
        Some(value)
    }
    fn to_exact(self) -> i256 {
        self
    }
}

fn exact<T>(values: &PrimitiveArray<T>, min: Option<i256>, max: Option<i256>, note: &mut dyn FnMut(usize)) -> Extent
where
    T: ArrowPrimitiveType,
    T::Native: Native,
{
    let smallest = T::Native::SMALLEST;
    let largest = T::Native::LARGEST;
    // A limit that no value can reach leaves all of them outside: then the smallest is above the largest.
    let fit = |limit: i256| T::Native::from_exact(limit).ok_or(limit.is_negative());
    let bounds = match (min.map(fit), max.map(fit)) {
        (Some(Err(false)), _) | (_, Some(Err(true))) => (largest, smallest),
        (min, max) => (min.and_then(Result::ok).unwrap_or(smallest), max.and_then(Result::ok).unwrap_or(largest)),
    };
    scan(values, bounds.0, bounds.1, |value: T::Native| Edge::Exact(value.to_exact()), note)
}

fn scan<T>(
    values: &PrimitiveArray<T>,
    min: T::Native,
    max: T::Native,
    edge: impl Fn(T::Native) -> Edge,
    note: &mut dyn FnMut(usize),
) -> Extent
where
    T: ArrowPrimitiveType,
    T::Native: PartialOrd,
{
    let outside = |value: T::Native| value < min || value > max;
    let mut reach: Option<(T::Native, T::Native)> = None;
    let (mut count, mut first) = (0, None);
    let mut take_in = |row: usize, value: T::Native| {
        // NaN is equal to nothing, not even to itself.
        if value.partial_cmp(&value).is_none() {
            return;
        }
        reach = Some(reach.map_or((value, value), |(low, high)| {
            (if value < low { value } else { low }, if value > high { value } else { high })
        }));
        if outside(value) {
            count += 1;
            first.get_or_insert(row as u64);
            note(row);
        }
    };
    match values.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => values.values().iter().enumerate().for_each(|(row, value)| take_in(row, *value)),
        Some(nulls) => nulls.valid_indices().for_each(|row| take_in(row, values.value(row))),
    }
    Extent {
        lowest: reach.map(|reach| edge(reach.0)),
        highest: reach.map(|reach| edge(reach.1)),
        outside: count,
        first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Decimal128Array, Float64Array, TimestampMillisecondArray, UInt64Array};
    use serde_json::json;
    use std::sync::Arc;

    fn exact_limits(min: i128, max: i128) -> Limits {
        Limits::Exact(Some(i256::from_i128(min)), Some(i256::from_i128(max)))
    }

    fn extent(column: ArrayRef, limits: Limits) -> (Value, Value, u64, Option<u64>) {
        let found = Extent::of(&column, &limits).expect("a type that can be compared");
        let show =
            |edge: Option<Edge>| edge.map_or(Value::Null, |edge| edge.to_json(column.data_type()).expect("shown"));
        (show(found.lowest), show(found.highest), found.outside, found.first)
    }

    #[test]
    fn both_ends_are_included_and_nulls_are_not_looked_at() {
        let column = Arc::new(Int64Array::from(vec![Some(1), None, Some(5), Some(6), Some(0)]));
        assert_eq!(extent(column, exact_limits(1, 5)), (json!(0), json!(6), 2, Some(3)));
        let none = Arc::new(Int64Array::from(vec![None::<i64>]));
        assert_eq!(extent(none, exact_limits(1, 5)), (Value::Null, Value::Null, 0, None));
    }

    #[test]
    fn nan_lies_nowhere_and_infinity_outside() {
        let column = Arc::new(Float64Array::from(vec![f64::NAN, 0.5, f64::INFINITY]));
        let found = extent(column.clone(), Limits::Float(Some(0.0), Some(1e308)));
        assert_eq!(found, (json!(0.5), json!("inf"), 1, Some(2)));
        assert_eq!(extent(column, Limits::Float(Some(0.0), None)).2, 0);
    }

    #[test]
    fn limits_beyond_the_type_leave_nothing_or_everything_outside() {
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![0, u64::MAX]));
        assert_eq!(extent(column.clone(), exact_limits(-5, 1 << 70)).2, 0);
        assert_eq!(extent(column.clone(), exact_limits(1 << 70, 1 << 71)).2, 2);
        assert_eq!(extent(column, exact_limits(-5, -1)), (json!(0), json!(u64::MAX), 2, Some(0)));
    }

    #[test]
    fn decimals_dates_and_times_are_shown_as_the_user_writes_them() {
        let decimals = Decimal128Array::from(vec![150, 275]).with_precision_and_scale(9, 2).expect("they fit");
        assert_eq!(extent(Arc::new(decimals), exact_limits(0, 200)), (json!(1.5), json!(2.75), 1, Some(1)));
        let dates = Date32Array::from(vec![0, 31]);
        assert_eq!(extent(Arc::new(dates), exact_limits(0, 31)), (json!("1970-01-01"), json!("1970-02-01"), 0, None));
        let times = TimestampMillisecondArray::from(vec![1500]).with_timezone("Europe/Paris");
        let shown = json!("1970-01-01T00:00:01.500Z");
        assert_eq!(extent(Arc::new(times), exact_limits(0, 9000)), (shown.clone(), shown, 0, None));
    }

    #[test]
    fn extents_add_up_to_that_of_the_whole() {
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(4), Some(9), None, Some(-3), Some(12)]));
        let limits = exact_limits(0, 10);
        let mut sum = Extent::default();
        for row in 0..whole.len() {
            sum.add(&Extent::of(&whole.slice(row, 1), &limits).expect("numbers"), row as u64);
        }
        assert_eq!(sum, Extent::of(&whole, &limits).expect("numbers"));
    }
}
