//! Rows put together by their bytes.
//!
//! DataFusion puts what is left of small batches together until there are enough rows, however long they are, and counts
//! nothing of it: some thousand rows with texts of a megabyte each. Here it leaves them as they come, and they are put together as far
//! as they are small.

use crate::node::{Does, Node};
use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use async_stream::try_stream;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::Boundedness;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, PlanProperties, ReplaceChildrenOptions};
use flight_common::wire::row_bytes;
use futures::{Stream, StreamExt};
use std::sync::Arc;

/// Bytes that are put together.
const ENOUGH: usize = 4 << 20;

/// Puts [`Batched`] over nodes that put rows together, and keeps them from doing it; and over joins of all with all, which give the rows
/// of one side once for each of the other, however few they are.
#[derive(Debug)]
pub struct BatchByBytes;

impl PhysicalOptimizerRule for BatchByBytes {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let batched = plan.transform_up(|node| {
            let apart = match node.schema().fields().is_empty() {
                true => None,
                false => apart(&node)?,
            };
            Ok(match apart {
                Some(inner) => Transformed::yes(Node::giving(node.properties().clone(), inner, Batched)),
                None => Transformed::no(node),
            })
        });
        batched.data()
    }

    fn name(&self) -> &str {
        "batch_by_bytes"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same, but that it puts nothing together, if it is one of these.
fn apart(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        return Ok(Some(Arc::new(filter.with_batch_size(1)?)));
    }
    if node.downcast_ref::<CrossJoinExec>().is_some() || node.downcast_ref::<NestedLoopJoinExec>().is_some() {
        return Ok(Some(node.clone()));
    }
    if let Some(deal) = node.downcast_ref::<RepartitionExec>()
        && !deal.preserve_order()
    {
        // Of rows that come without end it sends on what it has.
        let endless = Boundedness::Unbounded { requires_infinite_memory: false };
        let properties = PlanProperties::clone(deal.input().properties()).with_boundedness(endless);
        let input = Node::giving(Arc::new(properties), deal.input().clone(), Endless);
        let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        return node.clone().replace_children(vec![input], anew).map(Some);
    }
    Ok(None)
}

/// Rows that are told to come without end.
#[derive(Debug)]
struct Endless;

impl Does for Endless {
    const NAME: &'static str = "Endless";
}

/// Small batches put together.
#[derive(Debug)]
struct Batched;

impl Does for Batched {
    const NAME: &'static str = "Batched";

    fn execute(
        &self,
        inner: &Arc<dyn ExecutionPlan>,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = task.session_config().batch_size();
        let input = inner.execute(partition, task)?;
        let schema = input.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, put_together(input, rows))))
    }
}

fn put_together(mut input: SendableRecordBatchStream, rows: usize) -> impl Stream<Item = Result<RecordBatch>> + Send {
    try_stream! {
        let coalescer = BatchCoalescer::new(input.schema(), rows);
        let mut together = coalescer.with_biggest_coalesce_batch_size(Some(rows / 2));
        let mut bytes = 0;
        while let Some(batch) = input.next().await {
            let batch = batch?;
            let more = row_bytes(&batch);
            if bytes + more > ENOUGH && !together.is_empty() {
                together.finish_buffered_batch()?;
                bytes = 0;
            }
            together.push_batch(batch)?;
            bytes += more;
            while let Some(batch) = together.next_completed_batch() {
                bytes = more;
                yield batch;
            }
        }
        together.finish_buffered_batch()?;
        while let Some(batch) = together.next_completed_batch() {
            yield batch;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, ROWS, number, within};
    use futures::TryStreamExt;
    use std::sync::Arc;

    #[tokio::test]
    async fn long_rows_are_not_put_together_and_short_ones_are() {
        // Each batch that comes out is one that was dealt out by its hash, or passed a condition.
        for (query, most) in [
            ("SELECT DISTINCT repeat('x', 20000) || n AS x FROM t WHERE n % 50 = 0", 64_u64 << 20),
            ("SELECT repeat(x, 20) AS x, n FROM t WHERE length(repeat(x, 20)) > 30 + random()", 64 << 20),
        ] {
            let mut rows = within(MEMORY, query).start(Arc::default()).await.expect("a query");
            while let Some(batch) = rows.try_next().await.expect("rows") {
                assert!((batch.get_array_memory_size() as u64) < most, "{query}: {}", batch.get_array_memory_size());
            }
        }
        for (query, all) in [
            ("SELECT n FROM t WHERE n % 10 = random() * 0", ROWS / 10),
            ("SELECT a.n, b.n AS m FROM (SELECT n FROM t LIMIT 2) AS a, t AS b", 2 * ROWS),
            ("SELECT a.n, b.n AS m FROM t AS b, (SELECT n FROM t LIMIT 2) AS a", 2 * ROWS),
            ("SELECT a.n, b.n AS m FROM t AS b JOIN (SELECT n FROM t LIMIT 2) AS a ON a.n < b.n + 2", 2 * ROWS),
        ] {
            let mut few = within(MEMORY, query).start(Arc::default()).await.expect("a query");
            let mut batches = Vec::new();
            while let Some(batch) = few.try_next().await.expect("rows") {
                batches.push(batch.num_rows() as i64);
            }
            assert_eq!(batches.iter().sum::<i64>(), all, "{query}");
            assert!(batches.len() <= 12, "{query}: {batches:?}");
        }
        assert_eq!(
            number(&within(MEMORY, "SELECT count(*) FROM (SELECT n % 7 FROM t WHERE n > 9 GROUP BY 1)")).await,
            7
        );
    }
}
