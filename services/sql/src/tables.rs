//! An input as a table of DataFusion.
//!
//! A query is planned once, over tables that know nothing but their columns. Before it runs each is filled with its rows:
//!
//! - *live*: the stream of the input, read once, each batch by the reader that asks first;
//! - *small*: all rows in memory, with their exact number, so that a join builds its hash table from them;
//! - *kept*: all rows in a spool, for a table that the query reads more than once.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use flight_common::{BatchStream, Fault, Reservation, Spool, compute};
use futures::lock::Mutex as AsyncMutex;
use futures::{StreamExt, stream};
use queries::into_error;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An input, as a table of its name.
pub struct InputTable {
    /// What it is called.
    pub name: String,
    schema: SchemaRef,
    rows: Mutex<Rows>,
}

/// The rows of a table.
#[derive(Clone)]
pub enum Rows {
    /// None yet: the query is only planned, or does not need them.
    None,
    /// The stream of the input.
    Live(Live),
    /// All of them in memory.
    Small(Arc<Small>),
    /// All of them in a spool.
    Kept(Arc<Spool<RecordBatch>>),
}

/// All rows of a small table, and the memory that they take.
pub struct Small {
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// What is reserved for them.
    pub _memory: Reservation,
}

impl InputTable {
    /// A table of these columns, without rows.
    pub fn new(name: &str, schema: &SchemaRef) -> Self {
        Self { name: name.to_owned(), schema: schema.clone(), rows: Mutex::new(Rows::None) }
    }

    /// Its columns.
    pub fn columns(&self) -> &SchemaRef {
        &self.schema
    }

    /// Fills it.
    pub fn fill(&self, rows: Rows) {
        *self.rows() = rows;
    }

    /// Whether all of its rows are in memory.
    pub fn is_small(&self) -> bool {
        matches!(*self.rows(), Rows::Small(_))
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for InputTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputTable({})", self.name)
    }
}

#[async_trait]
impl TableProvider for InputTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows().clone();
        let partitions: Vec<Arc<dyn PartitionStream>> = match rows {
            Rows::None => {
                let schema = projected(&self.schema, projection)?;
                return Ok(Arc::new(EmptyExec::new(schema).with_partitions(compute::workers())));
            }
            Rows::Small(small) => {
                let partitions = dealt(&small.batches);
                return Ok(MemorySourceConfig::try_new_exec(&partitions, self.schema.clone(), projection.cloned())?);
            }
            Rows::Live(live) => (0..compute::workers()).map(|_| Arc::new(live.clone()) as _).collect(),
            Rows::Kept(spool) => {
                let reader = KeptReader { schema: self.schema.clone(), spool, next: Arc::default() };
                (0..compute::workers()).map(|_| Arc::new(reader.clone()) as _).collect()
            }
        };
        let exec = StreamingTableExec::try_new(self.schema.clone(), partitions, projection, [], false, None)?;
        Ok(Arc::new(exec))
    }
}

fn projected(schema: &SchemaRef, projection: Option<&Vec<usize>>) -> Result<SchemaRef> {
    Ok(match projection {
        Some(places) => Arc::new(Schema::project(schema, places)?),
        None => schema.clone(),
    })
}

/// Batches dealt out to as many readers as there are cores.
fn dealt(batches: &[RecordBatch]) -> Vec<Vec<RecordBatch>> {
    let mut partitions = vec![Vec::new(); compute::workers()];
    for (number, batch) in batches.iter().enumerate() {
        let place = number % partitions.len();
        partitions[place].push(batch.clone());
    }
    partitions
}

/// The stream of an input, with several readers: each batch goes to the one that asks first.
#[derive(Clone)]
pub struct Live {
    schema: SchemaRef,
    source: Arc<AsyncMutex<Source>>,
}

struct Source {
    stream: Option<BatchStream>,
    fault: Option<Fault>,
}

impl Live {
    /// All rows of a stream.
    pub fn new(stream: BatchStream) -> Self {
        let schema = stream.schema();
        Self { schema, source: Arc::new(AsyncMutex::new(Source { stream: Some(stream), fault: None })) }
    }

    /// The next batch; nothing for all readers after the end or the first fault.
    async fn next(&self) -> Option<Result<RecordBatch, Fault>> {
        let mut source = self.source.lock().await;
        let item = source.stream.as_mut()?.next().await;
        if !matches!(item, Some(Ok(_))) {
            source.stream = None;
        }
        if let Some(Err(fault)) = &item {
            source.fault = Some(fault.clone());
        }
        item
    }

    /// Reads what nobody has read, and gives the fault that the stream ended in, whoever saw it.
    ///
    /// # Errors
    /// That fault.
    pub async fn finish(self) -> Result<(), Fault> {
        while let Some(item) = self.next().await {
            item?;
        }
        self.source.lock().await.fault.clone().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl PartitionStream for Live {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = stream::unfold(self.clone(), |rows| async move {
            let item = rows.next().await?;
            Some((item.map_err(into_error), rows))
        });
        queries::cut(batches, self.schema.clone(), &task)
    }
}

/// The rows of a spool, with several readers, each of which takes the next item.
#[derive(Clone)]
struct KeptReader {
    schema: SchemaRef,
    spool: Arc<Spool<RecordBatch>>,
    next: Arc<AtomicUsize>,
}

impl fmt::Debug for KeptReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptReader")
    }
}

impl PartitionStream for KeptReader {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (spool, next) = (self.spool.clone(), self.next.clone());
        let batches = std::iter::from_fn(move || {
            let place = next.fetch_add(1, Ordering::Relaxed);
            (place < spool.len()).then(|| spool.get(place).map_err(into_error))
        });
        queries::cut(stream::iter(batches), self.schema.clone(), &task)
    }
}
