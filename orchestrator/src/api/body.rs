//! A request's body that tells whether it has been read.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

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
