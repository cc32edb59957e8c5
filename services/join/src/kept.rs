//! Rows kept in memory, to become a hash table or to be looked at first.

use crate::engine::Rows;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flight_common::wire::row_bytes;
use flight_common::{BatchStream, MemoryBudget, Reservation};
use futures::{StreamExt, stream};

/// Batches kept in memory. Whoever adds to them bounds them.
pub struct Kept {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The rows in all.
    pub rows: usize,
    /// The bytes in all.
    pub bytes: usize,
    memory: Option<Reservation>,
}

impl Kept {
    /// No rows yet.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, batches: Vec::new(), rows: 0, bytes: 0, memory: None }
    }

    /// Adds a batch.
    pub fn push(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.bytes += row_bytes(&batch);
        self.batches.push(batch);
    }

    /// Takes memory for a batch from this budget until the rows are gone. Returns whether there was any.
    pub fn book(&mut self, batch: &RecordBatch, budget: &MemoryBudget) -> bool {
        self.memory.get_or_insert_with(|| budget.reservation()).try_grow(row_bytes(batch))
    }

    /// The bytes of a row, about.
    pub fn row_bytes(&self) -> usize {
        self.bytes / self.rows.max(1)
    }

    /// The rows, to be joined.
    pub fn into_rows(self) -> Rows {
        let row_bytes = self.row_bytes();
        let rest = BatchStream::empty(self.schema.clone());
        Rows { stream: self.chain(rest), row_bytes }
    }

    /// These rows, then those.
    pub fn chain(self, rest: BatchStream) -> BatchStream {
        let Self { schema, batches, memory, .. } = self;
        let kept = batches.into_iter().map(move |batch| {
            let _until_the_last = &memory;
            Ok(batch)
        });
        BatchStream::new(schema, stream::iter(kept).chain(rest))
    }
}
