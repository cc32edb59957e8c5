//! A queue between two tasks, bounded by bytes: its writer waits while it is full.

use crate::fault::Fault;
use crate::memory::{MemoryBudget, Reservation};
use crate::parcel::Parcel;
use crate::stream::EdgeStream;
use arrow::datatypes::SchemaRef;
use futures::stream;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Semaphores count in `u32`; kibibytes keep large items countable.
const UNIT: usize = 1024;
/// Items too small to matter are bounded by their number.
const MAX_ITEMS: usize = 256;

enum Message<T> {
    Item { item: T, _held: Held },
    End(Result<(), Fault>),
}

/// What an item in the queue takes, given back when it is taken out.
struct Held {
    _space: OwnedSemaphorePermit,
    _memory: Reservation,
}

/// A queue that holds up to `limit` bytes, or one item if that is larger.
pub fn byte_queue<T: Parcel>(
    limit: usize,
    budget: &MemoryBudget,
    schema: SchemaRef,
) -> (QueueSender<T>, EdgeStream<T>) {
    let units = (limit / UNIT).max(1);
    let (sender, receiver) = mpsc::channel(MAX_ITEMS);
    let sender = QueueSender { sender, space: Arc::new(Semaphore::new(units)), units, budget: budget.clone() };
    let items = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Message::Item { item, .. }) => Some((Ok(item), Some(receiver))),
            Some(Message::End(Ok(()))) => None,
            Some(Message::End(Err(fault))) => Some((Err(fault), None)),
            None => Some((Err(Fault::upstream("the stream was cut short")), None)),
        }
    });
    (sender, EdgeStream::new(schema, items))
}

/// The writing end. Dropped without [`QueueSender::finish`], it leaves the reader with a fault, not an end.
pub struct QueueSender<T> {
    sender: mpsc::Sender<Message<T>>,
    space: Arc<Semaphore>,
    units: usize,
    budget: MemoryBudget,
}

impl<T: Parcel> QueueSender<T> {
    /// Puts an item in when there is room. Returns whether anybody will read it.
    pub async fn push(&self, item: T) -> bool {
        let bytes = item.bytes();
        let units = bytes.div_ceil(UNIT).clamp(1, self.units);
        let wanted = u32::try_from(units).unwrap_or(u32::MAX);
        let space = tokio::select! {
            space = self.space.clone().acquire_many_owned(wanted) => space,
            () = self.sender.closed() => return false,
        };
        let Ok(space) = space else { return false };
        let mut memory = self.budget.reservation();
        memory.grow(bytes);
        self.sender.send(Message::Item { item, _held: Held { _space: space, _memory: memory } }).await.is_ok()
    }

    /// Says how the stream ended.
    pub async fn finish(self, end: Result<(), Fault>) {
        // Nobody is left to hear it if the reader has gone.
        let _ = self.sender.send(Message::End(end)).await;
    }

    /// Waits until the reader has gone.
    pub async fn abandoned(&self) {
        self.sender.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;
    use futures::{FutureExt, StreamExt};

    #[tokio::test]
    async fn a_full_queue_makes_its_writer_wait() {
        let row = batch!("n" => Int64Array [1]);
        let (sender, mut stream) = byte_queue(UNIT, &MemoryBudget::default(), row.schema());
        assert!(sender.push(row.clone()).await);
        assert!(sender.push(row.clone()).now_or_never().is_none());
        assert!(stream.next().await.expect("an item").is_ok());
        assert_eq!(sender.push(row).now_or_never(), Some(true));
    }

    #[tokio::test]
    async fn a_dropped_writer_is_a_fault_and_not_an_end() {
        let row = batch!("n" => Int64Array [1]);
        let (sender, mut stream) = byte_queue(UNIT, &MemoryBudget::default(), row.schema());
        assert!(sender.push(row).await);
        drop(sender);
        assert!(stream.next().await.expect("the row").is_ok());
        assert!(stream.next().await.expect("the fault").is_err());
        assert!(stream.next().await.is_none());
    }
}
