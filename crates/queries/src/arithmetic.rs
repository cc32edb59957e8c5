//! Arithmetic that fails where DataFusion's own wraps around in silence.
//!
//! DataFusion has checked operators, and no setting that chooses them. So `+`, `-` and `*` of whole numbers and decimals,
//! `/` of decimals and `-x` become functions here, as soon as their types are known: before constants are computed, so
//! that those are checked as well. Numbers with a floating point become infinite, as they always do, and what is no number is
//! the one NaN; times and intervals are checked by DataFusion.
//!
//! `%` of decimals becomes one too, since DataFusion (55.2) knows `x % 1` for 0 where `x` is never null, whatever is behind the
//! point.

use crate::digits;
use crate::nans::{one_nan, one_nan_of};
use datafusion::arrow::array::{ArrayRef, Datum};
use datafusion::arrow::compute::kernels::numeric::{add, div, mul, neg, rem, sub};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;
use std::sync::Arc;

/// Puts checked arithmetic in the place of DataFusion's own.
#[derive(Debug)]
pub struct CheckArithmetic;

impl FunctionRewrite for CheckArithmetic {
    fn name(&self) -> &str {
        "check_arithmetic"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right })
                if wraps(op, &left.get_type(schema)?, &right.get_type(schema)?) =>
            {
                Ok(Transformed::yes(Checked::call(Some(op), vec![*left, *right])))
            }
            Expr::Negative(inner) if is_number(&inner.get_type(schema)?) => {
                Ok(Transformed::yes(Checked::call(None, vec![*inner])))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// Puts a function in the place of `%` of decimals.
#[derive(Debug)]
pub struct RemaindersOfDecimals;

impl FunctionRewrite for RemaindersOfDecimals {
    fn name(&self) -> &str {
        "remainders_of_decimals"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ Operator::Modulo, right })
                if left.get_type(schema)?.is_decimal() && right.get_type(schema)?.is_decimal() =>
            {
                Ok(Transformed::yes(Checked::call(Some(op), vec![*left, *right])))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// Whether DataFusion leaves it unchecked.
fn wraps(op: Operator, left: &DataType, right: &DataType) -> bool {
    match op {
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
            if left.is_floating() && right.is_floating() =>
        {
            true
        }
        Operator::Plus | Operator::Minus | Operator::Multiply => is_exact(left) && is_exact(right),
        Operator::Divide => left.is_decimal() && right.is_decimal(),
        _ => false,
    }
}

fn is_number(data_type: &DataType) -> bool {
    is_exact(data_type) || data_type.is_floating()
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal()
}

/// A checked operator; without one it turns the sign.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    op: Option<Operator>,
    signature: Signature,
}

impl Checked {
    fn call(op: Option<Operator>, args: Vec<Expr>) -> Expr {
        let signature = Signature::any(args.len(), Volatility::Immutable);
        let function = ScalarUDF::new_from_impl(Self { op, signature });
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), args))
    }

    fn computed(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        let computed = match self.op {
            Some(Operator::Plus) => add(left, right),
            Some(Operator::Minus) => sub(left, right),
            Some(Operator::Multiply) => mul(left, right),
            Some(Operator::Modulo) => rem(left, right),
            _ => div(left, right),
        };
        self.fitting(computed.and_then(|computed| digits::check(&computed).map(|()| one_nan(computed))), left, right)
    }

    /// The same, with words of its own for what does not fit.
    fn fitting(
        &self,
        computed: Result<ArrayRef, ArrowError>,
        left: &dyn Datum,
        right: &dyn Datum,
    ) -> Result<ArrayRef, ArrowError> {
        let types = [left, right].map(|side| side.get().0.data_type().clone());
        computed.map_err(|error| match self.return_type(&types) {
            Ok(data_type) => too_large(error, &data_type),
            Err(_) => error,
        })
    }
}

/// Says what was too large for its type. Of decimals Arrow names the digits alone, without the point, which would mislead.
fn too_large(error: ArrowError, data_type: &DataType) -> ArrowError {
    let what = match &error {
        ArrowError::ArithmeticOverflow(text) => text.strip_prefix("Overflow happened on: "),
        ArrowError::InvalidArgumentError(_) if data_type.is_decimal() => None,
        _ => return error,
    };
    let what = what.filter(|_| data_type.is_integer()).unwrap_or("a number");
    ArrowError::ArithmeticOverflow(format!("{what} is too large for its type, {data_type}"))
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.op {
            Some(Operator::Plus) => "checked_add",
            Some(Operator::Minus) => "checked_subtract",
            Some(Operator::Multiply) => "checked_multiply",
            Some(Operator::Modulo) => "checked_remainder",
            Some(_) => "checked_divide",
            None => "checked_negate",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match (&self.op, arg_types) {
            (Some(op), [left, right]) => BinaryTypeCoercer::new(left, op, right).get_result_type(),
            (None, [same]) => Ok(same.clone()),
            _ => internal_err!("{} of {} arguments", self.name(), arg_types.len()),
        }
    }

    /// As of the operator itself: nothing comes of nothing, and of nothing else.
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [left, right] => apply(left, right, |left, right| self.computed(left, right)),
            [ColumnarValue::Array(values)] => {
                let negated = neg(values).map_err(|error| too_large(error, values.data_type()))?;
                Ok(ColumnarValue::Array(one_nan(negated)))
            }
            [ColumnarValue::Scalar(value)] => Ok(one_nan_of(ColumnarValue::Scalar(value.arithmetic_negate()?))),
            other => internal_err!("{} of {} arguments", self.name(), other.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn what_is_behind_the_point_remains_beside_one() {
        for one in ["1", "1.0", "CAST(1 AS DECIMAL(2, 1))"] {
            let halves = "(SELECT CAST(n AS DECIMAL(10, 2)) * 0.5 AS d FROM t)";
            let sql = format!("SELECT count(*) FROM {halves} WHERE coalesce(d, 0) % {one} = 0.5");
            assert_eq!(number(&within(MEMORY, &sql)).await, 10_000, "{sql}");
        }
    }
}
