//! 0.0 and -0.0, which are one number.
//!
//! DataFusion takes them for one in comparisons, joins and groups, and for two where it looks values up: in lists, in
//! `CASE x WHEN`, in `NULLIF`, and where it counts what is distinct. And rows with `x = 0` it takes for rows of one value,
//! which need no sorting, whatever is told apart later by the sign (55.2).

use crate::of_one::of_one;
use datafusion::arrow::array::{ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray};
use datafusion::arrow::compute::kernels::cmp::eq;
use datafusion::arrow::compute::nullif;
use datafusion::arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{AggregateFunction, Case, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Filter, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// Compares floats where DataFusion would look them up, and takes both zeros for one where values are distinct.
#[derive(Debug)]
pub struct EqualZeros;

impl FunctionRewrite for EqualZeros {
    fn name(&self) -> &str {
        "equal_zeros"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let is_float = |expr: &Expr| expr.get_type(schema).is_ok_and(|it| it.is_floating());
        match expr {
            Expr::ScalarFunction(ScalarFunction { func, args })
                if func.name() == "nullif" && args.iter().all(is_float) =>
            {
                Ok(Transformed::yes(ScalarUDF::from(NullWhereEqual::new()).call(args)))
            }
            Expr::Case(Case { expr: Some(value), when_then_expr, else_expr }) if is_float(&value) => {
                let branches = when_then_expr.into_iter().map(|(when, then)| (Box::new(plain(*when)), then)).collect();
                Ok(Transformed::yes(Expr::Case(Case::new(Some(Box::new(plain(*value))), branches, else_expr))))
            }
            Expr::AggregateFunction(AggregateFunction { func, mut params }) if params.distinct => {
                let changed = of_one_zero(&mut params.args, is_float);
                let expr = Expr::AggregateFunction(AggregateFunction { func, params });
                Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
            }
            Expr::WindowFunction(mut window) if window.params.distinct => {
                let changed = of_one_zero(&mut window.params.args, is_float);
                let expr = Expr::WindowFunction(window);
                Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// Takes [`plain`] floats of arguments that are some. Whether there is any.
fn of_one_zero(args: &mut [Expr], is_float: impl Fn(&Expr) -> bool) -> bool {
    let mut changed = false;
    for arg in args.iter_mut().filter(|arg| is_float(arg)) {
        *arg = plain(std::mem::take(arg));
        changed = true;
    }
    changed
}

/// A float as it is, but for -0.0, which becomes 0.0.
fn plain(float: Expr) -> Expr {
    of_one("one_zero", |value, rows| Ok(ColumnarValue::Array(one_zero(&value.to_array(rows)?)?)), float)
}

/// Lists in which a zero stands, with both zeros in them; and rows of `x = 0` as rows of either zero.
#[derive(Debug)]
pub struct BothZeros;

impl OptimizerRule for BothZeros {
    fn name(&self) -> &str {
        "both_zeros"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.map_expressions(in_lists)?.transform_data(|plan| {
            let LogicalPlan::Filter(Filter { predicate, input, .. }) = plan else { return Ok(Transformed::no(plan)) };
            let mut changed = false;
            let conditions: Vec<Expr> = split_conjunction_owned(predicate)
                .into_iter()
                .map(|condition| {
                    let Some(either) = either_zero(&condition) else { return condition };
                    changed = true;
                    either
                })
                .collect();
            let predicate = conjunction(conditions).unwrap_or(Expr::Literal(ScalarValue::from(true), None));
            let filter = LogicalPlan::Filter(Filter::try_new(predicate, input)?);
            Ok(if changed { Transformed::yes(filter) } else { Transformed::no(filter) })
        })
    }
}

/// Each list within an expression that holds one zero, with the other zero beside it.
pub(crate) fn in_lists(expr: Expr) -> Result<Transformed<Expr>> {
    expr.transform_up(|part| match part {
        Expr::InList(mut list) => match lacking(&list) {
            Some(zero) => {
                list.list.push(zero);
                Ok(Transformed::yes(Expr::InList(list)))
            }
            None => Ok(Transformed::no(Expr::InList(list))),
        },
        other => Ok(Transformed::no(other)),
    })
}

/// The zero that a list lacks, of which the other one is in it.
fn lacking(list: &InList) -> Option<Expr> {
    list.list.iter().filter_map(other_zero).find(|zero| !list.list.contains(zero))
}

/// `x = 0` as `x = 0 OR x = -0`.
fn either_zero(condition: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return None };
    let (value, zero) = match (other_zero(left), other_zero(right)) {
        (Some(zero), None) => (right, zero),
        (None, Some(zero)) => (left, zero),
        _ => return None,
    };
    // What is drawn anew each time is no constant.
    (!value.is_volatile()).then(|| condition.clone().or(value.as_ref().clone().eq(zero)))
}

/// The other zero, of a literal that is one.
fn other_zero(expr: &Expr) -> Option<Expr> {
    let Expr::Literal(value, metadata) = expr else { return None };
    let zero = match value {
        ScalarValue::Float16(Some(zero)) if f32::from(*zero) == 0.0 => ScalarValue::Float16(Some(-*zero)),
        ScalarValue::Float32(Some(zero)) if *zero == 0.0 => ScalarValue::Float32(Some(-zero)),
        ScalarValue::Float64(Some(zero)) if *zero == 0.0 => ScalarValue::Float64(Some(-zero)),
        _ => return None,
    };
    Some(Expr::Literal(zero, metadata.clone()))
}

/// The first of two floats, and null where they are equal: `NULLIF`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NullWhereEqual {
    signature: Signature,
}

impl NullWhereEqual {
    fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NullWhereEqual {
    fn name(&self) -> &str {
        "null_where_equal"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, other] = args.args.as_slice() else { return internal_err!("NULLIF of {} values", args.args.len()) };
        let (value, other) = (value.to_array(args.number_rows)?, other.to_array(args.number_rows)?);
        let equal = eq(&one_zero(&value)?, &one_zero(&other)?)?;
        Ok(ColumnarValue::Array(nullif(&value, &equal)?))
    }
}

fn one_zero(floats: &ArrayRef) -> Result<ArrayRef> {
    match floats.data_type() {
        DataType::Float16 => Ok(plus_zero::<Float16Type>(floats)),
        DataType::Float32 => Ok(plus_zero::<Float32Type>(floats)),
        DataType::Float64 => Ok(plus_zero::<Float64Type>(floats)),
        other => internal_err!("one zero of {other}"),
    }
}

fn plus_zero<T: ArrowPrimitiveType>(floats: &ArrayRef) -> ArrayRef
where
    T::Native: ArrowNativeTypeOp,
{
    Arc::new(floats.as_primitive::<T>().unary::<_, T>(|float| float.add_wrapping(T::Native::ZERO)))
}
