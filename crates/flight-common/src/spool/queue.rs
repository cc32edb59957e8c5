//! A queue without a bound that blocks: what memory cannot hold waits on disk.
//!
//! The writer may still ask how much waits in it ([`SpillSender::waiting_bytes`]) and hold back by itself, as a tee
//! does while none of its readers is hungry.

use super::SpillSpace;
use super::shelf::{Kept, Shelf};
use crate::fault::Fault;
use crate::parcel::Parcel;
use crate::stream::EdgeStream;
use arrow::datatypes::SchemaRef;
use futures::stream;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes that wait once the reader lags: what comes after them stays for longer.
const LAGS: usize = 4 << 20;

struct Shared<T> {
    shelf: Shelf<T>,
    state: Mutex<State<T>>,
    arrived: Notify,
    taken: Notify,
}

struct State<T> {
    waiting: VecDeque<(Kept<T>, usize)>,
    waiting_bytes: usize,
    end: Option<Result<(), Fault>>,
    abandoned: bool,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue that is read while it is written.
pub fn spill_queue<T: Parcel>(space: &SpillSpace, schema: SchemaRef) -> (SpillSender<T>, SpillReceiver<T>) {
    let state = State { waiting: VecDeque::new(), waiting_bytes: 0, end: None, abandoned: false };
    let shared = Arc::new(Shared {
        shelf: Shelf::new(space.clone(), schema),
        state: Mutex::new(state),
        arrived: Notify::new(),
        taken: Notify::new(),
    });
    (SpillSender(shared.clone()), SpillReceiver(shared))
}

/// The writing end. Dropped without [`SpillSender::finish`], it leaves the reader with a fault, not an end.
pub struct SpillSender<T: Parcel>(Arc<Shared<T>>);

impl<T: Parcel> SpillSender<T> {
    /// Puts an item in, on disk if it must be. May write to disk: call it on the compute pool.
    ///
    /// Returns whether anybody will read it.
    ///
    /// # Errors
    /// [`crate::FaultKind::Busy`] when neither memory nor disk can take it.
    pub fn push(&self, item: T) -> Result<bool, Fault> {
        let lags = match self.waiting_bytes() {
            Some(waiting) => waiting > LAGS,
            None => return Ok(false),
        };
        let bytes = item.bytes();
        let kept = self.0.shelf.put(item, lags)?;
        let mut state = self.0.state();
        state.waiting.push_back((kept, bytes));
        state.waiting_bytes += bytes;
        drop(state);
        self.0.arrived.notify_one();
        Ok(true)
    }

    /// Says how the stream ended.
    pub fn finish(self, end: Result<(), Fault>) {
        self.0.state().end.get_or_insert(end);
    }

    /// Bytes put in and not yet read; nothing once the reader is gone.
    pub fn waiting_bytes(&self) -> Option<usize> {
        let state = self.0.state();
        (!state.abandoned).then_some(state.waiting_bytes)
    }

    /// Waits until the reader has taken something, or has gone, since the last call.
    pub async fn taken(&self) {
        self.0.taken.notified().await;
    }
}

impl<T: Parcel> Drop for SpillSender<T> {
    fn drop(&mut self) {
        let cut = || Err(Fault::upstream("the stream was cut short"));
        self.0.state().end.get_or_insert_with(cut);
        self.0.arrived.notify_one();
    }
}

/// The reading end.
pub struct SpillReceiver<T: Parcel>(Arc<Shared<T>>);

impl<T: Parcel> SpillReceiver<T> {
    /// The next item, or how the stream ended. May read from disk: poll it on the compute pool.
    pub async fn next(&mut self) -> Option<Result<T, Fault>> {
        loop {
            let arrived = self.0.arrived.notified();
            {
                let mut state = self.0.state();
                if let Some((kept, bytes)) = state.waiting.pop_front() {
                    state.waiting_bytes -= bytes;
                    drop(state);
                    self.0.taken.notify_one();
                    return Some(self.0.shelf.take(kept));
                }
                match &mut state.end {
                    Some(Ok(())) => return None,
                    // Told once; after it the stream is over.
                    Some(end @ Err(_)) => return std::mem::replace(end, Ok(())).err().map(Err),
                    None => {}
                }
            }
            arrived.await;
        }
    }

    /// Itself as a stream of this schema.
    pub fn into_stream(self) -> EdgeStream<T> {
        let schema = self.0.shelf.schema();
        let items = stream::unfold(self, |mut queue| async move { queue.next().await.map(|item| (item, queue)) });
        EdgeStream::new(schema, items)
    }
}

impl<T: Parcel> Drop for SpillReceiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.abandoned = true;
        state.waiting.clear();
        drop(state);
        self.0.taken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;
    use crate::testing::batch;
    use crate::wire::held_bytes;
    use arrow::array::RecordBatch;
    use arrow::compute::concat_batches;
    use futures::TryStreamExt;

    fn row(n: i64) -> RecordBatch {
        batch!("n" => Int64Array [n])
    }

    fn queue(memory: usize) -> (SpillSender<RecordBatch>, SpillReceiver<RecordBatch>) {
        let space = SpillSpace::new(MemoryBudget::new(memory), std::env::temp_dir(), u64::MAX);
        spill_queue(&space, row(0).schema())
    }

    #[tokio::test]
    async fn order_is_kept_across_memory_and_disk() {
        let (sender, receiver) = queue(40);
        for n in 0..50 {
            assert!(sender.push(row(n)).expect("there is disk"));
        }
        sender.finish(Ok(()));
        let read: Vec<RecordBatch> = receiver.into_stream().try_collect().await.expect("a normal end");
        assert_eq!(read, (0..50).map(row).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_disk_holds_what_waits_and_not_what_went_by() {
        let space = SpillSpace::new(MemoryBudget::new(0), std::env::temp_dir(), 16 << 20);
        let numbers: Vec<i64> = (0..100_000).collect();
        let (sender, mut receiver) = spill_queue(&space, row(0).schema());
        let batch = batch!("n" => Int64Array numbers);
        sender.push(batch.clone()).expect("there is disk");
        for _ in 0..60 {
            sender.push(batch.clone()).expect("there is disk again");
            assert_eq!(receiver.next().await.expect("a batch").expect("readable"), batch);
        }
        assert_eq!(receiver.next().await.expect("the last").expect("readable"), batch);
        assert_eq!(space.disk_used(), 0);
    }

    #[tokio::test]
    async fn what_waits_for_long_holds_no_more_than_its_rows() {
        let (sender, receiver) = queue(64 << 20);
        let numbers: Vec<i64> = (0..1_000_000).collect();
        let whole = batch!("n" => Int64Array numbers);
        for place in 0..10 {
            sender.push(whole.slice(place * 100_000, 100_000)).expect("there is memory");
        }
        sender.finish(Ok(()));
        let read: Vec<RecordBatch> = receiver.into_stream().try_collect().await.expect("a normal end");
        assert_eq!(concat_batches(&whole.schema(), &read).expect("one schema"), whole);
        assert!(read.iter().skip(6).all(|part| held_bytes(part) < 1 << 20));
    }

    #[tokio::test]
    async fn a_writer_that_vanishes_is_a_fault_and_not_an_end() {
        let (sender, mut receiver) = queue(1000);
        sender.push(row(1)).expect("there is memory");
        drop(sender);
        assert!(receiver.next().await.expect("the row").is_ok());
        assert!(receiver.next().await.expect("the fault").is_err());
        assert!(receiver.next().await.is_none());
    }

    #[tokio::test]
    async fn a_reader_that_vanishes_is_told_to_the_writer() {
        let (sender, receiver) = queue(1000);
        drop(receiver);
        assert_eq!(sender.push(row(1)), Ok(false));
        assert_eq!(sender.waiting_bytes(), None);
    }
}
