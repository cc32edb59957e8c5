//! Intervals compared by how long they are.
//!
//! DataFusion compares months, then days, then the rest: a difference of 60 days, which is a length of time, would be less than
//! `INTERVAL '1 day'`. Where both sides have a length, the lengths are compared; a day has 24 hours, as in PostgreSQL. Where
//! one has none (months, columns of intervals), only equal parts are found equal, and which is greater is refused.

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, ExprSchemable, Operator, binary_expr};

const DAY: i128 = 24 * 3600 * 1_000_000_000;

/// Compares lengths of time.
#[derive(Debug)]
pub struct LengthsCompare;

impl FunctionRewrite for LengthsCompare {
    fn name(&self) -> &str {
        "lengths_compare"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) && is_interval(left, schema) => {
                match (length(left, schema)?, length(right, schema)?, is_equality(*op)) {
                    // Equal in months, in days and in the rest.
                    (None, None | Some(Length::Constant(_)), true) | (Some(Length::Constant(_)), None, true) => {
                        Ok(Transformed::no(expr))
                    }
                    (one, other, _) => Ok(Transformed::yes(compared(one, *op, other)?)),
                }
            }
            Expr::Between(Between { expr: value, negated, low, high }) if is_interval(value, schema) => {
                let from = compared(length(value, schema)?, Operator::GtEq, length(low, schema)?)?;
                let to = compared(length(value, schema)?, Operator::LtEq, length(high, schema)?)?;
                let within = from.and(to);
                Ok(Transformed::yes(if *negated { !within } else { within }))
            }
            Expr::InList(InList { expr: value, .. }) if is_interval(value, schema) => no_length(),
            _ => Ok(Transformed::no(expr)),
        }
    }
}

/// Whether it compares two values.
pub fn is_comparison(op: Operator) -> bool {
    is_equality(op) || matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

fn is_equality(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

fn is_interval(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|it| matches!(it, DataType::Interval(_)))
}

fn compared(one: Option<Length>, op: Operator, other: Option<Length>) -> Result<Expr> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let unit = one.unit().max(other.unit());
            Ok(binary_expr(one.counted_in(unit)?, op, other.counted_in(unit)?))
        }
        _ => no_length(),
    }
}

fn no_length<T>() -> Result<T> {
    plan_err!(
        "an interval of months, or of a column, has no length that could be compared: compare times instead, as in \
         a > b + INTERVAL '1 month'"
    )
}

/// A length of time.
enum Length {
    /// The difference of two times, in this unit.
    Difference(Expr, TimeUnit),
    /// So many nanoseconds; nothing for a null.
    Constant(Option<i128>),
}

impl Length {
    /// Whole seconds and milliseconds are counted in microseconds as well.
    fn unit(&self) -> TimeUnit {
        match self {
            Self::Difference(_, TimeUnit::Nanosecond) => TimeUnit::Nanosecond,
            Self::Constant(Some(length)) if length % 1000 != 0 => TimeUnit::Nanosecond,
            _ => TimeUnit::Microsecond,
        }
    }

    fn counted_in(self, unit: TimeUnit) -> Result<Expr> {
        let length = match self {
            Self::Difference(difference, _) => {
                return Ok(Expr::Cast(Cast::new(Box::new(difference), DataType::Duration(unit))));
            }
            Self::Constant(length) => length,
        };
        let in_nanoseconds = unit == TimeUnit::Nanosecond;
        let length =
            length.map(|length| i64::try_from(if in_nanoseconds { length } else { length / 1000 })).transpose();
        let Ok(length) = length else { return plan_err!("an interval of more than 292 years cannot be compared") };
        let constant = match in_nanoseconds {
            true => ScalarValue::DurationNanosecond(length),
            false => ScalarValue::DurationMicrosecond(length),
        };
        Ok(Expr::Literal(constant, None))
    }
}

/// Its length, if it has one.
fn length(expr: &Expr, schema: &DFSchema) -> Result<Option<Length>> {
    Ok(match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(None) | ScalarValue::Null, _) => Some(Length::Constant(None)),
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => {
            let IntervalMonthDayNano { months, days, nanoseconds } = *interval;
            (months == 0).then(|| Length::Constant(Some(i128::from(days) * DAY + i128::from(nanoseconds))))
        }
        Expr::Negative(expr) => match length(expr, schema)? {
            Some(Length::Constant(length)) => Some(Length::Constant(length.map(|length| -length))),
            _ => None,
        },
        Expr::Cast(Cast { expr, .. }) => match expr.get_type(schema)? {
            DataType::Duration(unit) => Some(Length::Difference(expr.as_ref().clone(), unit)),
            _ => None,
        },
        _ => None,
    })
}
