//! Joins by keys of which those are the same that are equal.
//!
//! A merge join of DataFusion sorts -0.0 before 0.0 and then takes them for equal, so that it runs past their partners, and
//! panics at NaN. Here floats are joined by numbers that are equal where the floats are: of all zeros one, and of all NaN.
//! Intervals are joined in whole days, as they are compared.

use crate::lengths::{in_whole_days, is_in_whole_days};
use datafusion::arrow::array::{AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, JoinConstraint, Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// Puts such keys in the place of floats and intervals, also of those that `USING`, `INTERSECT` and `IN (SELECT …)` join by.
#[derive(Debug)]
pub struct JoinKeys;

impl OptimizerRule for JoinKeys {
    fn name(&self) -> &str {
        "join_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let mut changed = false;
        for (left, right) in &mut join.on {
            for (key, schema) in [(left, join.left.schema()), (right, join.right.schema())] {
                let Some(form) = form_of(key, schema)? else { continue };
                *key = form;
                // Those of `USING` have to be columns: who looks them up, as the planner does for a join of this one with
                // another, fails otherwise.
                join.join_constraint = JoinConstraint::On;
                changed = true;
            }
        }
        Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
    }
}

/// What a key is joined by instead. Both keys of a pair are of one type by now, and so get the same form.
fn form_of(key: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    Ok(match key.get_type(schema)? {
        DataType::Interval(_) if !is_in_whole_days(key) => Some(in_whole_days(key, schema)?),
        numbers if numbers.is_floating() => Some(ScalarUDF::from(FloatKey::new()).call(vec![key.clone()])),
        _ => None,
    })
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
