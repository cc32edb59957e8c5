//! Batches cut to a size that is good to write: slivers are put together, giants are taken apart.
//!
//! Writers have a cost per batch, and a filter upstream may leave batches of a few rows; a client may send a million
//! rows at once, whose text would not fit in memory. Most batches are neither and pass without a copy.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use flight_common::{BatchStream, Fault, Parcel};
use formats::Plain;
use futures::{Stream, StreamExt};

/// A batch of fewer rows is a sliver.
const SLIVER_ROWS: usize = 2048;

/// The rows of `input` in plain types, in pieces of about `target` bytes at most.
pub fn pieces(input: BatchStream, plain: Plain, target: usize) -> impl Stream<Item = Result<RecordBatch, Fault>> {
    async_stream::try_stream! {
        let mut input = input;
        let mut slivers = Slivers::default();
        while let Some(batch) = input.next().await {
            let batch = batch?;
            let bytes = batch.bytes();
            if batch.num_rows() < SLIVER_ROWS && bytes < target {
                slivers.push(plain.apply(batch)?, bytes);
                if slivers.rows < SLIVER_ROWS && slivers.bytes < target {
                    continue;
                }
                yield slivers.take(&plain)?;
                continue;
            }
            if slivers.rows > 0 {
                yield slivers.take(&plain)?;
            }
            for part in parts(&batch, bytes, target) {
                yield part;
            }
        }
        if slivers.rows > 0 {
            yield slivers.take(&plain)?;
        }
    }
}

/// Small batches that wait for more.
#[derive(Default)]
struct Slivers {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Slivers {
    fn push(&mut self, batch: RecordBatch, bytes: usize) {
        self.rows += batch.num_rows();
        self.bytes += bytes;
        self.batches.push(batch);
    }

    fn take(&mut self, plain: &Plain) -> Result<RecordBatch, Fault> {
        let Self { batches, .. } = std::mem::take(self);
        match <[RecordBatch; 1]>::try_from(batches) {
            Ok([only]) => Ok(only),
            Err(batches) => Ok(concat_batches(plain.schema(), &batches)?),
        }
    }
}

fn parts(batch: &RecordBatch, bytes: usize, target: usize) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    let count = bytes.div_ceil(target.max(1)).clamp(1, rows.max(1));
    let each = rows.div_ceil(count).max(1);
    (0..rows).step_by(each).map(|start| batch.slice(start, each.min(rows - start))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use flight_common::testing::{make_batch, slices};
    use futures::TryStreamExt;
    use std::sync::Arc;

    async fn sizes(rows: i64, cut: usize, target: usize) -> Vec<usize> {
        let numbers = Arc::new(Int64Array::from_iter_values(0..rows));
        let whole = make_batch(vec![("n", numbers), ("s", Arc::new(StringArray::from(vec!["x"; rows as usize])))]);
        let plain = Plain::new(&whole.schema(), |_| None).expect("plain types");
        let all: Vec<RecordBatch> =
            pieces(slices(&whole, cut), plain, target).try_collect().await.expect("no step failed");
        assert_eq!(concat_batches(&whole.schema(), &all).expect("one schema"), whole);
        all.iter().map(RecordBatch::num_rows).collect()
    }

    #[tokio::test]
    async fn slivers_are_put_together_and_giants_taken_apart() {
        assert_eq!(sizes(5000, 100, 1 << 20).await, [2100, 2100, 800]);
        assert_eq!(sizes(10_000, 10_000, 1 << 20).await, [10_000]);
        assert!(sizes(10_000, 10_000, 1 << 14).await.len() > 5);
        assert!(sizes(4000, 10, 1 << 10).await.len() > 30, "slivers of wide rows do not pile up");
        assert!(sizes(0, 1, 1 << 20).await.is_empty());
    }
}
