//! Which rows of a batch lie within the border.

use crate::moments::{Moments, numbers};
use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use flight_common::Fault;

/// How far from the mean a value may lie.
#[derive(Clone, Copy, Debug)]
pub struct Border {
    place: usize,
    mean: f64,
    deviation: f64,
    threshold: f64,
}

impl Border {
    /// The border that these figures draw; none if no value can lie beyond one: fewer than two values, no spread, or
    /// figures that are not finite because a value is infinite.
    pub fn new(place: usize, moments: &Moments, threshold: f64) -> Option<Self> {
        let (mean, deviation) = (moments.mean()?, moments.deviation()?);
        let usable = mean.is_finite() && deviation.is_finite() && deviation > 0.0;
        usable.then_some(Self { place, mean, deviation, threshold })
    }

    /// The rows within, and how many were not. A batch without outliers is passed on as it is.
    pub fn within(&self, batch: RecordBatch) -> Result<(RecordBatch, usize), Fault> {
        let numbers = numbers(&batch, self.place)?;
        let values = numbers.values();
        let beyond = BooleanBuffer::collect_bool(values.len(), |row| {
            ((values[row] - self.mean).abs() / self.deviation) > self.threshold
        });
        // What lies under a null is no value; a NaN is beyond nothing.
        let beyond = match numbers.nulls() {
            Some(nulls) => &beyond & nulls.inner(),
            None => beyond,
        };
        let removed = beyond.count_set_bits();
        if removed == 0 {
            return Ok((batch, 0));
        }
        Ok((filter_record_batch(&batch, &BooleanArray::new(!&beyond, None))?, removed))
    }
}
