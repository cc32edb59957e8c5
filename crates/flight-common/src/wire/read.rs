//! Frames from an HTTP/2 body.

use super::MAX_MESSAGE_BYTES;
use super::frame::{Frame, TAG_APP_METADATA, TAG_BODY, TAG_DESCRIPTOR, TAG_HEADER};
use super::recycle;
use crate::fault::Fault;
use arrow::buffer::MutableBuffer;
use arrow_flight::FlightDescriptor;
use bytes::{Buf, Bytes, BytesMut};
use futures::Stream;
use http_body::Body as _;
use prost::Message;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::Status;
use tonic::body::Body;

/// How bodies are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// Copied once into one aligned buffer, to be decoded.
    Aligned,
    /// As the pieces in which they came, to be sent on.
    Pieces,
}

/// Which end of the call reads: a response closes with a status, a request just ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// Fields other than the body are small; this bounds what a peer can make us gather for one.
const MAX_FIELD: u64 = 64 << 20;
/// Memory set aside at once for a body; more as it comes, so that a large claim alone costs nothing.
const FIRST_ALLOCATION: usize = 16 << 20;

/// Reads the frames of a call.
pub struct FrameReader {
    body: Body,
    side: Side,
    gather: Gather,
    /// What came from the network and is not looked at yet.
    chunk: Bytes,
    /// Bytes gathered for the next thing to read.
    head: BytesMut,
    state: State,
    frame: Frame,
    /// Bytes of the current gRPC message still to come.
    message_left: u64,
    finished: bool,
}

enum State {
    /// Five bytes: compressed or not, and the length.
    Prefix,
    Tag,
    /// The length of a field, or the value of a varint that is skipped.
    Length(u64),
    Field {
        tag: u64,
        length: u64,
    },
    Skip {
        length: u64,
    },
    Aligned {
        buffer: MutableBuffer,
        length: usize,
    },
    Pieces {
        pieces: Vec<Bytes>,
        left: usize,
    },
}

impl FrameReader {
    /// Reads a request.
    pub fn request(body: Body, gather: Gather) -> Self {
        Self::new(body, Side::Request, gather)
    }

    /// Reads a response, whose trailers must hold a good status.
    pub fn response(body: Body, gather: Gather) -> Self {
        Self::new(body, Side::Response, gather)
    }

    fn new(body: Body, side: Side, gather: Gather) -> Self {
        Self {
            body,
            side,
            gather,
            chunk: Bytes::new(),
            head: BytesMut::new(),
            state: State::Prefix,
            frame: Frame::default(),
            message_left: 0,
            finished: false,
        }
    }

    /// Gathers `count` bytes into `head`; false if more must come from the network first.
    fn fill(&mut self, count: usize) -> bool {
        let part = count.saturating_sub(self.head.len()).min(self.chunk.len());
        self.head.extend_from_slice(&self.chunk[..part]);
        self.chunk.advance(part);
        self.head.len() >= count
    }

    /// Reads a varint of the current message; nothing if more must come first.
    fn varint(&mut self) -> Result<Option<u64>, Fault> {
        const LONGEST: usize = 10;
        loop {
            if self.head.last().is_some_and(|byte| byte & 0x80 == 0) {
                let length = self.head.len() as u64;
                let value = prost::encoding::decode_varint(&mut self.head).map_err(malformed)?;
                self.head.clear();
                self.message_left =
                    self.message_left.checked_sub(length).ok_or_else(|| malformed("a field too long"))?;
                return Ok(Some(value));
            }
            if self.head.len() >= LONGEST || self.head.len() as u64 >= self.message_left {
                return Err(malformed("a number without an end"));
            }
            let next = self.head.len() + 1;
            if !self.fill(next) {
                return Ok(None);
            }
        }
    }

    /// Goes on with what is there. A frame when one is complete, nothing if more must come first.
    fn advance(&mut self) -> Result<Option<Frame>, Fault> {
        loop {
            match &mut self.state {
                State::Prefix => {
                    if !self.fill(5) {
                        return Ok(None);
                    }
                    if self.head[0] != 0 {
                        return Err(malformed("compressed messages are not taken: use Arrow's own compression"));
                    }
                    self.message_left =
                        u64::from(u32::from_be_bytes([self.head[1], self.head[2], self.head[3], self.head[4]]));
                    self.head.clear();
                    self.state = State::Tag;
                }
                State::Tag => {
                    if self.message_left == 0 {
                        self.state = State::Prefix;
                        return Ok(Some(std::mem::take(&mut self.frame)));
                    }
                    let Some(tag) = self.varint()? else { return Ok(None) };
                    self.state = match tag & 7 {
                        0 | 2 => State::Length(tag),
                        1 => State::Skip { length: 8 },
                        5 => State::Skip { length: 4 },
                        _ => return Err(malformed("an unknown wire type")),
                    };
                }
                State::Length(tag) => {
                    let tag = *tag;
                    let Some(length) = self.varint()? else { return Ok(None) };
                    self.state = if tag & 7 == 0 { State::Tag } else { self.field(tag, length)? };
                }
                State::Field { tag, length } => {
                    let (tag, length) = (*tag, *length);
                    if !self.fill(length as usize) {
                        return Ok(None);
                    }
                    self.message_left -= length;
                    let bytes = self.head.split().freeze();
                    match tag {
                        TAG_DESCRIPTOR => {
                            self.frame.descriptor = Some(FlightDescriptor::decode(bytes).map_err(malformed)?);
                        }
                        TAG_HEADER => self.frame.header = bytes,
                        _ => self.frame.app_metadata = bytes,
                    }
                    self.state = State::Tag;
                }
                State::Skip { length } => {
                    let part = (*length).min(self.chunk.len() as u64);
                    self.chunk.advance(part as usize);
                    self.message_left =
                        self.message_left.checked_sub(part).ok_or_else(|| malformed("a field too long"))?;
                    *length -= part;
                    if *length > 0 {
                        return Ok(None);
                    }
                    self.state = State::Tag;
                }
                State::Aligned { buffer, length } => {
                    let part = (*length - buffer.len()).min(self.chunk.len());
                    buffer.extend_from_slice(&self.chunk[..part]);
                    self.chunk.advance(part);
                    if buffer.len() < *length {
                        return Ok(None);
                    }
                    self.message_left -= *length as u64;
                    let buffer = std::mem::take(buffer);
                    self.frame.body = vec![recycle::bytes(buffer)];
                    self.state = State::Tag;
                }
                State::Pieces { pieces, left } => {
                    let part = (*left).min(self.chunk.len());
                    if part > 0 {
                        pieces.push(self.chunk.split_to(part));
                        *left -= part;
                        self.message_left -= part as u64;
                    }
                    if *left > 0 {
                        return Ok(None);
                    }
                    self.frame.body = std::mem::take(pieces);
                    self.state = State::Tag;
                }
            }
        }
    }

    /// What to do with a length-delimited field.
    fn field(&self, tag: u64, length: u64) -> Result<State, Fault> {
        if length > self.message_left {
            return Err(malformed("a field longer than its message"));
        }
        match tag {
            TAG_BODY => {
                let length = usize::try_from(length).map_err(malformed)?;
                if length > MAX_MESSAGE_BYTES {
                    return Err(too_large(length));
                }
                Ok(match self.gather {
                    Gather::Aligned => State::Aligned { buffer: recycle::buffer(length.min(FIRST_ALLOCATION)), length },
                    Gather::Pieces => State::Pieces { pieces: Vec::new(), left: length },
                })
            }
            TAG_DESCRIPTOR | TAG_HEADER | TAG_APP_METADATA if length <= MAX_FIELD => Ok(State::Field { tag, length }),
            TAG_DESCRIPTOR | TAG_HEADER | TAG_APP_METADATA => Err(malformed("a header of unlikely size")),
            _ => Ok(State::Skip { length }),
        }
    }

    fn end(&mut self) -> Option<Result<Frame, Fault>> {
        self.finished = true;
        let between = matches!(self.state, State::Prefix) && self.head.is_empty();
        (!between).then(|| Err(Fault::upstream("the stream was cut short in the middle of a message")))
    }

    fn end_with(&mut self, fault: Fault) -> Poll<Option<Result<Frame, Fault>>> {
        self.finished = true;
        Poll::Ready(Some(Err(fault)))
    }
}

fn malformed(why: impl std::fmt::Display) -> Fault {
    Fault::bad_data(format!("a malformed Flight message: {why}"))
}

fn too_large(length: usize) -> Fault {
    Fault::bad_data(format!(
        "a message of {} MiB is more than the {} MiB that are taken",
        length >> 20,
        MAX_MESSAGE_BYTES >> 20
    ))
    .help("send smaller batches; a single cell cannot be larger than that")
}

impl Stream for FrameReader {
    type Item = Result<Frame, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.finished {
                return Poll::Ready(None);
            }
            match this.advance() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) => {}
                Err(fault) => return this.end_with(fault),
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.chunk = data,
                    Err(frame) => {
                        let Ok(trailers) = frame.into_trailers() else { continue };
                        match Status::from_header_map(&trailers) {
                            Some(status) if status.code() != tonic::Code::Ok => {
                                return this.end_with(Fault::from_status(&status));
                            }
                            Some(_) => return Poll::Ready(this.end()),
                            None => {}
                        }
                    }
                },
                Some(Err(status)) => {
                    let fault = match this.side {
                        Side::Request => Fault::cancelled("the caller went away before the end of its stream"),
                        Side::Response => Fault::from_status(&status),
                    };
                    return this.end_with(fault);
                }
                None if this.side == Side::Response => {
                    let fault = Fault::upstream("the peer closed the stream without a status");
                    return this.end_with(fault.help(Fault::LOOK_AT_THE_SERVER));
                }
                None => return Poll::Ready(this.end()),
            }
        }
    }
}
