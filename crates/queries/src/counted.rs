//! Rows without columns, kept as their number.
//!
//! Of `SELECT count(*) FROM a, b, c` nobody reads a column. DataFusion keeps what a join builds on all the same, a batch for each
//! few rows, and takes batches without columns for nothing, however many they are.

use crate::node::{Does, Node};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, exec_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use futures::{StreamExt, stream};
use std::sync::Arc;

/// Puts [`Counted`] beneath joins that would keep rows without columns.
#[derive(Debug)]
pub struct CountBuilt;

impl PhysicalOptimizerRule for CountBuilt {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let counted = plan.transform_up(|node| {
            let keeps_left = node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>();
            let mut children: Vec<_> = node.children().into_iter().cloned().collect();
            match children.first_mut() {
                Some(left) if keeps_left && left.schema().fields().is_empty() => {
                    *left = Node::over(left.clone(), Counted);
                    let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                    node.replace_children(children, anew).map(Transformed::yes)
                }
                _ => Ok(Transformed::no(node)),
            }
        });
        counted.data()
    }

    fn name(&self) -> &str {
        "count_built"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The rows of an input without columns, as one batch.
#[derive(Debug)]
struct Counted;

impl Does for Counted {
    const NAME: &'static str = "Counted";

    fn execute(
        &self,
        inner: &Arc<dyn ExecutionPlan>,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = inner.execute(partition, task)?;
        let schema = input.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema.clone(), stream::once(count(input, schema)))))
    }
}

async fn count(mut input: SendableRecordBatchStream, schema: SchemaRef) -> Result<RecordBatch> {
    let mut rows = 0_usize;
    while let Some(batch) = input.next().await {
        match rows.checked_add(batch?.num_rows()) {
            Some(sum) => rows = sum,
            None => return exec_err!("there are more rows than can be counted"),
        }
    }
    Ok(RecordBatch::try_new_with_options(schema, Vec::new(), &RecordBatchOptions::new().with_row_count(Some(rows)))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WorkingMemory, runtime, session};
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use datafusion::datasource::MemTable;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext};
    use flight_common::SpillSpace;

    #[tokio::test]
    async fn rows_that_nobody_reads_are_kept_as_their_number() {
        let space = SpillSpace::default();
        let runtime = runtime(&WorkingMemory::new(space.budget()), &space).expect("a runtime");
        let context = SessionContext::new_with_state(session(SessionConfig::new(), runtime).build());
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..200));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("a batch");
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("a table");
        context.register_table("t", Arc::new(table)).expect("a new name");
        // How many there are is found out by a condition alone.
        let one = "(SELECT n FROM t WHERE n <> 7)";
        for (join, rows) in [("CROSS JOIN", 199_i64.pow(3)), ("LEFT JOIN", 199_i64.pow(3))] {
            let on = if join == "LEFT JOIN" { "ON true" } else { "" };
            let query = format!("SELECT count(*) FROM {one} a {join} {one} b {on} {join} {one} c {on}");
            let plan = context.sql(&query).await.expect("a query").create_physical_plan().await.expect("a plan");
            let shown = displayable(&*plan).indent(false).to_string();
            assert!(shown.contains("Counted"), "{shown}");
            let counted = collect(plan, context.task_ctx()).await.expect("a row");
            assert_eq!(counted[0].column(0).as_primitive::<Int64Type>().value(0), rows, "{query}");
        }
    }
}
