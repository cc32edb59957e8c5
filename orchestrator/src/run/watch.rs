//! A stream that is watched as it passes: rows counted, its end noted, its deadline kept.

use flight_common::{EdgeStream, Fault, Parcel};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Watches a stream. `seen` is told rows and bytes of each item. `broken` is set before a fault is passed on, so that
/// whoever sees a fault further down can tell that it began here. The receiver is told how the stream ended; it hears
/// nothing of a stream that was dropped before its end.
pub fn watch<T: Parcel>(
    stream: EdgeStream<T>,
    limit: Option<Duration>,
    broken: Arc<AtomicBool>,
    seen: impl Fn(u64, usize) + Send + 'static,
) -> (EdgeStream<T>, oneshot::Receiver<Result<(), Fault>>) {
    let (told, end) = oneshot::channel();
    let stream = stream.wrap(|items| Watched {
        items,
        seen: Box::new(seen),
        broken,
        told: Some(told),
        deadline: limit.map(|limit| (limit, tokio::time::sleep(limit).boxed())),
    });
    (stream, end)
}

/// The items, and then the end that `last` makes of their own.
pub fn closed_by<T: Parcel, F>(
    stream: EdgeStream<T>,
    last: impl FnOnce(Result<(), Fault>) -> F + Send + 'static,
) -> EdgeStream<T>
where
    F: Future<Output = Result<(), Fault>> + Send,
{
    stream.wrap(|items| {
        stream::unfold(Some((items, last)), |state| async move {
            let (mut items, last) = state?;
            let end = match items.next().await {
                Some(Ok(item)) => return Some((Ok(item), Some((items, last)))),
                Some(Err(fault)) => Err(fault),
                None => Ok(()),
            };
            last(end).await.err().map(|fault| (Err(fault), None))
        })
    })
}

struct Watched<T> {
    items: BoxStream<'static, Result<T, Fault>>,
    seen: Box<dyn Fn(u64, usize) + Send>,
    broken: Arc<AtomicBool>,
    told: Option<oneshot::Sender<Result<(), Fault>>>,
    deadline: Option<(Duration, BoxFuture<'static, ()>)>,
}

impl<T> Watched<T> {
    fn tell(&mut self, end: Result<(), Fault>) {
        if end.is_err() {
            self.broken.store(true, Ordering::SeqCst);
        }
        if let Some(told) = self.told.take() {
            let _ = told.send(end);
        }
    }
}

impl<T: Parcel> Stream for Watched<T> {
    type Item = Result<T, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.told.is_none() {
            return Poll::Ready(None);
        }
        if let Some((limit, passed)) = &mut this.deadline
            && passed.poll_unpin(cx).is_ready()
        {
            let fault = Fault::timed_out(format!("it took longer than its timeout of {} s", limit.as_secs_f32()))
                .help("raise the step's `timeout`");
            this.tell(Err(fault.clone()));
            return Poll::Ready(Some(Err(fault)));
        }
        let polled = this.items.poll_next_unpin(cx);
        match &polled {
            Poll::Ready(Some(Ok(item))) => (this.seen)(item.rows(), item.bytes()),
            Poll::Ready(Some(Err(fault))) => {
                let fault = fault.clone();
                this.tell(Err(fault));
            }
            Poll::Ready(None) => this.tell(Ok(())),
            Poll::Pending => {}
        }
        polled
    }
}
