//! Intervals compared by how long they are.
//!
//! DataFusion (55.2) compares months, then days, then the rest: a difference of 60 days, which is a length of time, would be
//! less than `INTERVAL '1 day'`, and 24 hours would not be one. Where both sides have a length, the lengths are compared; a day
//! has 24 hours, as in PostgreSQL. Where one has none (months, columns of intervals), those are equal that have the same months
//! and are otherwise as long, and which is greater is refused. So they are in whole days where they are looked up or joined.

use crate::of_one::of_one;
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{Case, InList, ScalarFunction, SetComparison};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Subquery,
    binary_expr,
};
use std::iter;
use std::sync::Arc;

const IN_WHOLE_DAYS: &str = "in_whole_days";
const DAY: i128 = 24 * 3600 * 1_000_000_000;

/// Compares lengths of time.
#[derive(Debug)]
pub struct LengthsCompare;

impl FunctionRewrite for LengthsCompare {
    fn name(&self) -> &str {
        "lengths_compare"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let rewritten = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) && is_interval(left, schema) => {
                beside(left, *op, right, schema)?
            }
            Expr::Between(between) if is_interval(&between.expr, schema) => lies_between(between, schema)?,
            Expr::InList(list) if is_interval(&list.expr, schema) => listed(list, schema)?,
            Expr::Case(case) if case.expr.as_ref().is_some_and(|value| is_interval(value, schema)) => {
                sought(case, schema)?
            }
            Expr::SetComparison(set) if is_interval(&set.expr, schema) => any_of(set, schema)?,
            Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "nullif" => match args.as_slice() {
                // What is drawn anew each time cannot be asked for twice.
                [value, other] if is_interval(value, schema) && !value.is_volatile() => {
                    null_where_equal(value, other, schema)?
                }
                _ => return Ok(Transformed::no(expr)),
            },
            _ => return Ok(Transformed::no(expr)),
        };
        Ok(Transformed::yes(rewritten))
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

/// Two intervals. Where one of them is of months, or of a column, they can be equal or not.
fn beside(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Result<Expr> {
    match (length(left, schema)?, length(right, schema)?) {
        (None, None | Some(Length::Constant(_))) | (Some(Length::Constant(_)), None) if is_equality(op) => {
            Ok(binary_expr(in_whole_days(left, schema)?, op, in_whole_days(right, schema)?))
        }
        (one, other) => compared(one, op, other),
    }
}

fn lies_between(between: &Between, schema: &DFSchema) -> Result<Expr> {
    let Between { expr: value, negated, low, high } = between;
    let from = compared(length(value, schema)?, Operator::GtEq, length(low, schema)?)?;
    let to = compared(length(value, schema)?, Operator::LtEq, length(high, schema)?)?;
    let within = from.and(to);
    Ok(if *negated { !within } else { within })
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

/// Whether a list has it, which is told of intervals without a length, too.
fn listed(list: &InList, schema: &DFSchema) -> Result<Expr> {
    for part in iter::once(&*list.expr).chain(&list.list) {
        if let Some(Length::Difference(..)) = length(part, schema)? {
            return no_length();
        }
    }
    let parts = list.list.iter().map(|part| in_whole_days(part, schema)).collect::<Result<Vec<_>>>()?;
    Ok(Expr::InList(InList::new(Box::new(in_whole_days(&list.expr, schema)?), parts, list.negated)))
}

/// `CASE value WHEN …`.
fn sought(case: &Case, schema: &DFSchema) -> Result<Expr> {
    let Case { expr: value, when_then_expr, else_expr } = case;
    let value = value.as_ref().map(|value| in_whole_days(value, schema).map(Box::new)).transpose()?;
    let branches = when_then_expr.iter().map(|(when, then)| Ok((Box::new(in_whole_days(when, schema)?), then.clone())));
    Ok(Expr::Case(Case::new(value, branches.collect::<Result<Vec<_>>>()?, else_expr.clone())))
}

/// `nullif`, which gives the interval as it is.
fn null_where_equal(value: &Expr, other: &Expr, schema: &DFSchema) -> Result<Expr> {
    let null = ScalarValue::try_from(&value.get_type(schema)?)?;
    let equal = in_whole_days(value, schema)?.eq(in_whole_days(other, schema)?);
    let branches = vec![(Box::new(equal), Box::new(Expr::Literal(null, None)))];
    Ok(Expr::Case(Case::new(None, branches, Some(Box::new(value.clone())))))
}

/// `value = ANY (SELECT …)`, and its like.
fn any_of(set: &SetComparison, schema: &DFSchema) -> Result<Expr> {
    if !is_equality(set.op) {
        return no_length();
    }
    let Subquery { subquery, outer_ref_columns, spans } = set.subquery.clone();
    let given = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
    let given = in_whole_days(&given, subquery.schema())?;
    let subquery = Arc::new(LogicalPlan::Projection(Projection::try_new(vec![given], subquery)?));
    let subquery = Subquery { subquery, outer_ref_columns, spans };
    let value = Box::new(in_whole_days(&set.expr, schema)?);
    Ok(Expr::SetComparison(SetComparison::new(value, subquery, set.op, set.quantifier)))
}

/// The same months, and the rest in as many days as there are in it: equal for intervals that are as long.
pub fn in_whole_days(interval: &Expr, schema: &DFSchema) -> Result<Expr> {
    let interval = interval.clone().cast_to(&DataType::Interval(IntervalUnit::MonthDayNano), schema)?;
    Ok(of_one(IN_WHOLE_DAYS, |value, rows| Ok(ColumnarValue::Array(whole_days(&value.to_array(rows)?))), interval))
}

/// Whether that has been done.
pub fn is_in_whole_days(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(ScalarFunction { func, .. }) if func.name() == IN_WHOLE_DAYS)
}

fn whole_days(intervals: &ArrayRef) -> ArrayRef {
    // Whoever asks what comes of nulls has nulls of no type.
    let Some(intervals) = intervals.as_primitive_opt::<IntervalMonthDayNanoType>() else { return intervals.clone() };
    Arc::new(intervals.unary::<_, IntervalMonthDayNanoType>(|IntervalMonthDayNano { months, days, nanoseconds }| {
        let length = i128::from(days) * DAY + i128::from(nanoseconds);
        // What are more days than there may be were so many nanoseconds before.
        let days = (length / DAY).clamp(i32::MIN.into(), i32::MAX.into());
        IntervalMonthDayNano::new(months, days as i32, (length - days * DAY) as i64)
    }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MEMORY, number, refused, within};
    use datafusion::arrow::array::IntervalMonthDayNanoArray;

    /// Two that are a day, two that are 24 hours, and two that are a month.
    const SPANS: &str = "(SELECT n, CASE n % 3 WHEN 0 THEN INTERVAL '1 day' WHEN 1 THEN INTERVAL '24 hours'
        ELSE INTERVAL '1 month' END AS a FROM t WHERE n < 6)";

    #[tokio::test]
    async fn a_day_is_equal_to_its_hours() {
        for (sql, expected) in [
            ("SELECT count(*) FROM {spans} WHERE a = INTERVAL '1 day'", 4),
            ("SELECT count(*) FROM {spans} WHERE INTERVAL '24 hours' <> a", 2),
            ("SELECT count(*) FROM {spans} WHERE a IS NOT DISTINCT FROM INTERVAL '24 hours'", 4),
            ("SELECT count(*) FROM {spans} WHERE a IS DISTINCT FROM NULL", 6),
            ("SELECT count(*) FROM {spans} WHERE a = INTERVAL '1 month'", 2),
            ("SELECT count(*) FROM {spans} WHERE a = INTERVAL '30 days'", 0),
            ("SELECT count(*) FROM {spans} WHERE CASE a WHEN INTERVAL '1 day' THEN 1 ELSE 0 END = 1", 4),
            ("SELECT count(*) FROM {spans} WHERE nullif(a, INTERVAL '24 hours') IS NULL", 4),
            ("SELECT count(*) FROM {spans} WHERE nullif(a, INTERVAL '24 hours') = INTERVAL '1 month'", 2),
            ("SELECT count(*) FROM {spans} WHERE a IN (INTERVAL '2 days', INTERVAL '1 day')", 4),
            ("SELECT count(*) FROM {spans} WHERE a NOT IN (INTERVAL '24 hours')", 2),
            ("SELECT count(*) FROM {spans} WHERE a = ANY([INTERVAL '24 hours', '2 days'::interval])", 4),
            ("SELECT count(*) FROM {spans} WHERE a <> ALL([INTERVAL '1 day'])", 2),
            ("SELECT count(*) FROM {spans} AS x WHERE a IN (SELECT a FROM {spans} AS y WHERE n = 1)", 4),
            ("SELECT count(*) FROM {spans} WHERE a = ANY (SELECT a FROM {spans} WHERE n = 1)", 4),
            ("SELECT count(*) FROM {spans} AS x JOIN {spans} AS y ON x.a = y.a", 20),
            ("SELECT count(*) FROM {spans} AS x JOIN {spans} AS y USING (a)", 20),
        ] {
            let sql = sql.replace("{spans}", SPANS);
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn which_of_them_is_greater_is_not_said() {
        for condition in [
            "a < INTERVAL '2 days'",
            "a BETWEEN INTERVAL '1 day' AND INTERVAL '2 days'",
            "a > ALL (SELECT a FROM {spans} WHERE n = 1)",
        ] {
            let sql = format!("SELECT count(*) FROM {{spans}} WHERE {condition}").replace("{spans}", SPANS);
            let fault = refused(&within(MEMORY, &sql)).await;
            assert!(fault.message().contains("has no length that could be compared"), "{sql}: {fault}");
        }
    }

    #[test]
    fn what_is_as_long_is_in_as_many_days() {
        let hour = 3600 * 1_000_000_000_i64;
        let of = |months, days, nanoseconds| IntervalMonthDayNano::new(months, days, nanoseconds);
        for (given, expected) in [
            (of(1, 1, 25 * hour), of(1, 2, hour)),
            (of(0, 0, -25 * hour), of(0, -1, -hour)),
            (of(0, 1, -24 * hour), of(0, 0, 0)),
            (of(0, 1, -hour), of(0, 0, 23 * hour)),
            (of(0, i32::MAX, 25 * hour), of(0, i32::MAX, 25 * hour)),
            (of(0, i32::MIN, i64::MIN), of(0, i32::MIN, i64::MIN)),
        ] {
            let intervals: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![given]));
            let days = whole_days(&intervals);
            assert_eq!(days.as_primitive::<IntervalMonthDayNanoType>().value(0), expected, "{given:?}");
        }
    }
}
