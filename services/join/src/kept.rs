//! Rows kept in memory, to become a hash table or to be looked at first.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use flight_common::wire::row_bytes;
use flight_common::{BatchStream, MemoryBudget, Reservation};
use futures::{StreamExt, stream};

/// Rows on their way to be joined.
pub struct Rows {
    /// The rows.
    pub stream: BatchStream,
    /// How many there are, if that is known.
    pub rows: Option<usize>,
    /// Whether the key is a whole number, and most numbers in its range are there.
    pub dense: bool,
    /// The bytes of a row, about.
    pub row_bytes: usize,
}

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

    /// The rows, to be joined by the key at these places.
    pub fn into_rows(self, keys: &[usize]) -> Rows {
        let (rows, row_bytes, dense) = (Some(self.rows), self.row_bytes(), self.is_dense(keys));
        let rest = BatchStream::empty(self.schema.clone());
        Rows { stream: self.chain(rest), rows, dense, row_bytes }
    }

    /// Whether the key at these places is a whole number, and of the numbers in its range about one in six is there.
    /// The engine then looks it up in an array, which nothing can better.
    pub fn is_dense(&self, keys: &[usize]) -> bool {
        let [key] = keys else { return false };
        if !self.schema.field(*key).data_type().is_integer() {
            return false;
        }
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for batch in &self.batches {
            let Ok(numbers) = cast(batch.column(*key), &DataType::Int64) else { return false };
            let numbers = numbers.as_primitive::<Int64Type>();
            least = least.min(min(numbers).unwrap_or(i64::MAX));
            most = most.max(max(numbers).unwrap_or(i64::MIN));
        }
        most.checked_sub(least).and_then(|range| usize::try_from(range).ok()).is_some_and(|range| range / 6 < self.rows)
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
