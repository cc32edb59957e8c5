//! Windows in memory that is counted.
//!
//! | file | what |
//! |---|---|
//! | [`by_partition`] | windows that need all rows of a partition |
//! | [`streaming`] | windows that need a few rows before or after each |
//! | [`results`] | what is computed, and how large it can get |
//!
//! DataFusion counts nothing of what its windows keep.

mod by_partition;
mod results;
mod streaming;

use crate::node::Node;
use arrow::array::RecordBatch;
use by_partition::WindowByPartition;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};
use flight_common::wire::row_bytes;
use std::sync::Arc;
use streaming::StreamingWindow;

/// Puts windows whose memory is counted in the place of DataFusion's own.
#[derive(Debug)]
pub struct CountWindows;

impl PhysicalOptimizerRule for CountWindows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let counted = plan.transform_up(|node| {
            if node.is::<WindowAggExec>() {
                return Ok(Transformed::yes(Node::over(node, WindowByPartition)));
            }
            let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() else { return Ok(Transformed::no(node)) };
            let in_order = matches!(window.input_order_mode, InputOrderMode::Sorted);
            if in_order && window.window_expr().iter().any(results::needs_partition) {
                let expressions = window.window_expr().to_vec();
                let window = WindowAggExec::try_new(expressions, window.input().clone(), true)?;
                return Ok(Transformed::yes(Node::over(Arc::new(window), WindowByPartition)));
            }
            Ok(Transformed::yes(Node::over(node, StreamingWindow)))
        });
        counted.data()
    }

    fn name(&self) -> &str {
        "count_windows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The bytes of rows, with something for those without columns.
fn bytes_of(rows: &RecordBatch) -> usize {
    row_bytes(rows) + rows.num_rows() * size_of::<i64>()
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, refused, within};
    use flight_common::FaultKind;
    use futures::TryStreamExt;
    use std::sync::Arc;

    /// Over so many rows, within so much memory, which they do not fit in.
    const MANY: &str = "generate_series(1, 60000) AS s(v)";
    const LITTLE: usize = 3 << 19;

    #[tokio::test]
    async fn windows_keep_no_more_than_they_have_memory_for() {
        for (window, last) in [
            ("sum(1) OVER (ORDER BY v)", 60_000),
            ("sum(1) OVER (ORDER BY v % 1000)", 60_000),
            ("row_number() OVER (PARTITION BY v % 7 ORDER BY v DESC)", 8_572),
            ("lag(v, 100) OVER (ORDER BY v)", 59_900),
            ("sum(1) OVER (ORDER BY v ROWS 100 PRECEDING)", 101),
            ("sum(1) OVER (ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND 100 PRECEDING)", 59_900),
            ("sum(1) OVER (ORDER BY v RANGE BETWEEN 100 PRECEDING AND CURRENT ROW)", 101),
            ("sum(1) OVER (ORDER BY v DESC RANGE BETWEEN 100 PRECEDING AND 100 FOLLOWING)", 201),
            ("sum(1) OVER (PARTITION BY v % 100 ORDER BY v GROUPS 200 PRECEDING)", 201),
        ] {
            let query = within(LITTLE, &format!("SELECT max(w) FROM (SELECT {window} AS w FROM {MANY})"));
            assert_eq!(number(&query).await, last, "{window}");
        }
        for window in [
            "count(*) OVER (ORDER BY v / 100000)",
            "lag(v, 55000) OVER (ORDER BY v)",
            "lead(v, 55000) OVER (ORDER BY v)",
            "sum(v) OVER (ORDER BY v ROWS 55000 PRECEDING)",
            "sum(v) OVER (ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND 55000 PRECEDING)",
            "sum(v) OVER (ORDER BY v ROWS BETWEEN CURRENT ROW AND 55000 FOLLOWING)",
            "sum(v) OVER (ORDER BY v RANGE BETWEEN 55000 PRECEDING AND CURRENT ROW)",
            "sum(v) OVER (ORDER BY v GROUPS 55000 PRECEDING)",
            "sum(v) OVER ()",
            "count(DISTINCT v) OVER (ORDER BY v)",
            "last_value(v) IGNORE NULLS OVER (ORDER BY v)",
        ] {
            let fault =
                refused(&within(LITTLE, &format!("SELECT max(w) FROM (SELECT {window} AS w FROM {MANY})"))).await;
            assert_eq!(fault.kind(), FaultKind::Busy, "{window}: {fault}");
        }
    }

    #[tokio::test]
    async fn what_windows_make_is_held_against_memory_first() {
        for window in [
            "array_agg(n) OVER ()",
            "array_agg(n) OVER (ORDER BY n)",
            "string_agg(x, ',') OVER (ORDER BY n ROWS 10000 PRECEDING)",
            "max(repeat(x, 100)) OVER ()",
        ] {
            let fault = refused(&within(MEMORY, &format!("SELECT {window} AS w FROM t"))).await;
            assert_eq!(fault.kind(), FaultKind::Busy, "{window}: {fault}");
        }
        for (window, longest) in [
            ("cardinality(array_agg(n) OVER (PARTITION BY n % 5000))", 4),
            ("length(string_agg(x, ',') OVER (PARTITION BY n % 5000 ORDER BY n))", 30_000 + 9 + 10 + 10 + 3),
            ("length(max(x) OVER (PARTITION BY n % 1000))", 30_000),
            ("length(lag(x, 1) OVER (ORDER BY n))", 30_000),
            ("length(max(x) OVER (ORDER BY n))", 30_000),
            ("length(first_value(x) OVER (ORDER BY x DESC))", 30_000),
            ("length(last_value(x) OVER (PARTITION BY n % 3 ORDER BY n))", 30_000),
        ] {
            let query = within(MEMORY, &format!("SELECT max(w) FROM (SELECT {window} AS w FROM t)"));
            assert_eq!(number(&query).await, longest, "{window}");
        }
    }
    #[tokio::test]
    async fn long_results_come_some_rows_at_a_time() {
        let mut rows = within(MEMORY, "SELECT max(x) OVER (ORDER BY n) AS w FROM t WHERE n < 9000")
            .start(Arc::default())
            .await
            .expect("a query");
        // The first is the longest, and all have it.
        while let Some(batch) = rows.try_next().await.expect("rows") {
            assert!(batch.get_array_memory_size() < 32 << 20, "{}", batch.get_array_memory_size());
        }
    }
}
