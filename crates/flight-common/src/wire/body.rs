//! Frames as an HTTP/2 body.

use super::frame::Frame;
use crate::fault::Fault;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue};
use http_body::Body;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::Status;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A response: with a status in its trailers.
    Status,
    /// A request: a good end closes it, a fault resets the stream, so that the server never takes it for a good end.
    Reset,
}

/// A body made of frames.
pub struct FrameBody {
    frames: BoxStream<'static, Result<Frame, Fault>>,
    pieces: VecDeque<Bytes>,
    ending: Ending,
    done: bool,
}

impl FrameBody {
    /// A body that sends these frames and then ends.
    pub fn new(frames: impl Stream<Item = Result<Frame, Fault>> + Send + 'static, ending: Ending) -> Self {
        Self { frames: frames.boxed(), pieces: VecDeque::new(), ending, done: false }
    }

    fn close(&mut self, result: Result<(), Fault>) -> Option<Result<http_body::Frame<Bytes>, Status>> {
        self.done = true;
        match (self.ending, result) {
            (Ending::Status, result) => Some(Ok(http_body::Frame::trailers(trailers(result)))),
            (Ending::Reset, Ok(())) => None,
            (Ending::Reset, Err(fault)) => Some(Err(fault.into())),
        }
    }
}

fn trailers(result: Result<(), Fault>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    match result {
        Ok(()) => {
            headers.insert("grpc-status", HeaderValue::from_static("0"));
        }
        Err(fault) => {
            if Status::from(fault).add_header(&mut headers).is_err() {
                headers.insert("grpc-status", HeaderValue::from_static("13"));
            }
        }
    }
    headers
}

impl Body for FrameBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if let Some(piece) = this.pieces.pop_front() {
                return Poll::Ready(Some(Ok(http_body::Frame::data(piece))));
            }
            if this.done {
                return Poll::Ready(None);
            }
            match ready!(this.frames.poll_next_unpin(cx)) {
                Some(Ok(frame)) => frame.write_to(&mut this.pieces),
                Some(Err(fault)) => return Poll::Ready(this.close(Err(fault))),
                None => return Poll::Ready(this.close(Ok(()))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done && self.pieces.is_empty()
    }
}
