//! A day and a length of time with hours in it, which is a moment. To DataFusion (55.2) it is a day, without the hours.

use crate::texts;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, cast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Makes a timestamp of the day. (`day + INTERVAL '1 month'` stays a day.)
#[derive(Debug)]
pub struct HoursOfDays;

impl ExprPlanner for HoursOfDays {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = raw;
        let moment = |day: Expr| cast(day, DataType::Timestamp(TimeUnit::Microsecond, None));
        let is_day =
            |expr: &Expr| expr.get_type(schema).is_ok_and(|it| matches!(it, DataType::Date32 | DataType::Date64));
        let (left, right) = match op {
            BinaryOperator::Plus | BinaryOperator::Minus if is_day(&left) && has_hours(&right) => (moment(left), right),
            BinaryOperator::Plus if has_hours(&left) && is_day(&right) => (left, moment(right)),
            _ => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

fn has_hours(length: &Expr) -> bool {
    match length {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(length)), _) => length.nanoseconds != 0,
        Expr::Literal(ScalarValue::IntervalDayTime(Some(length)), _) => length.milliseconds != 0,
        Expr::Negative(length) => has_hours(length),
        Expr::Cast(Cast { expr, .. }) => match texts::interval(length) {
            Some(written) => has_hours(&lit(written)),
            None => has_hours(expr),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn hours_are_not_lost() {
        for (sql, expected) in [
            ("SELECT CAST(date '1970-01-02' + interval '36 hours' AS BIGINT) / 1000000", 86_400 + 36 * 3600),
            ("SELECT CAST(date '1970-01-02' - interval '1 hour' AS BIGINT) / 1000000", 23 * 3600),
            ("SELECT CAST(interval '1 hour' + date '1970-01-01' AS BIGINT) / 1000000", 3600),
            ("SELECT CAST(date '1970-01-01' + '1 hour'::interval AS BIGINT) / 1000000", 3600),
            ("SELECT CAST(date '1970-01-01' + '10'::interval AS BIGINT) / 1000000", 10),
            ("SELECT CAST(arrow_typeof(date '1970-01-02' + interval '1 month') = 'Date32' AS INT)", 1),
            (
                "SELECT count(*) FROM t WHERE TIMESTAMP '1970-01-01T22:30:00' BETWEEN CAST('1970-01-01' AS DATE) \
                 AND CAST('1970-01-01' AS DATE) + INTERVAL '23 hours'",
                20_000,
            ),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }
}
