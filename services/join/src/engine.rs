//! All of DataFusion that is used: one hash join, its inputs, its memory, its errors.
//!
//! The functions here are plain and return finished streams: what is generic over DataFusion is compiled once.
//! One side becomes a hash table (the *build* side, which DataFusion calls left), the other (the *probe* side) streams
//! past it on as many threads as there are cores, each taking the next batch when it has done with its last one.

use crate::memory::WorkingMemory;
use arrow::datatypes::SchemaRef;
use datafusion_common::{DataFusionError, JoinType, NullEquality};
use datafusion_execution::config::SessionConfig;
use datafusion_execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion_execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion_physical_plan::joins::{HashJoinExecBuilder, PartitionMode};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::streaming::{PartitionStream, StreamingTableExec};
use flight_common::{BATCH_ROWS, BatchStream, Fault, compute};
use futures::lock::Mutex;
use futures::{StreamExt, stream};
use std::sync::Arc;

/// Bytes to aim at in a batch that comes out.
const OUTPUT_BYTES: usize = 4 << 20;

/// Where joins run.
#[derive(Clone)]
pub struct Engine {
    runtime: Arc<RuntimeEnv>,
    null_equality: NullEquality,
}

/// Rows to join, and the bytes that one of them takes.
pub struct Rows {
    /// The rows.
    pub stream: BatchStream,
    /// The bytes of a row, about.
    pub row_bytes: usize,
}

/// A hash join.
pub struct HashJoin {
    /// The side that becomes a hash table. Its memory is held already.
    pub build: Rows,
    /// The side that streams past it.
    pub probe: Rows,
    /// The places of the keys on the build and on the probe side.
    pub keys: Vec<(usize, usize)>,
    /// Which rows come out; the build side is the left one.
    pub join_type: JoinType,
    /// The columns that come out, of those that this type of join has: first build, then probe.
    pub projection: Vec<usize>,
}

impl Engine {
    /// An engine that draws on this memory.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if DataFusion cannot be set up.
    pub fn new(memory: WorkingMemory, null_equality: NullEquality) -> Result<Self, Fault> {
        // What does not fit is partitioned to spools before it comes here, so that nothing here goes to disk.
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(memory)).with_disk_manager_builder(disk);
        Ok(Self { runtime: runtime.build_arc().map_err(into_fault)?, null_equality })
    }

    /// Joins. Both sides are read to their end or their fault, whatever comes out.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] for a join that cannot be.
    pub fn join(&self, job: HashJoin) -> Result<BatchStream, Fault> {
        let batch_rows = (OUTPUT_BYTES / (job.build.row_bytes + job.probe.row_bytes).max(1)).clamp(1, BATCH_ROWS);
        let probe = Shared::new(job.probe.stream);
        let joined = self
            .plan(Shared::new(job.build.stream), probe.clone(), &job.keys, job.join_type, job.projection)
            .and_then(|plan| plan.execute(0, self.task(batch_rows)))
            .map_err(into_fault)?;
        let schema = joined.schema();
        // Nothing more may come out and DataFusion stop reading; that the rest of the input fails must still be told.
        let rest = stream::unfold(probe, |probe| async move { Some((probe.next().await?, probe)) })
            .filter_map(|item| async move { item.err().map(Err) });
        Ok(BatchStream::new(schema, joined.map(|item| item.map_err(into_fault)).chain(rest)))
    }

    fn plan(
        &self,
        build: Shared,
        probe: Shared,
        keys: &[(usize, usize)],
        join_type: JoinType,
        projection: Vec<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let column = |schema: &SchemaRef, place: usize| -> Arc<dyn PhysicalExpr> {
            Arc::new(Column::new(schema.field(place).name(), place))
        };
        let on =
            keys.iter().map(|(left, right)| (column(&build.schema, *left), column(&probe.schema, *right))).collect();
        let join = HashJoinExecBuilder::new(table(build, 1)?, table(probe, compute::workers())?, on, join_type)
            .with_projection(Some(projection))
            .with_partition_mode(PartitionMode::CollectLeft)
            .with_null_equality(self.null_equality)
            .build_exec()?;
        Ok(Arc::new(CoalescePartitionsExec::new(join)))
    }

    fn task(&self, batch_rows: usize) -> Arc<TaskContext> {
        let config = SessionConfig::new().with_batch_size(batch_rows);
        Arc::new(TaskContext::default().with_session_config(config).with_runtime(self.runtime.clone()))
    }
}

/// A stream as a table with so many partitions, all reading from it.
fn table(rows: Shared, partitions: usize) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let schema = rows.schema.clone();
    let partitions = (0..partitions).map(|_| Arc::new(rows.clone()) as Arc<dyn PartitionStream>).collect();
    Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, [], false, None)?))
}

/// A stream with several readers: each batch goes to the one that asks first.
#[derive(Clone, Debug)]
struct Shared {
    schema: SchemaRef,
    stream: Arc<Mutex<Source>>,
}

struct Source(Option<BatchStream>);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl Shared {
    fn new(stream: BatchStream) -> Self {
        Self { schema: stream.schema(), stream: Arc::new(Mutex::new(Source(Some(stream)))) }
    }

    /// The next batch; nothing for all readers after the end or the first fault.
    async fn next(&self) -> Option<Result<arrow::array::RecordBatch, Fault>> {
        let mut source = self.stream.lock().await;
        let item = source.0.as_mut()?.next().await;
        if !matches!(item, Some(Ok(_))) {
            source.0 = None;
        }
        item
    }
}

impl PartitionStream for Shared {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = stream::unfold(self.clone(), |rows| async move {
            let item = rows.next().await?;
            Some((item.map_err(|fault| DataFusionError::External(Box::new(fault))), rows))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

/// A fault that passed through DataFusion is the fault that it was.
fn into_fault(error: DataFusionError) -> Fault {
    if let Some(fault) = find_fault(&error) {
        return fault;
    }
    match error {
        DataFusionError::ArrowError(error, _) => (*error).into(),
        DataFusionError::ResourcesExhausted(what) => {
            Fault::busy(format!("not enough memory to join: {what}")).help("raise the memory limit")
        }
        other => Fault::internal(other),
    }
}

fn find_fault(error: &DataFusionError) -> Option<Fault> {
    match error {
        DataFusionError::External(source) => source.downcast_ref::<Fault>().cloned(),
        DataFusionError::Shared(inner) => find_fault(inner),
        DataFusionError::Context(_, inner) => find_fault(inner),
        _ => None,
    }
}
