//! `TIMESTAMP` and `TIME` as PostgreSQL has them: in microseconds, which reach from before history past the year 9999, and
//! are what the columns of most sources are in.
//!
//! DataFusion's own counts nanoseconds, which end in 2262. As there, whole numbers that become timestamps are seconds.

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, TryCast};
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
