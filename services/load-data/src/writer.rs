//! How any format is written: pieces are made ready on all cores, and appended in order by one.

use crate::pieces::pieces;
use crate::sink::Sink;
use arrow::array::RecordBatch;
use flight_common::{BatchStream, Fault, StepContext};
use formats::Plain;
use futures::StreamExt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

/// A file format under way.
pub trait Writer: Send {
    /// A batch made ready: printed, say.
    type Piece: Send + 'static;

    /// What makes a batch ready. Called on many threads at once.
    fn prepare(&self) -> impl Fn(RecordBatch) -> Result<Self::Piece, Fault> + Clone + Send + Sync + 'static;

    /// Writes the next piece.
    ///
    /// # Errors
    /// Why it could not be written.
    fn append(&mut self, piece: Self::Piece) -> Result<(), Fault>;

    /// Writes what comes at the end.
    ///
    /// # Errors
    /// Why it could not be written.
    fn finish(self) -> Result<Sink, Fault>;
}

/// Writes all rows of `input`, in pieces of about `target` bytes, and tells how many there were.
///
/// # Errors
/// The stream's fault, or why a row could not be written. Then the file is gone.
pub async fn write<W: Writer>(
    mut writer: W,
    input: BatchStream,
    plain: Plain,
    target: usize,
    context: &StepContext,
) -> Result<(Sink, u64), Fault> {
    let prepare = writer.prepare();
    let ready = context.map_parallel(pieces(input, plain, target), move |batch: RecordBatch| {
        let rows = batch.num_rows() as u64;
        prepare(batch).map(|piece| (rows, piece))
    });
    let mut ready = pin!(ready);
    let mut rows = 0;
    while let Some(next) = ready.next().await {
        let (more, piece) = next?;
        rows += more;
        writer.append(piece)?;
    }
    Ok((writer.finish()?, rows))
}

/// Memory of texts that have been written, for the next ones. Fresh memory costs a page fault for every 4 KiB.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<Vec<u8>>>>);

impl Memory {
    /// Some memory: what is in it means nothing.
    pub fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Memory that is done with.
    pub fn give(&self, text: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}
