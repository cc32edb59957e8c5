//! What can be kept: an item of a stream that knows its size and can go to disk and come back.

use crate::fault::Fault;
use crate::stream::EdgeStream;
use crate::wire::{Decoder, Encoder, Frame, FrameStream, decode_alone, decode_stream};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

/// An item of an [`crate::EdgeStream`] that queues count, spools keep and tees copy.
pub trait Parcel: Clone + Send + Sync + 'static {
    /// The bytes its rows take.
    fn bytes(&self) -> usize;

    /// Its rows: 0 for a message that holds none.
    fn rows(&self) -> u64;

    /// Itself, to be kept: holding little more memory than its rows take.
    ///
    /// # Errors
    /// [`crate::FaultKind::Internal`] if it cannot be copied.
    fn apart(self) -> Result<Self, Fault>;

    /// Itself as IPC messages, complete without any that came before.
    ///
    /// # Errors
    /// [`crate::FaultKind::Internal`] if it cannot be written as Arrow IPC.
    fn to_frames(&self) -> Result<Vec<Frame>, Fault>;

    /// Itself from the messages that [`Parcel::to_frames`] gave.
    ///
    /// # Errors
    /// [`crate::FaultKind::Internal`] if they are not those messages.
    fn from_frames(frames: Vec<Frame>, schema: &SchemaRef) -> Result<Self, Fault>;

    /// The items of a stream of messages, which begins with its schema.
    fn from_stream(frames: FrameStream) -> EdgeStream<Self>;
}

impl Parcel for RecordBatch {
    fn bytes(&self) -> usize {
        crate::wire::row_bytes(self)
    }

    fn rows(&self) -> u64 {
        self.num_rows() as u64
    }

    fn apart(self) -> Result<Self, Fault> {
        let held = crate::wire::held_bytes(&self);
        crate::wire::apart(self, held)
    }

    fn to_frames(&self) -> Result<Vec<Frame>, Fault> {
        let mut frames = Vec::new();
        Encoder::new(self.schema())?.encode(self, &mut frames)?;
        Ok(frames)
    }

    fn from_frames(frames: Vec<Frame>, schema: &SchemaRef) -> Result<Self, Fault> {
        decode_alone(frames, schema)
    }

    fn from_stream(frames: FrameStream) -> EdgeStream<Self> {
        decode_stream(Decoder::new(frames.schema()), frames)
    }
}
