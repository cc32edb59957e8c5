//! The stream between steps: a schema, and items that end well or with a [`Fault`].
//!
//! `None` is the normal end and nothing else is: a peer that vanished, a cancelled run and a failed step upstream all
//! arrive as an `Err`. A load commits on `None` alone. Items are record batches inside a process ([`BatchStream`]) and
//! undecoded Flight frames between processes ([`crate::wire::FrameStream`]).
//!
//! Rows keep their order. How rows are cut into batches means nothing: no result may depend on it.

use crate::fault::Fault;
use arrow::array::RecordBatch;
use arrow::compute::{BatchCoalescer, concat_batches};
use arrow::datatypes::SchemaRef;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_util::sync::CancellationToken;

/// Rows to aim at in a batch that a step makes.
pub const BATCH_ROWS: usize = 32 * 1024;

/// Cells of a batch whose input does not hold them all: a field that a record lacks takes no room there.
const BATCH_CELLS: usize = 1 << 20;

/// Rows to aim at in a batch of so many columns, of which records may lack most.
pub fn sparse_rows(columns: usize) -> usize {
    (BATCH_CELLS / columns.max(1)).clamp(1, BATCH_ROWS)
}

/// A stream of `T` on an edge of the graph, with the schema of the rows in it.
pub struct EdgeStream<T> {
    schema: SchemaRef,
    items: BoxStream<'static, Result<T, Fault>>,
}

/// A stream of record batches, all of one schema.
pub type BatchStream = EdgeStream<RecordBatch>;

impl<T: Send + 'static> EdgeStream<T> {
    /// A stream of these items. After the first `Err` it is not polled again.
    pub fn new(schema: SchemaRef, items: impl Stream<Item = Result<T, Fault>> + Send + 'static) -> Self {
        Self { schema, items: items.boxed() }
    }

    /// A stream that fails at once.
    pub fn failed(schema: SchemaRef, fault: Fault) -> Self {
        Self::new(schema, stream::once(async { Err(fault) }))
    }

    /// The schema of its rows.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The same rows seen through another stream: `wrap` gets the items and returns them, watched or changed.
    pub fn wrap<S>(self, wrap: impl FnOnce(BoxStream<'static, Result<T, Fault>>) -> S) -> Self
    where
        S: Stream<Item = Result<T, Fault>> + Send + 'static,
    {
        Self { schema: self.schema, items: wrap(self.items).boxed() }
    }
}

impl<T> Stream for EdgeStream<T> {
    type Item = Result<T, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(cx)
    }
}

impl BatchStream {
    /// A stream of no rows.
    pub fn empty(schema: SchemaRef) -> Self {
        Self::new(schema, stream::empty())
    }

    /// A stream of these batches.
    pub fn from_batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self::new(schema, stream::iter(batches.into_iter().map(Ok)))
    }

    /// A stream of what `work` computes once: a receipt.
    pub fn once(schema: SchemaRef, work: impl Future<Output = Result<RecordBatch, Fault>> + Send + 'static) -> Self {
        Self::new(schema, stream::once(work))
    }

    /// Lifts a pure function over batches to the stream. Batches that come out empty are left out.
    pub fn map_batches(
        self,
        schema: SchemaRef,
        mut apply: impl FnMut(RecordBatch) -> Result<RecordBatch, Fault> + Send + 'static,
    ) -> Self {
        let items = self
            .map(move |batch| batch.and_then(&mut apply))
            .try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        Self::new(schema, items)
    }

    /// Cuts the rows anew, so that batches hold `rows` rows each (the last one fewer): what to do before work whose
    /// cost is per batch, such as writing, since a filter upstream may leave slivers.
    pub fn coalesced(self, rows: usize) -> Self {
        let schema = self.schema();
        let mut source = self;
        let mut coalescer = BatchCoalescer::new(schema.clone(), rows);
        let items = async_stream::try_stream! {
            while let Some(batch) = source.next().await {
                coalescer.push_batch(batch?)?;
                while let Some(full) = coalescer.next_completed_batch() {
                    yield full;
                }
            }
            coalescer.finish_buffered_batch()?;
            while let Some(rest) = coalescer.next_completed_batch() {
                yield rest;
            }
        };
        Self::new(schema, items)
    }

    /// All rows as one batch. For receipts, examples and tests: a step never does this to its input.
    ///
    /// # Errors
    /// The stream's fault.
    pub async fn collect_rows(self) -> Result<RecordBatch, Fault> {
        let schema = self.schema();
        let batches: Vec<RecordBatch> = self.try_collect().await?;
        Ok(concat_batches(&schema, &batches)?)
    }
}

/// The items up to the first that is an error, cut off with an error once nobody wants them: from when `closed` is
/// cancelled.
pub fn until_closed<T, E>(
    mut items: impl Stream<Item = Result<T, E>> + Unpin,
    closed: CancellationToken,
    error: impl Fn() -> E,
) -> impl Stream<Item = Result<T, E>> {
    async_stream::stream! {
        loop {
            let next = tokio::select! {
                biased;
                () = closed.cancelled() => Some(Err(error())),
                next = items.next() => next,
            };
            let Some(next) = next else { break };
            let last = next.is_err();
            yield next;
            if last {
                break;
            }
        }
    }
}
