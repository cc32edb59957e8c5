//! Joins by floats, whose keys are compared as numbers.
//!
//! A merge join of DataFusion sorts -0.0 before 0.0 and then takes them for equal, so that it runs past their partners, and
//! panics at NaN. Here floats are joined by numbers that are equal where the floats are: of all zeros one, and of all NaN.

use datafusion::arrow::array::{AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// Puts [`FloatKey`] around keys that are floats.
#[derive(Debug)]
pub struct FloatKeys;

impl OptimizerRule for FloatKeys {
    fn name(&self) -> &str {
        "float_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let mut changed = false;
        for (left, right) in &mut join.on {
            if is_float(left, join.left.schema())? && is_float(right, join.right.schema())? {
                for side in [left, right] {
                    *side = ScalarUDF::from(FloatKey::new()).call(vec![side.clone()]);
                }
                changed = true;
            }
        }
        Ok(if changed { Transformed::yes(LogicalPlan::Join(join)) } else { Transformed::no(LogicalPlan::Join(join)) })
    }
}

fn is_float(key: &Expr, schema: &DFSchema) -> Result<bool> {
    Ok(key.get_type(schema)?.is_floating())
}

/// A whole number for each float, the same for equal ones.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FloatKey {
    signature: Signature,
}

impl FloatKey {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for FloatKey {
    fn name(&self) -> &str {
        "float_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [floats] = args.args.as_slice() else { return internal_err!("a key of {} floats", args.args.len()) };
        let floats = cast(&floats.to_array(args.number_rows)?, &DataType::Float64)?;
        let keys: Int64Array = floats.as_primitive::<Float64Type>().unary(key);
        Ok(ColumnarValue::Array(Arc::new(keys)))
    }
}

fn key(float: f64) -> i64 {
    match float.is_nan() {
        true => i64::MAX,
        // -0.0 becomes 0.0.
        false => (float + 0.0).to_bits().cast_signed(),
    }
}
