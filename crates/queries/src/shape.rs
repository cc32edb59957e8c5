//! Rows cut to what a query's memory bears.

use crate::faults::into_error;
use crate::nans::of_one_nan;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use flight_common::wire::{apart, split};
use flight_common::{BatchStream, Fault};
use futures::{Stream, StreamExt, stream};

/// Parts of an input batch larger than this part of the memory are cut.
const BATCH_SHARE: usize = 64;
const MOST_BATCH_BYTES: usize = 4 << 20;
const LEAST_BATCH_BYTES: usize = 1 << 10;

/// Fewer rows are not worth a batch of their own.
const FEWEST: usize = 64;

/// Batches that are small beside the memory, each of which holds its own rows alone, with one NaN for all.
pub fn shaped(input: BatchStream, memory: usize) -> BatchStream {
    let target = (memory / BATCH_SHARE).clamp(LEAST_BATCH_BYTES, MOST_BATCH_BYTES);
    let schema = input.schema();
    let parts = input.map(move |batch| {
        let parts =
            batch.map(|batch| split(batch, target).into_iter().filter(|part| part.num_rows() > 0).map(own_rows));
        let plain = |part: std::result::Result<_, Fault>| of_one_nan(part?).map_err(Fault::internal);
        match parts {
            Ok(parts) => parts.map(plain).collect(),
            Err(fault) => vec![Err(fault)],
        }
    });
    BatchStream::new(schema, parts.flat_map(stream::iter))
}

/// The rows of a table in batches of as many rows as the query works on at a time: DataFusion cuts those of some tables alone.
pub fn cut(
    batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    schema: SchemaRef,
    task: &TaskContext,
) -> SendableRecordBatchStream {
    let rows = task.session_config().batch_size().max(FEWEST);
    let parts = batches.flat_map(move |batch| {
        let parts = match batch {
            Ok(batch) if batch.num_rows() > 2 * rows => (0..batch.num_rows())
                .step_by(rows)
                .map(|start| own_rows(batch.slice(start, rows.min(batch.num_rows() - start))).map_err(into_error))
                .collect(),
            whole => vec![whole],
        };
        stream::iter(parts)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, parts))
}

/// DataFusion counts the whole buffer for each column that has a part of it.
fn own_rows(batch: RecordBatch) -> std::result::Result<RecordBatch, Fault> {
    let counted = batch.get_array_memory_size();
    apart(batch, counted)
}
