//! All of DataFusion that is used: one hash join, its inputs, its memory, its errors.
//!
//! The functions here are plain and return finished streams: what is generic over DataFusion is compiled once.
//! One side becomes hash tables (the *build* side, which DataFusion calls left), the other (the *probe* side) streams
//! past them. Past a single table it streams on as many threads as there are cores, each taking the next batch when it
//! has done with its last one.

use crate::memory::JoinMemory;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
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
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use std::sync::{Arc, PoisonError};

/// Bytes to aim at in a batch that comes out.
const OUTPUT_BYTES: usize = 4 << 20;
/// Bytes to aim at in all batches that are being made: each table makes its own.
const ALL_OUTPUT_BYTES: usize = 16 << 20;

/// Where joins run.
#[derive(Clone)]
pub struct Engine {
    runtime: Arc<RuntimeEnv>,
    null_equality: NullEquality,
}

/// A hash join.
pub struct HashJoin {
    /// What becomes hash tables: one or several. Its memory is held already.
    pub build: Vec<BatchStream>,
    /// What streams past each of them.
    pub probe: Vec<BatchStream>,
    /// The bytes of a row that comes out, about.
    pub row_bytes: usize,
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
    pub fn new(memory: JoinMemory, null_equality: NullEquality) -> Result<Self, Fault> {
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
        let output_bytes = OUTPUT_BYTES.min(ALL_OUTPUT_BYTES / job.build.len().max(1));
        let batch_rows = (output_bytes / job.row_bytes.max(1)).clamp(1, BATCH_ROWS);
        let build = job.build.into_iter().map(OneReader::partition).collect();
        let (mode, probe, rest) = match <[BatchStream; 1]>::try_from(job.probe) {
            Ok([only]) => {
                let shared = Shared::new(only);
                let readers = (0..compute::workers()).map(|_| Arc::new(shared.clone()) as Arc<dyn PartitionStream>);
                (PartitionMode::CollectLeft, readers.collect(), shared.into_faults())
            }
            Err(several) => {
                let readers = several.into_iter().map(OneReader::partition).collect();
                (PartitionMode::Partitioned, readers, stream::empty().boxed())
            }
        };
        let join = self.plan(table(build)?, table(probe)?, mode, &job.keys, job.join_type, job.projection);
        let joined = join.and_then(|join| join.execute(0, self.task(batch_rows))).map_err(into_fault)?;
        let joined = BatchStream::new(joined.schema(), joined.map(|item| item.map_err(into_fault)));
        // Nothing more may come out and DataFusion stop reading; that the rest of the input fails must still be told.
        Ok(joined.wrap(|items| items.chain(rest)))
    }

    fn plan(
        &self,
        build: Arc<dyn ExecutionPlan>,
        probe: Arc<dyn ExecutionPlan>,
        mode: PartitionMode,
        keys: &[(usize, usize)],
        join_type: JoinType,
        projection: Vec<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let column = |schema: &SchemaRef, place: usize| -> Arc<dyn PhysicalExpr> {
            Arc::new(Column::new(schema.field(place).name(), place))
        };
        let (build_schema, probe_schema) = (build.schema(), probe.schema());
        let on = keys.iter().map(|(left, right)| (column(&build_schema, *left), column(&probe_schema, *right)));
        let join = HashJoinExecBuilder::new(build, probe, on.collect(), join_type)
            .with_projection(Some(projection))
            .with_partition_mode(mode)
            .with_null_equality(self.null_equality)
            .build_exec()?;
        Ok(Arc::new(CoalescePartitionsExec::new(join)))
    }

    fn task(&self, batch_rows: usize) -> Arc<TaskContext> {
        let config = SessionConfig::new().with_batch_size(batch_rows);
        Arc::new(TaskContext::default().with_session_config(config).with_runtime(self.runtime.clone()))
    }
}

/// Streams as the partitions of a table.
fn table(rows: Vec<Arc<dyn PartitionStream>>) -> Result<Arc<dyn ExecutionPlan>, Fault> {
    let schema = rows.first().map_or_else(|| Arc::new(Schema::empty()), |first| first.schema().clone());
    let table = StreamingTableExec::try_new(schema, rows, None, [], false, None).map_err(into_fault)?;
    Ok(Arc::new(table))
}

/// A stream with one reader, whose it is: once that has done with it, nothing keeps it, and its writer knows.
struct OneReader {
    schema: SchemaRef,
    stream: std::sync::Mutex<Option<BatchStream>>,
}

impl OneReader {
    fn partition(stream: BatchStream) -> Arc<dyn PartitionStream> {
        Arc::new(Self { schema: stream.schema(), stream: std::sync::Mutex::new(Some(stream)) })
    }
}

impl std::fmt::Debug for OneReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneReader")
    }
}

impl PartitionStream for OneReader {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let taken = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = taken.unwrap_or_else(|| {
            BatchStream::failed(self.schema.clone(), Fault::internal("a side of a join was read twice"))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream.map(|item| item.map_err(into_error))))
    }
}

fn into_error(fault: Fault) -> DataFusionError {
    DataFusionError::External(Box::new(fault))
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
    async fn next(&self) -> Option<Result<RecordBatch, Fault>> {
        let mut source = self.stream.lock().await;
        let item = source.0.as_mut()?.next().await;
        if !matches!(item, Some(Ok(_))) {
            source.0 = None;
        }
        item
    }

    /// Reads what is left, and gives the fault that it ends in.
    fn into_faults(self) -> BoxStream<'static, Result<RecordBatch, Fault>> {
        let rest = stream::unfold(self, |rows| async move { Some((rows.next().await?, rows)) });
        rest.filter_map(|item| async move { item.err().map(Err) }).boxed()
    }
}

impl PartitionStream for Shared {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = stream::unfold(self.clone(), |rows| async move {
            let item = rows.next().await?;
            Some((item.map_err(into_error), rows))
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
