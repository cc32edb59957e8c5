//! Mean and standard deviation in one pass.
//!
//! Welford's recurrence (B. P. Welford, *Technometrics* 4(3), 1962; Knuth, TAOCP 2, 4.2.2): with the k-th value,
//! `mean += (x − mean) / k` and `squares += (x − old mean) · (x − new mean)`. It does not subtract large sums from each
//! other, so that values such as 1e9 + 0.1 keep their spread. It goes value by value in row order and never by batch:
//! merging the figures of batches would make the last bits, and so a row at the border, depend on how rows were cut.

use arrow::array::AsArray;
use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use flight_common::Fault;

/// The figures of a column so far.
#[derive(Debug, Default)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes the values of one more batch in. Nulls and NaN are left out.
    pub fn add(&mut self, values: &Float64Array) {
        match values.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => values.values().iter().for_each(|value| self.add_one(*value)),
            Some(nulls) => nulls.valid_indices().for_each(|row| self.add_one(values.value(row))),
        }
    }

    /// Takes one more value in, unless it is NaN.
    pub fn add_one(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    /// The mean, once there is a value.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The standard deviation of a sample (divided by the count less one), once there are two values.
    pub fn deviation(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }
}

/// A batch's column as floats: for measuring only, since large integers lose their last digits here.
pub fn numbers(batch: &RecordBatch, place: usize) -> Result<Float64Array, Fault> {
    floats(batch.column(place))
}

/// As [`numbers`], for a column by itself.
pub fn floats(column: &ArrayRef) -> Result<Float64Array, Fault> {
    Ok(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_nan_are_left_out() {
        let mut moments = Moments::default();
        moments.add(&Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(2.0), Some(6.0)]));
        assert_eq!(moments.mean(), Some(3.0));
        assert_eq!(moments.deviation(), Some(7f64.sqrt()));
    }

    #[test]
    fn a_small_spread_far_from_zero_is_not_lost() {
        let mut moments = Moments::default();
        moments.add(&Float64Array::from_iter_values((0..1000).map(|n| 1e12 + f64::from(n % 2))));
        let deviation = moments.deviation().expect("two values");
        assert!((deviation - (0.25f64 * 1000.0 / 999.0).sqrt()).abs() < 1e-6, "{deviation}");
    }

    #[test]
    fn one_value_has_no_deviation() {
        let mut moments = Moments::default();
        moments.add(&Float64Array::from(vec![5.0]));
        assert_eq!((moments.mean(), moments.deviation()), (Some(5.0), None));
    }
}
