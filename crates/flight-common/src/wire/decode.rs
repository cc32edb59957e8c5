//! Arrow IPC messages to record batches. What arrives is checked: a client's mistake is a fault, never undefined.

use super::flat;
use super::frame::{Frame, caught, not_ipc};
use super::{MAX_MESSAGE_BYTES, schema_from_bytes};
use crate::fault::Fault;
use crate::stream::BatchStream;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_flight::FlightData;
use arrow_ipc::reader::{RecordBatchDecoder, read_dictionary};
use arrow_ipc::{MessageHeader, root_as_message};
use futures::{Stream, StreamExt};
use std::collections::HashMap;
use tonic::Status;

/// Decodes the messages of one stream.
pub struct Decoder {
    schema: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Decoder {
    /// A decoder for a stream that began with this schema.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, dictionaries: HashMap::new() }
    }

    /// A decoder for the stream that begins with this message.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadData`] when it is not a schema.
    pub fn from_schema_frame(frame: &Frame) -> Result<Self, Fault> {
        schema_from_bytes(&frame.header).map(Self::new)
    }

    /// The schema of the stream.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The batch in a message, or nothing for a message that holds none.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadData`] for what is not Arrow, [`crate::FaultKind::BadSchema`] for a schema that changes.
    pub fn decode(&mut self, frame: Frame) -> Result<Option<RecordBatch>, Fault> {
        if frame.header.is_empty() {
            // Metadata alone. Rows that nothing says how to read would be lost unseen.
            return match frame.body_len() {
                0 => Ok(None),
                bytes => Err(not_ipc(format!("a body of {bytes} bytes without a header"))),
            };
        }
        let message = root_as_message(&frame.header).map_err(not_ipc)?;
        let version = message.version();
        match message.header_type() {
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch().ok_or_else(|| not_ipc("an empty header"))?;
                let body = contiguous(&frame);
                let (schema, dictionaries) = (self.schema.clone(), &self.dictionaries);
                sound(&body, batch, || {
                    if let Some(batch) = caught(|| flat::read(&body, batch, &schema)).flatten() {
                        return Ok(batch);
                    }
                    RecordBatchDecoder::try_new(&body, batch, schema, dictionaries, &version)?.read_record_batch()
                })
                .map(Some)
            }
            MessageHeader::DictionaryBatch => {
                let batch = message.header_as_dictionary_batch().ok_or_else(|| not_ipc("an empty header"))?;
                let body = contiguous(&frame);
                let data = batch.data().ok_or_else(|| not_ipc("a dictionary without values"))?;
                let (schema, dictionaries) = (&self.schema, &mut self.dictionaries);
                sound(&body, data, || read_dictionary(&body, batch, schema, dictionaries, &version))?;
                Ok(None)
            }
            MessageHeader::Schema => {
                let now = schema_from_bytes(&frame.header)?;
                if now.fields() == self.schema.fields() {
                    return Ok(None);
                }
                Err(Fault::bad_schema("the schema changed in the middle of the stream")
                    .help("send rows of another schema in an exchange of their own"))
            }
            _ => Ok(None),
        }
    }
}

/// Reads a body whose header promises these buffers. Where Arrow panics, the message is garbage as much as where it says so.
pub(super) fn sound<T>(
    body: &Buffer,
    header: arrow_ipc::RecordBatch<'_>,
    read: impl FnOnce() -> Result<T, ArrowError>,
) -> Result<T, Fault> {
    let within = |buffer: &arrow_ipc::Buffer| {
        let (from, length) = (u64::try_from(buffer.offset()).ok()?, u64::try_from(buffer.length()).ok()?);
        from.checked_add(length).filter(|end| *end <= body.len() as u64)
    };
    if header.buffers().is_some_and(|buffers| buffers.iter().any(|buffer| within(buffer).is_none())) {
        return Err(not_ipc("its header names buffers beyond the end of its body"));
    }
    if header.nodes().is_some_and(|nodes| nodes.iter().any(|node| node.length() < 0 || node.null_count() < 0)) {
        return Err(not_ipc("its header counts less than no rows or nulls"));
    }
    let bytes = decompressed(body, header);
    if bytes > MAX_MESSAGE_BYTES as u64 {
        let what = format!(
            "a batch says that it takes {bytes} bytes once it is decompressed, and {MAX_MESSAGE_BYTES} is the most"
        );
        return Err(Fault::bad_data(what).help("send smaller batches"));
    }
    caught(read)
        .unwrap_or_else(|| Err(ArrowError::IpcError("its buffers are not as its header says".to_owned())))
        .map_err(not_ipc)
}

/// What the buffers of a body take once they are decompressed, as they say themselves: each begins with its length, or with
/// -1 if it is not compressed. They lie within the body. Arrow asks for the memory at once, and a process that is refused
/// it is gone.
fn decompressed(body: &[u8], header: arrow_ipc::RecordBatch<'_>) -> u64 {
    let (Some(_), Some(buffers)) = (header.compression(), header.buffers()) else { return 0 };
    let claimed = |buffer: &arrow_ipc::Buffer| {
        let begin = usize::try_from(buffer.offset()).ok()?;
        let length = body.get(begin..)?.first_chunk::<8>().filter(|_| buffer.length() >= 8)?;
        u64::try_from(i64::from_le_bytes(*length)).ok()
    };
    buffers.iter().filter_map(claimed).fold(0, u64::saturating_add)
}

/// The frames of a stream whose schema message has been read, as batches.
pub fn decode_stream(
    mut decoder: Decoder,
    frames: impl Stream<Item = Result<Frame, Fault>> + Send + 'static,
) -> BatchStream {
    let schema = decoder.schema();
    let batches = frames.filter_map(move |frame| {
        let batch = frame.and_then(|frame| decoder.decode(frame)).transpose();
        std::future::ready(batch.filter(|batch| !batch.as_ref().is_ok_and(|batch| batch.num_rows() == 0)))
    });
    BatchStream::new(schema, batches)
}

/// The rows in the messages of a call that `tonic` reads. A message with the descriptor alone may come before the schema.
///
/// # Errors
/// [`crate::FaultKind::BadParams`] when no schema comes, [`crate::FaultKind::BadData`] when what comes is none.
pub async fn decode_messages(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<BatchStream, Fault> {
    let frames = messages.map(|message| message.map(Frame::from).map_err(|status| Fault::from_status(&status)));
    let mut frames = frames.boxed();
    while let Some(frame) = frames.next().await {
        let frame = frame?;
        if !frame.header.is_empty() {
            return Ok(decode_stream(Decoder::from_schema_frame(&frame)?, frames));
        }
    }
    Err(Fault::bad_params("no schema came, and no rows").help("send the schema even if there are no rows"))
}

/// The batch in messages that need none that came before.
///
/// # Errors
/// [`crate::FaultKind::Internal`] when there is no batch in them.
pub fn decode_alone(frames: Vec<Frame>, schema: &SchemaRef) -> Result<RecordBatch, Fault> {
    let mut decoder = Decoder::new(schema.clone());
    let mut found = None;
    for frame in frames {
        found = decoder.decode(frame)?.or(found);
    }
    found.ok_or_else(|| Fault::internal("kept messages without a batch"))
}

/// The body as one aligned buffer: as it is where it lies in one piece, copied together otherwise.
fn contiguous(frame: &Frame) -> Buffer {
    match &frame.body[..] {
        [one] => Buffer::from(one.clone()),
        pieces => {
            let mut whole = MutableBuffer::with_capacity(frame.body_len());
            for piece in pieces {
                whole.extend_from_slice(piece);
            }
            whole.into()
        }
    }
}
