//! Rows cut to what a query's memory bears.

use arrow::array::RecordBatch;
use flight_common::wire::{apart, split};
use flight_common::{BatchStream, Fault};
use futures::{StreamExt, stream};

/// Parts of an input batch larger than this part of the memory are cut.
const BATCH_SHARE: usize = 64;
const MOST_BATCH_BYTES: usize = 4 << 20;
const LEAST_BATCH_BYTES: usize = 1 << 10;

/// Batches that are small beside the memory, each of which holds its own rows alone.
pub fn shaped(input: BatchStream, memory: usize) -> BatchStream {
    let target = (memory / BATCH_SHARE).clamp(LEAST_BATCH_BYTES, MOST_BATCH_BYTES);
    let schema = input.schema();
    let parts = input.map(move |batch| {
        let parts =
            batch.map(|batch| split(batch, target).into_iter().filter(|part| part.num_rows() > 0).map(own_rows));
        match parts {
            Ok(parts) => parts.collect(),
            Err(fault) => vec![Err(fault)],
        }
    });
    BatchStream::new(schema, parts.flat_map(stream::iter))
}

/// DataFusion counts the whole buffer for each column that has a part of it.
fn own_rows(batch: RecordBatch) -> Result<RecordBatch, Fault> {
    let counted = batch.get_array_memory_size();
    apart(batch, counted)
}
