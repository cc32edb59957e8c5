//! Windows over whole partitions, one after the other.
//!
//! For `sum(x) OVER (PARTITION BY k)` DataFusion keeps all rows of all partitions, and does not count them. They come
//! sorted by `k`, so that a partition is known to be complete as soon as the next one begins: here the rows of complete
//! partitions leave, and what is kept is reserved.

use super::bytes_of;
use super::results::Results;
use crate::errand;
use crate::node::Does;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{SortColumn, concat, concat_batches};
use arrow::datatypes::SchemaRef;
use async_stream::try_stream;
use datafusion::common::utils::evaluate_partition_ranges;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{ExecutionPlan, WindowExpr};
use futures::{Stream, StreamExt};
use std::ops::Range;
use std::sync::Arc;

/// Where there is memory, so many bytes are looked through at a time.
const ENOUGH: usize = 1 << 20;

/// A window over rows that come partition by partition, in the place of DataFusion's own, which it stands on.
#[derive(Debug)]
pub(super) struct WindowByPartition;

impl Does for WindowByPartition {
    const NAME: &'static str = "WindowByPartition";

    fn execute(
        &self,
        inner: &Arc<dyn ExecutionPlan>,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("rows of a window").register(task.memory_pool());
        let results = memory.new_empty();
        let Some(window) = inner.downcast_ref::<WindowAggExec>() else {
            return internal_err!("a window became something else");
        };
        let input = window.input().execute(partition, task.clone())?;
        let frame = Frame {
            schema: window.schema(),
            input: input.schema(),
            expressions: window.window_expr().to_vec(),
            results: Results::of(window.window_expr())?,
            rows: task.session_config().batch_size(),
            enough: match task.memory_pool().memory_limit() {
                MemoryLimit::Finite(bytes) => ENOUGH.min(bytes / 16),
                _ => ENOUGH,
            },
        };
        let schema = frame.schema.clone();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, frame.run(input, memory, results))))
    }
}

/// What is computed.
struct Frame {
    schema: SchemaRef,
    input: SchemaRef,
    expressions: Vec<Arc<dyn WindowExpr>>,
    results: Results,
    /// Rows of a batch that leaves.
    rows: usize,
    /// Bytes that are worth looking for the end of a partition in.
    enough: usize,
}

impl Frame {
    fn run(
        self,
        mut input: SendableRecordBatchStream,
        memory: MemoryReservation,
        results: MemoryReservation,
    ) -> impl Stream<Item = Result<RecordBatch>> + Send {
        try_stream! {
            let mut enough = self.enough;
            let mut waiting = Waiting { batches: Vec::new(), bytes: 0, memory };
            while let Some(batch) = input.next().await {
                waiting.push(batch?)?;
                if waiting.bytes < enough {
                    continue;
                }
                let rows = waiting.take(&self.input)?;
                let ranges = self.partitions(&rows)?;
                // The last partition may go on.
                let begun = ranges.last().map_or(0, |last| last.start);
                waiting.put_back(rows.slice(begun, rows.num_rows() - begun))?;
                // A long partition is looked at less often the longer it gets.
                enough = self.enough.max(waiting.bytes * 2);
                let complete = &ranges[..ranges.len().saturating_sub(1)];
                results.try_resize(self.bytes_of_results(&rows, complete)?)?;
                for part in self.compute(&rows.slice(0, begun), complete)? {
                    yield part;
                }
                results.free();
            }
            let rows = waiting.take(&self.input)?;
            let ranges = self.partitions(&rows)?;
            results.try_resize(self.bytes_of_results(&rows, &ranges)?)?;
            for part in self.compute(&rows, &ranges)? {
                yield part;
            }
        }
    }

    /// The partitions in these rows.
    fn partitions(&self, rows: &RecordBatch) -> Result<Vec<Range<usize>>> {
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let keys = self.expressions.first().map(|expression| expression.partition_by()).unwrap_or_default();
        let column = |key: &Arc<dyn PhysicalExpr>| {
            let values = key.evaluate(rows)?.into_array(rows.num_rows())?;
            Ok(SortColumn { values, options: None })
        };
        evaluate_partition_ranges(rows.num_rows(), &keys.iter().map(column).collect::<Result<Vec<_>>>()?)
    }

    /// The most bytes that are computed for these partitions: there twice while they are put together.
    fn bytes_of_results(&self, rows: &RecordBatch, partitions: &[Range<usize>]) -> Result<usize> {
        if let Some(each) = self.results.fixed() {
            return Ok(partitions.last().map_or(0, |last| last.end).saturating_mul(each * 2));
        }
        let bytes = partitions.iter().map(|range| {
            let measure = self.results.measure(&rows.slice(range.start, range.len()))?;
            Ok(measure.likely(range.len()))
        });
        let all = bytes.collect::<Result<Vec<usize>>>()?.into_iter().fold(0, usize::saturating_add);
        Ok(all.saturating_mul(2))
    }

    /// These rows with what is computed for them, in batches.
    fn compute(&self, rows: &RecordBatch, partitions: &[Range<usize>]) -> Result<Vec<RecordBatch>> {
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let mut columns = rows.columns().to_vec();
        for expression in &self.expressions {
            let pieces = partitions.iter().map(|range| {
                errand::wanted()?;
                expression.evaluate(&rows.slice(range.start, range.len()))
            });
            let pieces = pieces.collect::<Result<Vec<ArrayRef>>>()?;
            columns.push(concat(&pieces.iter().map(|piece| piece.as_ref()).collect::<Vec<_>>())?);
        }
        let whole = RecordBatch::try_new(self.schema.clone(), columns)?;
        let starts = (0..whole.num_rows()).step_by(self.rows);
        Ok(starts.map(|start| whole.slice(start, self.rows.min(whole.num_rows() - start))).collect())
    }
}

/// Rows whose partition may go on.
struct Waiting {
    batches: Vec<RecordBatch>,
    bytes: usize,
    memory: MemoryReservation,
}

impl Waiting {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.bytes += bytes_of(&batch);
        self.reserve()?;
        self.batches.push(batch);
        Ok(())
    }

    /// They are there twice while they are put together.
    fn reserve(&self) -> Result<()> {
        self.memory.try_resize(self.bytes * 2)
    }

    fn take(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let rows = concat_batches(schema, &self.batches)?;
        self.batches.clear();
        self.bytes = 0;
        Ok(rows)
    }

    fn put_back(&mut self, rows: RecordBatch) -> Result<()> {
        self.bytes = bytes_of(&rows);
        self.reserve()?;
        self.batches = vec![rows];
        Ok(())
    }
}
