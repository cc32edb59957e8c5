//! NaN, of which there are many and which is one number here: the greatest.
//!
//! DataFusion and Arrow compare floats by their bits, so that a NaN with a sign is the least of all and differs from one
//! without; `0.0 / 0.0` gives the one on some machines and the other on others. So all that comes in, and all that is
//! computed, has one NaN for all of them. (Floats within lists and structs stay as they come, until they are taken out.)

use crate::of_one::of_one;
use datafusion::arrow::array::RecordBatchOptions;
use datafusion::arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Projection, TryCast};
use datafusion::optimizer::AnalyzerRule;
use half::f16;
use std::sync::Arc;

/// The same rows, with one NaN for all in each column of floats.
///
/// # Errors
/// None that is known: lengths and types are as they were.
pub fn of_one_nan(batch: RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    if !batch.columns().iter().any(|column| column.data_type().is_floating()) {
        return Ok(batch);
    }
    let (schema, columns, rows) = batch.into_parts();
    let columns = columns.into_iter().map(one_nan).collect();
    RecordBatch::try_new_with_options(schema, columns, &RecordBatchOptions::new().with_row_count(Some(rows)))
}

/// The same values, with one NaN for all. What is no float is as it was.
pub(crate) fn one_nan(values: ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float16 => canonical::<Float16Type>(values, f16::is_nan, f16::NAN),
        DataType::Float32 => canonical::<Float32Type>(values, f32::is_nan, f32::NAN),
        DataType::Float64 => canonical::<Float64Type>(values, f64::is_nan, f64::NAN),
        _ => values,
    }
}

fn canonical<T: ArrowPrimitiveType>(values: ArrayRef, is_nan: impl Fn(T::Native) -> bool, nan: T::Native) -> ArrayRef
where
    T::Native: ArrowNativeTypeOp,
{
    let floats = values.as_primitive::<T>();
    if !floats.values().iter().any(|float| is_nan(*float) && float.is_ne(nan)) {
        return values;
    }
    Arc::new(floats.unary::<_, T>(|float| if is_nan(float) { nan } else { float }))
}

/// As [`one_nan`], of what may be one value for all rows.
pub(crate) fn one_nan_of(value: ColumnarValue) -> ColumnarValue {
    match value {
        ColumnarValue::Array(values) => ColumnarValue::Array(one_nan(values)),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(match value {
            ScalarValue::Float16(Some(float)) if float.is_nan() => ScalarValue::Float16(Some(f16::NAN)),
            ScalarValue::Float32(Some(float)) if float.is_nan() => ScalarValue::Float32(Some(f32::NAN)),
            ScalarValue::Float64(Some(float)) if float.is_nan() => ScalarValue::Float64(Some(f64::NAN)),
            other => other,
        }),
    }
}

/// Takes one NaN for all of the floats that are read from texts: `-nan` is how C writes one.
#[derive(Debug)]
pub struct NansOfTexts;

impl FunctionRewrite for NansOfTexts {
    fn name(&self) -> &str {
        "nans_of_texts"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let reads = match &expr {
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                field.data_type().is_floating() && expr.get_type(schema)?.is_string()
            }
            _ => false,
        };
        Ok(if reads { Transformed::yes(plain(expr)) } else { Transformed::no(expr) })
    }
}

/// Takes one NaN for all of what aggregates and windows compute, and of what comes out of lists: the sum of both infinities is one.
/// (Not within subqueries that stand in expressions, whose plans have to be of a certain form.)
#[derive(Debug)]
pub struct ComputedNans;

impl AnalyzerRule for ComputedNans {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up(|plan| {
            let computed = match &plan {
                LogicalPlan::Aggregate(aggregate) => aggregate.aggr_expr.len(),
                LogicalPlan::Window(window) => window.window_expr.len(),
                LogicalPlan::Unnest(unnest) => unnest.schema.fields().len(),
                _ => return Ok(Transformed::no(plan)),
            };
            let schema = plan.schema().clone();
            let given = schema.fields().len() - computed;
            if !schema.fields().iter().skip(given).any(|field| field.data_type().is_floating()) {
                return Ok(Transformed::no(plan));
            }
            let columns = schema.iter().enumerate().map(|(place, (qualifier, field))| {
                let column = Expr::Column(Column::from((qualifier, field)));
                match place >= given && field.data_type().is_floating() {
                    true => plain(column).alias_qualified(qualifier.cloned(), field.name()),
                    false => column,
                }
            });
            let columns = columns.collect();
            Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?)))
        })
        .map(|plan| plan.data)
    }

    fn name(&self) -> &str {
        "computed_nans"
    }
}

/// A float as it is, but for NaN, of which there is one.
fn plain(float: Expr) -> Expr {
    of_one("one_nan", |value, _| Ok(one_nan_of(value)), float)
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    /// NaN as the machine makes it, with a sign or without, and turned round.
    const NANS: &str = "(SELECT n, CASE n % 5 WHEN 0 THEN (n - n) / (n - n + 0.0) WHEN 1 THEN -CAST('NaN' AS DOUBLE)
        WHEN 2 THEN asin(2.0 + n) WHEN 3 THEN CAST(substr('-nan' || n, 1, 4) AS DOUBLE) ELSE CAST('Infinity' AS DOUBLE) - CAST('Infinity' AS DOUBLE) END AS f FROM t)";

    #[tokio::test]
    async fn all_nans_are_one_number_and_the_greatest() {
        for (sql, expected) in [
            ("SELECT count(*) FROM {nans} WHERE f < 0", 0),
            ("SELECT count(*) FROM {nans} WHERE f = CAST('NaN' AS DOUBLE)", 20_000),
            ("SELECT count(*) FROM {nans} WHERE f > CAST('Infinity' AS DOUBLE)", 20_000),
            ("SELECT count(*) FROM (SELECT DISTINCT f FROM {nans})", 1),
            ("SELECT count(*) FROM (SELECT f FROM {nans} GROUP BY f)", 1),
            ("SELECT count(DISTINCT f) FROM {nans}", 1),
            (
                "SELECT count(*) FROM (SELECT DISTINCT f FROM (SELECT f FROM {nans} UNION ALL SELECT n + 0.5 FROM t WHERE n < 3) \
                 ORDER BY f LIMIT 3) WHERE f < 3",
                3,
            ),
            ("SELECT count(*) FROM (SELECT min(f) AS least FROM {nans}) WHERE isnan(least)", 1),
            ("SELECT count(*) FROM (SELECT f FROM {nans} EXCEPT SELECT CAST('NaN' AS DOUBLE))", 0),
            ("SELECT max(r) FROM (SELECT rank() OVER (ORDER BY f) AS r FROM {nans})", 1),
            ("SELECT count(*) FROM (SELECT sum(f) AS s FROM {nans}) WHERE s > 0", 1),
            (
                "SELECT count(*) FROM (SELECT sum(CASE n % 2 WHEN 0 THEN 1e300 * 1e300 ELSE -1e300 * 1e300 END) AS s FROM t \
                 GROUP BY n / 2) WHERE s > 0",
                10_000,
            ),
            ("SELECT count(DISTINCT f) FROM (SELECT unnest([f, -CAST('NaN' AS DOUBLE)]) AS f FROM {nans})", 1),
            (
                "SELECT count(*) FROM (SELECT DISTINCT f FROM (VALUES (-CAST('nan' AS REAL)), ('-nan'::real)) AS v(f))",
                1,
            ),
            (
                "SELECT count(*) FROM t WHERE n < 9 AND n < (SELECT count(*) + 7 FROM t AS i WHERE i.n = t.n GROUP BY i.n \
                 HAVING avg(i.n + 0.5) > 0)",
                8,
            ),
            ("SELECT count(*) FROM t WHERE n + 0.0 < (SELECT avg(f) FROM {nans} AS i WHERE i.n = t.n)", 20_000),
            ("SELECT count(*) FROM {nans} AS a JOIN {nans} AS b ON a.f = b.f AND a.n = b.n", 20_000),
        ] {
            let sql = sql.replace("{nans}", NANS);
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }
}
