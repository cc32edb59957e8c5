//! Mean and standard deviation in one pass.
//!
//! Welford's recurrence (B. P. Welford, *Technometrics* 4(3), 1962; Knuth, TAOCP 2, 4.2.2): with the k-th value,
//! `mean += (x − mean) / k` and `squares += (x − old mean) · (x − new mean)`. It does not subtract large sums from each
//! other, so that values such as 1e9 + 0.1 keep their spread. It goes value by value in row order and never by batch:
//! merging the figures of batches would make the last bits, and so a row at the border, depend on how rows were cut.
//!
//! They are kept in units of the largest power of two that a value reaches: their squares are beyond no float, then, and
//! no digit is lost.

use crate::border::Unit;
use arrow::array::AsArray;
use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use flight_common::Fault;

/// The figures of a column so far.
#[derive(Debug)]
pub struct Moments {
    count: u64,
    unit: f64,
    mean: f64,
    squares: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, unit: f64::MIN_POSITIVE, mean: 0.0, squares: 0.0 }
    }
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
        if value.is_finite() && value.abs() / 2.0 >= self.unit {
            self.measure_in(power_of_two(value));
        }
        self.count += 1;
        let value = value / self.unit;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    fn measure_in(&mut self, unit: f64) {
        let ratio = self.unit / unit;
        self.mean *= ratio;
        self.squares = self.squares * ratio * ratio;
        self.unit = unit;
    }

    /// The mean, once there is a value. One that is rounded to more than all floats is the largest of them.
    pub fn mean(&self) -> Option<f64> {
        let mean = if self.mean.is_finite() { (self.mean * self.unit).clamp(f64::MIN, f64::MAX) } else { self.mean };
        (self.count > 0).then_some(mean)
    }

    /// The standard deviation of a sample (divided by the count less one), once there are two values.
    pub fn deviation(&self) -> Option<Unit> {
        let deviation = || (self.squares / (self.count - 1) as f64).sqrt();
        (self.count > 1).then(|| Unit::new(|part| deviation() * (self.unit * part)))
    }
}

/// The largest power of two that a finite value reaches.
fn power_of_two(value: f64) -> f64 {
    const EXPONENT: u64 = 0x7ff << 52;
    f64::from_bits(value.to_bits() & EXPONENT).max(f64::MIN_POSITIVE)
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
    use crate::border::Border;

    fn figures(moments: &Moments) -> (Option<f64>, Option<f64>) {
        (moments.mean(), moments.deviation().map(Unit::reported))
    }

    #[test]
    fn nulls_and_nan_are_left_out() {
        let mut moments = Moments::default();
        moments.add(&Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(2.0), Some(6.0)]));
        assert_eq!(figures(&moments), (Some(3.0), Some(7f64.sqrt())));
    }

    #[test]
    fn a_small_spread_far_from_zero_is_not_lost() {
        let mut moments = Moments::default();
        moments.add(&Float64Array::from_iter_values((0..1000).map(|n| 1e12 + f64::from(n % 2))));
        let deviation = moments.deviation().expect("two values").reported();
        assert!((deviation - (0.25f64 * 1000.0 / 999.0).sqrt()).abs() < 1e-6, "{deviation}");
    }

    #[test]
    fn figures_of_very_large_and_very_small_values_are_numbers() {
        for unit in [1e-300, 1.0, 1e200, 1e307] {
            let mut moments = Moments::default();
            moments.add(&Float64Array::from_iter_values([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].map(|n| n * unit)));
            let (mean, deviation) = (moments.mean().expect("a value"), moments.deviation().expect("two values"));
            let deviation = deviation.reported();
            assert!((mean / unit - 5.0).abs() < 1e-12, "{mean:e}");
            assert!((deviation / unit - (32f64 / 7.0).sqrt()).abs() < 1e-12, "{deviation:e}");
        }
        let mut moments = Moments::default();
        moments.add(&Float64Array::from_iter_values([f64::MAX, f64::MAX, f64::MAX]));
        assert_eq!(figures(&moments), (Some(f64::MAX), Some(0.0)));
    }

    #[test]
    fn a_deviation_beyond_all_floats_is_reported_as_the_largest_and_counted_in_as_it_is() {
        let mut moments = Moments::default();
        moments.add(&Float64Array::from_iter_values([f64::MAX, f64::MIN]));
        assert_eq!(figures(&moments), (Some(0.0), Some(f64::MAX)));
        // It is √2 of the largest float, so that both are 0.707 from the mean.
        let deviation = moments.deviation().expect("two values");
        let border = |threshold| Border::distance(0.0, deviation, threshold).expect("a border");
        assert_eq!([f64::MAX, f64::MIN].map(|value| border(0.8).nearest(value)), [None; 2]);
        let nearest = [f64::MAX, f64::MIN].map(|value| border(0.5).nearest(value).expect("an outlier") / f64::MAX);
        assert!(nearest.iter().zip([1.0, -1.0]).all(|(nearest, sign)| (nearest - sign * 0.5f64.sqrt()).abs() < 1e-15));
    }

    #[test]
    fn one_value_has_no_deviation() {
        let mut moments = Moments::default();
        moments.add(&Float64Array::from(vec![5.0]));
        assert_eq!(figures(&moments), (Some(5.0), None));
    }
}
