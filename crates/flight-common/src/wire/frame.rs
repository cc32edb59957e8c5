//! One Flight message, and its form on the wire.
//!
//! `FlightData` is written and read by hand, since that is what saves the copies: a gRPC prefix of five bytes, then the
//! protobuf fields 1 (descriptor), 2 (header), 3 (application metadata) and 1000 (body), in this order and the body
//! last, as Arrow Flight asks of every implementation.

use super::FrameStream;
use super::split::holds_much;
use crate::fault::Fault;
use crate::panics;
use crate::parcel::Parcel;
use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightData, FlightDescriptor};
use arrow_ipc::{MessageHeader, root_as_message};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};
use std::collections::VecDeque;

pub(super) const TAG_DESCRIPTOR: u64 = 1 << 3 | 2;
pub(super) const TAG_HEADER: u64 = 2 << 3 | 2;
pub(super) const TAG_APP_METADATA: u64 = 3 << 3 | 2;
pub(super) const TAG_BODY: u64 = 1000 << 3 | 2;

/// Pieces below this size are copied together: HTTP/2 peers distrust many tiny frames.
const COALESCE: usize = 8 * 1024;

/// One `FlightData`.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// What the stream is about. On the first message of a stream only.
    pub descriptor: Option<FlightDescriptor>,
    /// The Arrow IPC message, without its body. Empty for a message of metadata alone.
    pub header: Bytes,
    /// The application's own.
    pub app_metadata: Bytes,
    /// The body of the IPC message, in pieces.
    pub body: Vec<Bytes>,
    put_result: Option<Bytes>,
    /// The bytes of the batch that the body is a part of, all of which stays in memory with it. 0 for one that lies alone.
    held: usize,
}

impl Frame {
    /// A message of an IPC stream.
    pub fn new(header: Bytes, app_metadata: Bytes, body: Vec<Bytes>) -> Self {
        Self { header, app_metadata, body, ..Self::default() }
    }

    /// The same message, whose body is a part of a batch of so many bytes.
    pub fn part_of(self, held: usize) -> Self {
        Self { held, ..self }
    }

    /// A message of metadata alone.
    pub fn metadata(app_metadata: impl Into<Bytes>) -> Self {
        Self::new(Bytes::new(), app_metadata.into(), Vec::new())
    }

    /// The message that begins an exchange: the descriptor alone.
    pub fn describing(command: impl Into<Bytes>) -> Self {
        Self { descriptor: Some(FlightDescriptor::new_cmd(command)), ..Self::default() }
    }

    /// Not a `FlightData` but the answer of `DoPut`: a `PutResult` with its metadata in field 1, which is where a
    /// `FlightData` has its descriptor.
    pub fn put_result(app_metadata: impl Into<Bytes>) -> Self {
        Self { put_result: Some(app_metadata.into()), ..Self::default() }
    }

    /// The bytes of its body.
    pub fn body_len(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }

    /// The kind of Arrow message it holds, if any.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadData`] when the header is not an Arrow IPC message.
    pub fn kind(&self) -> Result<MessageHeader, Fault> {
        if self.header.is_empty() {
            return Ok(MessageHeader::NONE);
        }
        root_as_message(&self.header).map(|message| message.header_type()).map_err(not_ipc)
    }

    /// Appends its form on the wire, as pieces that go out one after another. Large pieces of the body are not copied.
    pub fn write_to(&self, out: &mut VecDeque<Bytes>) {
        let descriptor = self.descriptor.as_ref().map(Message::encode_to_vec);
        let body_len = self.body_len();
        let fields = [
            (TAG_DESCRIPTOR, descriptor.as_deref().or(self.put_result.as_deref())),
            (TAG_HEADER, Some(&self.header[..]).filter(|header| !header.is_empty())),
            (TAG_APP_METADATA, Some(&self.app_metadata[..]).filter(|metadata| !metadata.is_empty())),
        ];
        let mut length = 0;
        for (tag, field) in fields {
            length += field.map_or(0, |bytes| field_len(tag, bytes.len()));
        }
        if body_len > 0 {
            length += field_len(TAG_BODY, body_len);
        }
        let mut small = BytesMut::with_capacity(length - body_len + 64);
        small.put_u8(0); // not compressed
        // A body is cut to fit long before this could overflow.
        small.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        for (tag, field) in fields {
            if let Some(bytes) = field {
                encode_varint(tag, &mut small);
                encode_varint(bytes.len() as u64, &mut small);
                small.put_slice(bytes);
            }
        }
        if body_len > 0 {
            encode_varint(TAG_BODY, &mut small);
            encode_varint(body_len as u64, &mut small);
        }
        for piece in &self.body {
            if piece.len() < COALESCE {
                small.put_slice(piece);
                continue;
            }
            if !small.is_empty() {
                out.push_back(small.split().freeze());
            }
            out.push_back(piece.clone());
        }
        if !small.is_empty() {
            out.push_back(small.freeze());
        }
    }
}

pub(super) fn not_ipc(error: impl std::fmt::Display) -> Fault {
    Fault::bad_data(format!("a message that is not Arrow IPC: {error}"))
        .help("send the stream with an Arrow Flight client; the schema comes first, then the batches")
}

/// What reading a message gives; nothing if Arrow panics at it, as it does where a message is not what it takes for granted.
pub(super) fn caught<T>(read: impl FnOnce() -> T) -> Option<T> {
    panics::caught(read).ok()
}

fn field_len(tag: u64, bytes: usize) -> usize {
    encoded_len_varint(tag) + encoded_len_varint(bytes as u64) + bytes
}

impl From<FlightData> for Frame {
    fn from(message: FlightData) -> Self {
        let body = Some(message.data_body).filter(|body| !body.is_empty());
        Self {
            descriptor: message.flight_descriptor,
            ..Self::new(message.data_header, message.app_metadata, body.into_iter().collect())
        }
    }
}

impl From<Frame> for FlightData {
    fn from(frame: Frame) -> Self {
        let data_body = match frame.body.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            pieces => pieces.concat().into(),
        };
        Self {
            flight_descriptor: frame.descriptor,
            data_header: frame.header,
            app_metadata: frame.app_metadata,
            data_body,
        }
    }
}

impl Parcel for Frame {
    fn bytes(&self) -> usize {
        self.header.len() + self.app_metadata.len() + self.body_len()
    }

    /// Read from the IPC header, without looking at the body.
    fn rows(&self) -> u64 {
        let message = if self.header.is_empty() { None } else { root_as_message(&self.header).ok() };
        let batch = message.and_then(|message| message.header_as_record_batch());
        batch.and_then(|batch| u64::try_from(batch.length()).ok()).unwrap_or(0)
    }

    fn apart(mut self) -> Result<Self, Fault> {
        let length = self.body_len();
        if holds_much(self.held, length) {
            let mut body = BytesMut::with_capacity(length);
            self.body.iter().for_each(|piece| body.put_slice(piece));
            (self.body, self.held) = (vec![body.freeze()], 0);
        }
        Ok(self)
    }

    fn to_frames(&self) -> Result<Vec<Frame>, Fault> {
        Ok(vec![self.clone()])
    }

    fn from_frames(frames: Vec<Frame>, _schema: &SchemaRef) -> Result<Self, Fault> {
        frames.into_iter().next().ok_or_else(|| Fault::internal("a kept message came back empty"))
    }

    fn from_stream(frames: FrameStream) -> FrameStream {
        frames
    }
}
