//! `TIMESTAMP` and `TIME` as PostgreSQL has them: in microseconds, which reach from before history past the year 9999, and
//! are what the columns of most sources are in.
//!
//! DataFusion's own counts nanoseconds, which end in 2262. As there, whole numbers that become timestamps are seconds.

use crate::inherited::inherited;
use crate::lengths::is_comparison;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    TryCast,
};
use datafusion::sql::sqlparser::ast::{self, TimezoneInfo};
use std::sync::Arc;

/// The zone of `TIMESTAMPTZ`.
pub const ZONE: &str = "UTC";

/// What `TIMESTAMP`, `TIMESTAMPTZ` and `TIME` are. With digits, as in `TIMESTAMP(9)`, they are DataFusion's.
#[derive(Debug)]
pub struct InMicroseconds;

impl TypePlanner for InMicroseconds {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        use TimezoneInfo::{None as NoZone, Tz, WithTimeZone, WithoutTimeZone};
        let data_type = match sql_type {
            ast::DataType::Timestamp(None, NoZone | WithoutTimeZone) => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            ast::DataType::Timestamp(None, WithTimeZone | Tz) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into()))
            }
            ast::DataType::Time(None, NoZone | WithoutTimeZone) => DataType::Time64(TimeUnit::Microsecond),
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}

/// Lets `now()` count microseconds, so that what is compared with it may be of any year.
pub(crate) fn count_microseconds(functions: &mut [Arc<ScalarUDF>]) {
    for function in functions.iter_mut().filter(|function| function.name() == "now") {
        *function = Arc::new(ScalarUDF::new_from_impl(Now { inner: function.as_ref().clone() }));
    }
}

/// When the query began.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    inner: ScalarUDF,
}

impl ScalarUDFImpl for Now {
    inherited!(name, aliases, signature, documentation);

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into())))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(begun) = info.query_execution_start_time() else { return Ok(ExprSimplifyResult::Original(args)) };
        let begun = ScalarValue::TimestampMicrosecond(Some(begun.timestamp_micros()), Some(ZONE.into()));
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(begun, None)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("now() becomes a constant before the query runs")
    }
}

/// Compares days and timestamps in microseconds: DataFusion would turn both into nanoseconds, which most days have not.
#[derive(Debug)]
pub struct DaysOfAnyYear;

impl FunctionRewrite for DaysOfAnyYear {
    fn name(&self) -> &str {
        "days_of_any_year"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let coarser = |expr: &Expr| -> Result<_> { Ok(coarser(expr, schema)?.map(Box::new)) };
        let made = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                let sides = coarser(left)?.zip(coarser(right)?);
                sides.map(|(left, right)| Expr::BinaryExpr(BinaryExpr::new(left, *op, right)))
            }
            Expr::Between(Between { expr, negated, low, high }) => {
                let parts = coarser(expr)?.zip(coarser(low)?).zip(coarser(high)?);
                parts.map(|((expr, low), high)| Expr::Between(Between::new(expr, *negated, low, high)))
            }
            _ => None,
        };
        Ok(made.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}

/// The same in microseconds, of what becomes nanoseconds only to be compared.
fn coarser(expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let Expr::Cast(Cast { expr, field }) = expr else { return Ok(None) };
    let DataType::Timestamp(TimeUnit::Nanosecond, zone) = field.data_type() else { return Ok(None) };
    Ok(match expr.get_type(schema)? {
        DataType::Date32 | DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _) => {
            Some(Expr::Cast(Cast::new(expr.clone(), DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))))
        }
        _ => None,
    })
}

/// Reads whole numbers that become timestamps as seconds.
#[derive(Debug)]
pub struct NumbersAreSeconds;

impl FunctionRewrite for NumbersAreSeconds {
    fn name(&self) -> &str {
        "numbers_are_seconds"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let (from, field) = match &expr {
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => (expr, field),
            _ => return Ok(Transformed::no(expr)),
        };
        let DataType::Timestamp(TimeUnit::Microsecond, zone) = field.data_type() else {
            return Ok(Transformed::no(expr));
        };
        if !from.get_type(schema)?.is_integer() {
            return Ok(Transformed::no(expr));
        }
        let seconds = DataType::Timestamp(TimeUnit::Second, zone.clone());
        Ok(Transformed::yes(match expr {
            Expr::Cast(Cast { expr, field }) => {
                let seconds = Expr::Cast(Cast::new(expr, seconds));
                Expr::Cast(Cast::new_from_field(Box::new(seconds), field))
            }
            Expr::TryCast(TryCast { expr, field }) => {
                let seconds = Expr::TryCast(TryCast::new(expr, seconds));
                Expr::TryCast(TryCast::new_from_field(Box::new(seconds), field))
            }
            other => other,
        }))
    }
}
