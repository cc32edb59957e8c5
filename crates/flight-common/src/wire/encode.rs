//! Record batches to Arrow IPC messages, the buffers of a batch going out as they are.

use super::frame::{Frame, not_ipc};
use super::{MESSAGE_BYTES, held_bytes, outward, outward_schema, split};
use crate::fault::Fault;
use crate::spool::OwnedBuffer;
use crate::stream::BatchStream;
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow_ipc::root_as_message;
use arrow_ipc::writer::StreamEncoder;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use std::collections::VecDeque;

/// Encodes the batches of one stream.
pub struct Encoder {
    encoder: StreamEncoder,
    schema_sent: bool,
}

impl Encoder {
    /// An encoder for batches of this schema.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadSchema`] for a type that Arrow IPC cannot hold.
    pub fn new(schema: SchemaRef) -> Result<Self, Fault> {
        Ok(Self { encoder: stream_encoder(&schema)?, schema_sent: false })
    }

    /// The message that tells the schema: the first of a stream, also of one without rows.
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn schema_frame(schema: &SchemaRef) -> Result<Frame, Fault> {
        let buffers = stream_encoder(schema)?.finish()?;
        messages(buffers)?.into_iter().next().ok_or_else(|| Fault::internal("no schema message"))
    }

    /// Appends the messages of a batch: new dictionaries, if it has any, then its rows.
    ///
    /// # Errors
    /// [`crate::FaultKind::Internal`] for a batch of another schema.
    pub fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let buffers = self.encoder.encode(batch)?;
        let mut frames = messages(buffers)?;
        if !self.schema_sent {
            // The underlying encoder begins with the schema; the caller has sent it, or has no use for it.
            frames.remove(0);
            self.schema_sent = true;
        }
        out.append(&mut frames);
        Ok(())
    }
}

fn stream_encoder(schema: &SchemaRef) -> Result<StreamEncoder, Fault> {
    StreamEncoder::try_new(schema).map_err(|error| Fault::bad_schema(error.to_string()))
}

/// The frames of a stream: its schema, then its batches, cut to messages of a good size. With `foreign`, types that
/// some clients cannot read are replaced by plain ones.
pub fn encode_stream(
    mut batches: BatchStream,
    foreign: bool,
) -> impl Stream<Item = Result<Frame, Fault>> + Send + 'static {
    async_stream::try_stream! {
        let schema = batches.schema();
        let schema = if foreign { outward_schema(&schema) } else { schema };
        yield Encoder::schema_frame(&schema)?;
        let mut encoder = Encoder::new(schema.clone())?;
        let mut frames = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let batch = if foreign { outward(&batch, &schema)? } else { batch };
            let held = held_bytes(&batch);
            for part in split(batch, MESSAGE_BYTES) {
                encoder.encode(&part, &mut frames)?;
                for frame in frames.drain(..) {
                    yield frame.part_of(held);
                }
            }
        }
    }
}

/// Cuts an encapsulated IPC stream, given in pieces, into its messages.
fn messages(buffers: Vec<Buffer>) -> Result<Vec<Frame>, Fault> {
    const PREFIX: usize = 8; // continuation marker and length
    let mut pieces = VecDeque::from(buffers);
    let mut frames = Vec::new();
    while pieces.iter().any(|piece| !piece.is_empty()) {
        let prefix = take(&mut pieces, PREFIX);
        let length = prefix.get(4..8).map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        if length == 0 {
            break; // end of stream
        }
        let header = take(&mut pieces, length as usize);
        let body = root_as_message(&header).map_err(not_ipc)?.bodyLength();
        let body = take_pieces(&mut pieces, usize::try_from(body).map_err(Fault::internal)?);
        frames.push(Frame::new(header.into(), Bytes::new(), body));
    }
    Ok(frames)
}

/// Copies `count` bytes off the front.
fn take(pieces: &mut VecDeque<Buffer>, count: usize) -> Vec<u8> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        let Some(piece) = pieces.pop_front() else { break };
        let part = piece.len().min(count - taken.len());
        taken.extend_from_slice(&piece[..part]);
        if part < piece.len() {
            pieces.push_front(piece.slice(part));
        }
    }
    taken
}

/// Takes `count` bytes off the front without copying them.
fn take_pieces(pieces: &mut VecDeque<Buffer>, count: usize) -> Vec<Bytes> {
    let mut taken = Vec::new();
    let mut left = count;
    while left > 0 {
        let Some(piece) = pieces.pop_front() else { break };
        let part = piece.len().min(left);
        if part < piece.len() {
            pieces.push_front(piece.slice(part));
        }
        if part > 0 {
            taken.push(Bytes::from_owner(OwnedBuffer(piece.slice_with_length(0, part))));
        }
        left -= part;
    }
    taken
}
