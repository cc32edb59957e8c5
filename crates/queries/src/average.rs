//! `avg` of lengths of time that does not wrap around on the way: their sum may be far beyond their type, and the mean
//! never is. Other means are DataFusion's, which sums decimals in a wider type.

use crate::inherited::inherited;
use crate::sliding::sliding;
use crate::sum::Total;
use crate::wide::Exact;
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    DECIMAL256_MAX_PRECISION, DataType, Decimal256Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Field, FieldRef, TimeUnit, UInt64Type, i256,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl};
use std::mem::size_of_val;
use std::sync::Arc;

/// A sum on its way from one part of the rows to that of all.
const SUM: DataType = DataType::Decimal256(DECIMAL256_MAX_PRECISION, 0);

/// Replaces `avg` among these.
pub fn check_averages(functions: &mut [Arc<AggregateUDF>]) {
    for function in functions.iter_mut().filter(|function| function.name() == "avg") {
        *function = Arc::new(AggregateUDF::new_from_impl(CheckedAverage { inner: function.as_ref().clone() }));
    }
}

/// `avg`, with accumulators of its own for lengths of time.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedAverage {
    inner: AggregateUDF,
}

impl CheckedAverage {
    fn mean(args: &AccumulatorArgs) -> Option<Box<dyn Accumulator>> {
        let data_type = args.return_type();
        Some(match data_type {
            _ if args.is_distinct => return None,
            DataType::Duration(TimeUnit::Second) => Box::new(Mean::<DurationSecondType>::new(data_type)),
            DataType::Duration(TimeUnit::Millisecond) => Box::new(Mean::<DurationMillisecondType>::new(data_type)),
            DataType::Duration(TimeUnit::Microsecond) => Box::new(Mean::<DurationMicrosecondType>::new(data_type)),
            DataType::Duration(TimeUnit::Nanosecond) => Box::new(Mean::<DurationNanosecondType>::new(data_type)),
            _ => return None,
        })
    }
}

impl AggregateUDFImpl for CheckedAverage {
    inherited!(name, aliases, signature, return_type, create_groups_accumulator, reverse_expr, documentation);

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match Self::mean(&args) {
            Some(mean) => Ok(mean),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match Self::mean(&args).or_else(|| sliding(self.name(), &args)) {
            Some(mean) => Ok(mean),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let is_distinct = args.is_distinct;
        let is_length = matches!(args.return_type(), DataType::Duration(_));
        let fields = self.inner.state_fields(args)?;
        match is_length && !is_distinct {
            true => {
                let of_sum = |field: FieldRef| match field.data_type() {
                    DataType::Duration(_) => Arc::new(Field::clone(&field).with_data_type(SUM)),
                    _ => field,
                };
                Ok(fields.into_iter().map(of_sum).collect())
            }
            false => Ok(fields),
        }
    }

    /// Lengths of time are few: each group has an accumulator of its own.
    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !matches!(args.return_type(), DataType::Duration(_)) && self.inner.groups_accumulator_supported(args)
    }
}

/// The mean of rows that come, and may leave again.
#[derive(Debug)]
struct Mean<T: Exact> {
    total: Total<T>,
    data_type: DataType,
}

impl<T: Exact> Mean<T> {
    fn new(data_type: &DataType) -> Self {
        Self { total: Total::new(data_type.clone()), data_type: data_type.clone() }
    }
}

impl<T: Exact> Accumulator for Mean<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.total.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.total.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (sum, count) = self.total.exact();
        let mean = i256::from_i128(count as i128);
        ScalarValue::new_primitive::<T>(sum.checked_div(mean).and_then(T::narrowed), &self.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (sum, count) = self.total.exact();
        Ok(vec![ScalarValue::from(count as u64), ScalarValue::new_primitive::<Decimal256Type>(Some(sum), &SUM)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (counts, sums) = (states[0].as_primitive::<UInt64Type>(), states[1].as_primitive::<Decimal256Type>());
        let states = counts.iter().flatten().zip(sums.iter().flatten());
        states.into_iter().try_for_each(|(count, sum)| self.total.merge(count as usize, sum))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
