//! What our own functions and aggregates have of those of DataFusion that they stand for.

pub(crate) use datafusion::arrow::datatypes::{DataType, FieldRef};
pub(crate) use datafusion::common::Result;
pub(crate) use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
pub(crate) use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
pub(crate) use datafusion::logical_expr::utils::AggregateOrderSensitivity;
pub(crate) use datafusion::logical_expr::{
    Accumulator, Documentation, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

/// These methods of `ScalarUDFImpl` or `AggregateUDFImpl`, as `self.inner` has them. What is neither named nor written out
/// is as the trait has it.
macro_rules! inherited {
    ($($method:ident),+) => { $($crate::inherited::method!($method);)+ };
}

/// One of them.
macro_rules! method {
    // Of both.
    (name) => {
        fn name(&self) -> &str {
            self.inner.name()
        }
    };
    (aliases) => {
        fn aliases(&self) -> &[String] {
            self.inner.aliases()
        }
    };
    (signature) => {
        fn signature(&self) -> &$crate::inherited::Signature {
            self.inner.signature()
        }
    };
    (return_type) => {
        fn return_type(
            &self,
            types: &[$crate::inherited::DataType],
        ) -> $crate::inherited::Result<$crate::inherited::DataType> {
            self.inner.return_type(types)
        }
    };
    (coerce_types) => {
        fn coerce_types(
            &self,
            types: &[$crate::inherited::DataType],
        ) -> $crate::inherited::Result<Vec<$crate::inherited::DataType>> {
            self.inner.coerce_types(types)
        }
    };
    (documentation) => {
        fn documentation(&self) -> Option<&$crate::inherited::Documentation> {
            self.inner.documentation()
        }
    };

    // Of functions.
    (output_ordering) => {
        fn output_ordering(
            &self,
            inputs: &[$crate::inherited::ExprProperties],
        ) -> $crate::inherited::Result<$crate::inherited::SortProperties> {
            self.inner.output_ordering(inputs)
        }
    };

    // Of aggregates.
    (accumulator) => {
        fn accumulator(
            &self,
            args: $crate::inherited::AccumulatorArgs,
        ) -> $crate::inherited::Result<Box<dyn $crate::inherited::Accumulator>> {
            self.inner.accumulator(args)
        }
    };
    (create_sliding_accumulator) => {
        fn create_sliding_accumulator(
            &self,
            args: $crate::inherited::AccumulatorArgs,
        ) -> $crate::inherited::Result<Box<dyn $crate::inherited::Accumulator>> {
            self.inner.create_sliding_accumulator(args)
        }
    };
    (state_fields) => {
        fn state_fields(
            &self,
            args: $crate::inherited::StateFieldsArgs,
        ) -> $crate::inherited::Result<Vec<$crate::inherited::FieldRef>> {
            self.inner.state_fields(args)
        }
    };
    (groups_accumulator_supported) => {
        fn groups_accumulator_supported(&self, args: $crate::inherited::AccumulatorArgs) -> bool {
            self.inner.groups_accumulator_supported(args)
        }
    };
    (create_groups_accumulator) => {
        fn create_groups_accumulator(
            &self,
            args: $crate::inherited::AccumulatorArgs,
        ) -> $crate::inherited::Result<Box<dyn $crate::inherited::GroupsAccumulator>> {
            self.inner.create_groups_accumulator(args)
        }
    };
    (order_sensitivity) => {
        fn order_sensitivity(&self) -> $crate::inherited::AggregateOrderSensitivity {
            self.inner.order_sensitivity()
        }
    };
    (reverse_expr) => {
        fn reverse_expr(&self) -> $crate::inherited::ReversedUDAF {
            self.inner.reverse_udf()
        }
    };
    (set_monotonicity) => {
        fn set_monotonicity(&self, data_type: &$crate::inherited::DataType) -> $crate::inherited::SetMonotonicity {
            self.inner.inner().set_monotonicity(data_type)
        }
    };
}

pub(crate) use {inherited, method};
