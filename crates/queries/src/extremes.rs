//! `min` and `max` of groups that take NaN as the greatest of numbers with a floating point, as those of all rows and
//! `ORDER BY` do. DataFusion's own compare by `<` and `>`, of which a NaN knows neither: they gave what the order of rows made
//! of it.

use crate::inherited::inherited;
use datafusion::arrow::array::{ArrowNativeTypeOp, ArrowNumericType};
use datafusion::arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, AggregateUDFImpl, GroupsAccumulator, StatisticsArgs};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;
use std::sync::Arc;

/// Replaces `min` and `max` among these.
pub fn order_extremes(functions: &mut [Arc<AggregateUDF>]) {
    for function in functions.iter_mut().filter(|function| matches!(function.name(), "min" | "max")) {
        *function = Arc::new(AggregateUDF::new_from_impl(Extreme { inner: function.as_ref().clone() }));
    }
}

/// `min` or `max`, with accumulators of its own for groups.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    inner: AggregateUDF,
}

impl Extreme {
    fn groups<T: ArrowNumericType + Send>(&self, data_type: &DataType) -> Box<dyn GroupsAccumulator> {
        match self.inner.name() {
            "min" => {
                let least = PrimitiveGroupsAccumulator::<T, _>::new(data_type, |least, value| {
                    if value.is_lt(*least) {
                        *least = value;
                    }
                });
                Box::new(least.with_starting_value(T::Native::MAX_TOTAL_ORDER))
            }
            _ => {
                let greatest = PrimitiveGroupsAccumulator::<T, _>::new(data_type, |greatest, value| {
                    if value.is_gt(*greatest) {
                        *greatest = value;
                    }
                });
                Box::new(greatest.with_starting_value(T::Native::MIN_TOTAL_ORDER))
            }
        }
    }
}

impl AggregateUDFImpl for Extreme {
    inherited!(
        name,
        signature,
        coerce_types,
        return_type,
        accumulator,
        create_sliding_accumulator,
        state_fields,
        groups_accumulator_supported,
        reverse_expr,
        order_sensitivity,
        documentation,
        set_monotonicity
    );

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match args.return_type() {
            DataType::Float16 => Ok(self.groups::<Float16Type>(args.return_type())),
            DataType::Float32 => Ok(self.groups::<Float32Type>(args.return_type())),
            DataType::Float64 => Ok(self.groups::<Float64Type>(args.return_type())),
            _ => self.inner.create_groups_accumulator(args),
        }
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.value_from_stats(args)
    }
}
