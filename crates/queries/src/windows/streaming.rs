//! Windows that go along with the rows: what they keep is known by what has come in and has not gone out.

use super::bytes_of;
use super::results::{Behind, Results};
use crate::node::{Does, Node};
use arrow::array::RecordBatch;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::BoundedWindowAggExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, InputOrderMode, ReplaceChildrenOptions};
use futures::{StreamExt, stream};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of results that are computed at once, as far as rows can be cut.
const AT_ONCE: usize = 8 << 20;

/// DataFusion's window over rows that come in order, with the memory of what it keeps.
#[derive(Debug)]
pub(super) struct StreamingWindow;

impl Does for StreamingWindow {
    const NAME: &'static str = "StreamingWindow";

    fn execute(
        &self,
        inner: &Arc<dyn ExecutionPlan>,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("rows of a window").register(task.memory_pool());
        let Some(window) = inner.downcast_ref::<BoundedWindowAggExec>() else {
            return internal_err!("a window became something else");
        };
        let books = Books::new(window, memory)?;
        let reading = Node::over(window.input().clone(), Reading(books.clone()));
        let keep = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        let computed = inner.clone().replace_children(vec![reading], keep)?.execute(partition, task)?;
        let schema = computed.schema();
        let computed = computed.map(move |batch| {
            let batch = batch?;
            books.gone(&batch)?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, computed)))
    }
}

/// What a window reads, written into its books.
#[derive(Debug)]
struct Reading(Books);

impl Does for Reading {
    const NAME: &'static str = "Reading";

    fn execute(
        &self,
        inner: &Arc<dyn ExecutionPlan>,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = inner.execute(partition, task)?;
        let (schema, books) = (rows.schema(), self.0.clone());
        let rows = rows.flat_map(move |batch| {
            let cut = batch.and_then(|batch| books.cut(batch));
            let books = books.clone();
            let parts = match cut {
                Ok(parts) => stream::iter(parts.into_iter().map(Ok)).left_stream(),
                Err(error) => stream::iter([Err(error)]).right_stream(),
            };
            parts.map(move |part| part.and_then(|part| books.come(&part).map(|()| part)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// What a window keeps of the rows of one stream. Clones are one.
#[derive(Clone, Debug)]
struct Books(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    memory: MemoryReservation,
    results: Results,
    behind: Vec<Behind>,
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
    order_by: Option<PhysicalSortExpr>,
    batches: VecDeque<Part>,
    /// The bytes of the largest result that there can be, in this partition.
    largest: usize,
    partition: Option<Vec<ScalarValue>>,
    bytes: usize,
    come: u64,
    gone: u64,
}

/// A batch, all of which is kept until none of it is needed.
#[derive(Debug)]
struct Part {
    /// The rows that had come with it.
    end: u64,
    bytes: usize,
    /// Where its last row stands.
    last: Place,
}

/// Where a row stands: the values that make its partition, and the one that the rows are ordered by.
#[derive(Clone, Debug)]
struct Place {
    partition: Vec<ScalarValue>,
    order: Option<ScalarValue>,
}

impl Books {
    fn new(window: &BoundedWindowAggExec, memory: MemoryReservation) -> Result<Self> {
        let expressions = window.window_expr();
        let first = expressions.first();
        // Where partitions come mixed, none is known to be over.
        let apart = matches!(window.input_order_mode, InputOrderMode::Sorted);
        let partition_by = first.filter(|_| apart).map(|expr| expr.partition_by().to_vec()).unwrap_or_default();
        Ok(Self(Arc::new(Mutex::new(Kept {
            memory,
            results: Results::of(expressions)?,
            behind: expressions.iter().map(Behind::of).collect(),
            partition_by,
            order_by: first.and_then(|expr| expr.order_by().first().cloned()),
            batches: VecDeque::new(),
            largest: 0,
            partition: None,
            bytes: 0,
            come: 0,
            gone: 0,
        }))))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows, so many at a time that what is computed for them stays small.
    fn cut(&self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let mut kept = self.kept();
        kept.largest = kept.largest.max(kept.results.measure(&batch)?.largest);
        let rows = (AT_ONCE / kept.largest.max(1)).max(1);
        let starts = (0..batch.num_rows()).step_by(rows);
        Ok(starts.map(|start| batch.slice(start, rows.min(batch.num_rows() - start))).collect())
    }

    fn come(&self, batch: &RecordBatch) -> Result<()> {
        match batch.num_rows() {
            0 => Ok(()),
            _ => self.kept().come(batch),
        }
    }

    fn gone(&self, batch: &RecordBatch) -> Result<()> {
        match batch.num_rows() {
            0 => Ok(()),
            _ => self.kept().gone(batch),
        }
    }
}

impl Kept {
    fn come(&mut self, batch: &RecordBatch) -> Result<()> {
        let last = self.place(batch)?;
        let measure = self.results.measure(batch)?;
        if self.partition.as_ref() != Some(&last.partition) {
            self.largest = measure.largest;
            self.partition = Some(last.partition.clone());
        }
        // Rows are there twice while they are put together, and what is computed for each is there with them.
        let results = measure.bytes(batch.num_rows()).max(batch.num_rows().saturating_mul(self.largest));
        let bytes = bytes_of(batch).saturating_mul(2).saturating_add(results);
        self.come += batch.num_rows() as u64;
        self.batches.push_back(Part { end: self.come, bytes, last });
        self.bytes = self.bytes.saturating_add(bytes);
        self.memory.try_resize(self.bytes)
    }

    fn gone(&mut self, batch: &RecordBatch) -> Result<()> {
        self.gone += batch.num_rows() as u64;
        let here = self.place(batch)?;
        while self.batches.front().is_some_and(|part| self.is_over(part, &here)) {
            self.bytes -= self.batches.pop_front().map_or(0, |part| part.bytes);
        }
        self.memory.try_resize(self.bytes)
    }

    fn place(&self, batch: &RecordBatch) -> Result<Place> {
        let last = batch.slice(batch.num_rows() - 1, 1);
        let value =
            |expr: &Arc<dyn PhysicalExpr>| ScalarValue::try_from_array(&expr.evaluate(&last)?.into_array(1)?, 0);
        Ok(Place {
            partition: self.partition_by.iter().map(value).collect::<Result<_>>()?,
            order: self.order_by.as_ref().map(|order| value(&order.expr)).transpose()?,
        })
    }

    /// Whether no window looks at these rows any more, once those up to here have gone.
    fn is_over(&self, part: &Part, here: &Place) -> bool {
        if part.end > self.gone {
            return false;
        }
        part.last.partition != here.partition
            || self.behind.iter().all(|behind| match behind {
                Behind::Rows(rows) => part.end.saturating_add(*rows) <= self.gone,
                Behind::Range(distance) => self.is_out_of(distance, &part.last, here),
                Behind::Partition => false,
            })
    }

    fn is_out_of(&self, distance: &ScalarValue, before: &Place, here: &Place) -> bool {
        let (Some(order), Some(before), Some(here)) = (&self.order_by, &before.order, &here.order) else {
            return false;
        };
        // Nulls that came first have no distance to what is no null.
        if before.is_null() || here.is_null() {
            return before.is_null() != here.is_null();
        }
        let edge = match order.options.descending {
            true => here.add(distance),
            false => here.sub(distance),
        };
        let Ok(edge) = edge else { return false };
        match before.partial_cmp(&edge) {
            Some(found) if order.options.descending => found.is_gt(),
            Some(found) => found.is_lt(),
            None => false,
        }
    }
}
