//! `sum` that fails where DataFusion's own wraps around in silence.
//!
//! Sums of groups are checked at each addition, in the type of the sum. Sums of all rows, of windows and of distinct values
//! are held in 256 bits, so that rows which come and go cannot take them out of bounds on the way. Numbers with a floating
//! point are summed by DataFusion, but for those in frames of windows that move on (`sliding`).

use crate::digits;
use crate::inherited::inherited;
use crate::sliding::sliding;
use crate::wide::Exact;
use datafusion::arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowNumericType, AsArray, BooleanArray, PrimitiveArray,
};
use datafusion::arrow::compute::sum_checked;
use datafusion::arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Int64Type, IntervalDayTimeType,
    IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, TimeUnit, UInt64Type, i256,
};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Replaces `sum` among these.
pub fn check_sums(functions: &mut [Arc<AggregateUDF>]) {
    for function in functions.iter_mut().filter(|function| function.name() == "sum") {
        *function = Arc::new(AggregateUDF::new_from_impl(CheckedSum { inner: function.as_ref().clone() }));
    }
}

/// Gives what `$of` makes for the type of a sum that can overflow, and `$else` for others.
macro_rules! for_exact {
    ($data_type:expr, $of:ident, $else:expr) => {
        match $data_type {
            DataType::Int64 => $of!(Int64Type),
            DataType::UInt64 => $of!(UInt64Type),
            DataType::Decimal32(..) => $of!(Decimal32Type),
            DataType::Decimal64(..) => $of!(Decimal64Type),
            DataType::Decimal128(..) => $of!(Decimal128Type),
            DataType::Decimal256(..) => $of!(Decimal256Type),
            DataType::Duration(TimeUnit::Second) => $of!(DurationSecondType),
            DataType::Duration(TimeUnit::Millisecond) => $of!(DurationMillisecondType),
            DataType::Duration(TimeUnit::Microsecond) => $of!(DurationMicrosecondType),
            DataType::Duration(TimeUnit::Nanosecond) => $of!(DurationNanosecondType),
            DataType::Interval(IntervalUnit::YearMonth) => $of!(IntervalYearMonthType),
            DataType::Interval(IntervalUnit::DayTime) => $of!(IntervalDayTimeType),
            DataType::Interval(IntervalUnit::MonthDayNano) => $of!(IntervalMonthDayNanoType),
            _ => $else,
        }
    };
}

fn overflow(data_type: &DataType) -> DataFusionError {
    exec_datafusion_err!("a sum is too large for its type, {data_type}")
}

/// `sum`, with accumulators of its own.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    inner: AggregateUDF,
}

impl CheckedSum {
    /// What sums rows without groups, also those that leave again.
    fn total(args: &AccumulatorArgs) -> Option<Box<dyn Accumulator>> {
        let data_type = args.return_type().clone();
        macro_rules! boxed {
            ($type:ty) => {
                Some(match args.is_distinct {
                    true => Box::new(Distinct::<$type>::new(data_type)) as Box<dyn Accumulator>,
                    false => Box::new(Total::<$type>::new(data_type)),
                })
            };
        }
        for_exact!(args.return_type(), boxed, None)
    }
}

impl AggregateUDFImpl for CheckedSum {
    inherited!(
        name,
        signature,
        return_type,
        state_fields,
        groups_accumulator_supported,
        reverse_expr,
        order_sensitivity,
        documentation,
        set_monotonicity
    );

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match Self::total(&args) {
            Some(total) => Ok(total),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match Self::total(&args).or_else(|| sliding(self.name(), &args)) {
            Some(total) => Ok(total),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        macro_rules! boxed {
            ($type:ty) => {
                Ok(Box::new(Groups::of::<$type>(args.return_type().clone())))
            };
        }
        for_exact!(args.return_type(), boxed, self.inner.create_groups_accumulator(args))
    }
}

/// The sums of groups: DataFusion's own, whose additions leave word when one did not fit.
struct Groups {
    inner: Box<dyn GroupsAccumulator>,
    overflowed: Arc<AtomicBool>,
    data_type: DataType,
}

impl Groups {
    fn of<T: ArrowNumericType + Send>(data_type: DataType) -> Self {
        let overflowed = Arc::new(AtomicBool::new(false));
        let told = overflowed.clone();
        let inner =
            PrimitiveGroupsAccumulator::<T, _>::new(&data_type, move |sum, value| match sum.add_checked(value) {
                Ok(more) => *sum = more,
                Err(_) => told.store(true, Ordering::Relaxed),
            });
        Self { inner: Box::new(inner), overflowed, data_type }
    }

    fn checked(&self) -> Result<()> {
        match self.overflowed.load(Ordering::Relaxed) {
            true => Err(overflow(&self.data_type)),
            false => Ok(()),
        }
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.inner.update_batch(values, group_indices, opt_filter, total_num_groups)?;
        self.checked()
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = self.inner.evaluate(emit_to)?;
        digits::check(&sums).map_err(|_| overflow(&self.data_type))?;
        Ok(sums)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.inner.merge_batch(values, group_indices, total_num_groups)?;
        self.checked()
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, opt_filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

/// The sum of rows that come, and may leave again.
#[derive(Debug)]
pub struct Total<T: Exact> {
    total: i256,
    /// How many values are in it.
    count: usize,
    /// What is too much for the digits of a decimal.
    bound: Option<i256>,
    data_type: DataType,
    of: std::marker::PhantomData<T>,
}

impl<T: Exact> Total<T> {
    /// Nothing so far, in a sum of this type.
    pub fn new(data_type: DataType) -> Self {
        let bound = match data_type {
            DataType::Decimal32(digits, _)
            | DataType::Decimal64(digits, _)
            | DataType::Decimal128(digits, _)
            | DataType::Decimal256(digits, _) => i256::from_i128(10).checked_pow(digits.into()),
            _ => None,
        };
        Self { total: i256::ZERO, count: 0, bound, data_type, of: std::marker::PhantomData }
    }

    /// The sum, however large, and of how many values it is.
    pub fn exact(&self) -> (i256, usize) {
        (self.total, self.count)
    }

    /// Adds a sum of so many values.
    pub fn merge(&mut self, count: usize, sum: i256) -> Result<()> {
        self.count += count;
        self.moved(self.total.checked_add(sum))
    }

    fn moved(&mut self, by: Option<i256>) -> Result<()> {
        self.total = by.ok_or_else(|| overflow(&self.data_type))?;
        Ok(())
    }

    fn add(&mut self, value: T::Native) -> Result<()> {
        self.count += 1;
        self.moved(self.total.checked_add(T::widened(value)))
    }

    fn take(&mut self, value: T::Native) -> Result<()> {
        self.count -= 1;
        self.moved(self.total.checked_sub(T::widened(value)))
    }
}

/// The sum of a batch. Most fit in their own type, which is faster.
fn sum_of<T: Exact>(values: &PrimitiveArray<T>) -> Option<i256> {
    match sum_checked(values) {
        Ok(sum) => Some(sum.map_or(i256::ZERO, T::widened)),
        Err(_) => values.iter().flatten().try_fold(i256::ZERO, |sum, value| sum.checked_add(T::widened(value))),
    }
}

impl<T: Exact> Accumulator for Total<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        self.count += values.len() - values.null_count();
        self.moved(sum_of(values).and_then(|sum| self.total.checked_add(sum)))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        self.count -= values.len() - values.null_count();
        self.moved(sum_of(values).and_then(|sum| self.total.checked_sub(sum)))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return ScalarValue::new_primitive::<T>(None, &self.data_type);
        }
        let fits = self.bound.is_none_or(|bound| self.total < bound && self.total > bound.wrapping_neg());
        let sum = T::narrowed(self.total).filter(|_| fits).ok_or_else(|| overflow(&self.data_type))?;
        ScalarValue::new_primitive::<T>(Some(sum), &self.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sum of the values among rows that come, and may leave again: each once.
#[derive(Debug)]
struct Distinct<T: Exact> {
    rows: HashMap<T::Native, usize>,
    total: Total<T>,
}

impl<T: Exact> Distinct<T> {
    fn new(data_type: DataType) -> Self {
        Self { rows: HashMap::new(), total: Total::new(data_type) }
    }
}

impl<T: Exact> Accumulator for Distinct<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<T>().iter().flatten() {
            let rows = self.rows.entry(value).or_insert(0);
            *rows += 1;
            if *rows == 1 {
                self.total.add(value)?;
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<T>().iter().flatten() {
            let Some(rows) = self.rows.get_mut(&value) else { continue };
            *rows -= 1;
            if *rows == 0 {
                self.rows.remove(&value);
                self.total.take(value)?;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.total.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = PrimitiveArray::<T>::from_iter_values(self.rows.keys().copied());
        let values = values.with_data_type(self.total.data_type.clone());
        Ok(vec![SingleRowListArrayBuilder::new(Arc::new(values)).build_list_scalar()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|values| self.update_batch(&[values]))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.capacity() * size_of::<(T::Native, usize)>()
    }
}
