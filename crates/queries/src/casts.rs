//! Casts that do not hold every value, which are computed before anything is compared with what comes of them.
//!
//! DataFusion (55.2) compares what is cast instead, and casts the constant: `CAST(1.10 AS INT) = 1` is false to it, and what
//! `TRY_CAST` would make null is compared all the same.

use crate::of_one::of_one;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, TryCast};

/// Puts a function around such casts that gives what was cast.
#[derive(Debug)]
pub struct CastsThatCut;

impl FunctionRewrite for CastsThatCut {
    fn name(&self) -> &str {
        "casts_that_cut"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let cuts = match &expr {
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                !holds(field.data_type(), &expr.get_type(schema)?)
            }
            _ => false,
        };
        Ok(if cuts { Transformed::yes(of_one("as_cast", |value, _| Ok(value), expr)) } else { Transformed::no(expr) })
    }
}

/// Whether one type of numbers holds each value of another. Of other types it is not asked.
fn holds(to: &DataType, from: &DataType) -> bool {
    match (Digits::of(from), Digits::of(to)) {
        (Some(from), Some(to)) => {
            from.before <= to.before && from.behind <= to.behind && (to.negative || !from.negative)
        }
        _ => true,
    }
}

/// What numbers a type holds.
struct Digits {
    /// Before the point, in tenths: a whole number may begin with some digits and not with others.
    before: i32,
    behind: i32,
    negative: bool,
}

impl Digits {
    fn of(data_type: &DataType) -> Option<Self> {
        let whole = |before: i32, negative: bool| Self { before, behind: 0, negative };
        Some(match data_type {
            DataType::Int8 => whole(21, true),
            DataType::UInt8 => whole(24, false),
            DataType::Int16 => whole(45, true),
            DataType::UInt16 => whole(48, false),
            DataType::Int32 => whole(93, true),
            DataType::UInt32 => whole(96, false),
            DataType::Int64 => whole(189, true),
            DataType::UInt64 => whole(192, false),
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => {
                let (precision, behind) = (i32::from(*precision), i32::from(*scale));
                Self { before: 10 * (precision - behind), behind, negative: true }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MEMORY, number, within};

    #[test]
    fn a_type_holds_what_fits_in_it() {
        use DataType::{Decimal128, Float64, Int8, Int16, Int32, Int64, UInt8, UInt64};
        for (to, from, holds_all) in [
            (Int64, Int32, true),
            (Int32, Int64, false),
            (Int16, UInt8, true),
            (UInt8, Int8, false),
            (Int64, UInt64, false),
            (Decimal128(19, 0), Int64, true),
            (Decimal128(18, 0), Int64, false),
            (Decimal128(12, 2), Decimal128(10, 2), true),
            (Decimal128(12, 1), Decimal128(10, 2), false),
            (Int64, Decimal128(10, 2), false),
            (Int32, Decimal128(9, 0), true),
            (Float64, Int64, true),
        ] {
            assert_eq!(holds(&to, &from), holds_all, "{from} as {to}");
        }
    }

    #[tokio::test]
    async fn what_is_cast_is_compared() {
        for (sql, expected) in [
            ("SELECT count(*) FROM (SELECT CAST(n * 0.5 AS DECIMAL(12, 2)) AS d FROM t) WHERE CAST(d AS INT) = 3", 2),
            ("SELECT count(*) FROM t WHERE CAST(CAST(n * 0.01 AS DECIMAL(12, 2)) AS DECIMAL(12, 1)) = 0.2", 10),
            ("SELECT count(*) FROM t WHERE TRY_CAST(n AS TINYINT) >= 0", 128),
            ("SELECT count(*) FROM t WHERE (TRY_CAST(n AS TINYINT) > 0) IS NULL", 19_872),
            ("SELECT count(*) FROM (SELECT CAST(n * 0.5 AS DECIMAL(12, 2))::int AS x FROM t) WHERE x IN (2, 3)", 4),
            ("SELECT count(*) FROM t WHERE CAST(n AS INT) = 7 AND CAST(n AS DECIMAL(30, 2)) = 7", 1),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }
}
