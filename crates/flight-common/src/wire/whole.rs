//! Requests that end only where their callers end them.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::Status;
use tonic::body::Body;

/// A request that was broken off fails. Left to themselves, `hyper` takes a reset by `NO_ERROR` for an end, which is how
/// proxies pass on that a caller has gone away, and `tonic` takes one by `CANCEL` for an end: half of the rows would be
/// loaded as if they were all.
pub fn whole(request: Body) -> Body {
    Body::new(Whole(request))
}

struct Whole(Body);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let broken_off = || Status::aborted("the caller went away before the end of its stream");
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
            Some(Ok(frame)) => Some(Ok(frame)),
            None if self.0.is_end_stream() => None,
            Some(Err(_)) | None => Some(Err(broken_off())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
