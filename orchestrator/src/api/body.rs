//! A request's body that tells whether it has been read, and is read to its end if it is short.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use futures::StreamExt;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Whether somebody still waits for more of a body.
pub(super) struct Awaited(Arc<AtomicBool>);

impl Awaited {
    /// Watches the body of a request.
    pub fn of(request: Request) -> (Request, Self) {
        let awaited = Arc::new(AtomicBool::new(false));
        let watched = request.map(|body| Body::new(Watched { body, awaited: awaited.clone() }));
        (watched, Self(awaited))
    }

    /// Whether the last that was asked of it has not come yet.
    pub fn more(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Watched {
    body: Body,
    awaited: Arc<AtomicBool>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.awaited.store(true, Ordering::Relaxed);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.awaited.store(false, Ordering::Relaxed);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of a body that are read though nobody wants them, and how long they are waited for.
const UNWANTED: usize = 32 << 20;
const SOON: Duration = Duration::from_secs(1);

/// Sees to it that a short body is read to its end, also when the request is refused before: over HTTP/2 the stream would be
/// broken off, and many a client would tell that in place of the answer.
pub(super) async fn read_to_its_end(request: Request) -> Request {
    request.map(|body| Body::new(Drained(body)))
}

struct Drained(Body);

impl http_body::Body for Drained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let rest = std::mem::take(&mut self.0);
        let (false, Ok(runtime)) = (http_body::Body::is_end_stream(&rest), Handle::try_current()) else { return };
        runtime.spawn(timeout(SOON, async move {
            let mut pieces = rest.into_data_stream();
            let mut bytes = 0;
            while let Some(Ok(piece)) = pieces.next().await {
                bytes += piece.len();
                if bytes > UNWANTED {
                    break;
                }
            }
        }));
    }
}
