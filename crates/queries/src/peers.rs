//! Windows that are ordered by what has no distances: lengths of time, times of the day, bytes.
//!
//! Without a frame, `OVER (ORDER BY x)` is `RANGE UNBOUNDED PRECEDING`, which DataFusion (55.2) knows of numbers, texts, lists, days and
//! timestamps alone: of others it fails. Where a frame names no distance, rows are in it up to those of an equal value, which is
//! what `GROUPS` says.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ExprSchemable, WindowFrame, WindowFrameBound, WindowFrameUnits};

/// Says `GROUPS` for `RANGE` where there are no distances. It comes before types are made to agree.
#[derive(Debug)]
pub struct PeersWithoutDistance;

impl FunctionRewrite for PeersWithoutDistance {
    fn name(&self) -> &str {
        "peers_without_distance"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::WindowFunction(mut function) = expr else { return Ok(Transformed::no(expr)) };
        let frame = &function.params.window_frame;
        let key = function.params.order_by.first().map(|key| key.expr.get_type(schema)).transpose()?;
        let without = key.is_some_and(|key| !has_distances(&key));
        if frame.units != WindowFrameUnits::Range || names_a_distance(frame) || !without {
            return Ok(Transformed::no(Expr::WindowFunction(function)));
        }
        let (start, end) = (frame.start_bound.clone(), frame.end_bound.clone());
        function.params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Groups, start, end);
        Ok(Transformed::yes(Expr::WindowFunction(function)))
    }
}

/// Whether a frame ends so and so far from a row.
pub(crate) fn names_a_distance(frame: &WindowFrame) -> bool {
    [&frame.start_bound, &frame.end_bound]
        .into_iter()
        .any(|bound| !bound.is_unbounded() && *bound != WindowFrameBound::CurrentRow)
}

/// Whether DataFusion takes frames for ranges of this type.
pub(crate) fn has_distances(key: &DataType) -> bool {
    use DataType as T;
    match key {
        T::Dictionary(_, values) => has_distances(values),
        T::List(_) | T::LargeList(_) | T::FixedSizeList(..) | T::Boolean => true,
        T::Date32 | T::Date64 | T::Timestamp(..) => true,
        other => other.is_numeric() || other.is_string() || other.is_null(),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn windows_are_ordered_by_what_has_no_distances() {
        let length = "arrow_cast(n / 2, 'Duration(Second)')";
        for (window, expected) in [
            (format!("rank() OVER (ORDER BY {length})"), 19_999),
            (format!("dense_rank() OVER (ORDER BY {length} DESC)"), 10_000),
            (format!("count(*) OVER (ORDER BY {length})"), 20_000),
            ("sum(1) OVER (ORDER BY arrow_cast(x, 'Binary'))".to_owned(), 20_000),
        ] {
            let sql = format!("SELECT max(w) FROM (SELECT {window} AS w FROM t)");
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }
}
