//! The compute pool: where steps compute, apart from the threads that serve the network.
//!
//! A Tokio runtime of its own, one worker per core. A step's stream is polled here, so its code may take the time it
//! needs for a batch and may read and write local files without `spawn_blocking`; health checks, flow control and
//! cancellation go on undisturbed on the I/O runtime.

use crate::fault::Fault;
use std::future::Future;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// The number of workers: one per core that this process may use.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn pool() -> &'static Runtime {
    static POOL: OnceLock<Runtime> = OnceLock::new();
    POOL.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(workers())
            .thread_name("compute")
            .enable_time()
            .enable_io()
            .build()
            .expect("the operating system starts threads, or nothing works")
    })
}

/// Runs a future on the pool, within the current span. Dropping the handle aborts it at its next await.
pub fn spawn<F>(work: F) -> AbortOnDropHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    AbortOnDropHandle::new(pool().spawn(work.in_current_span()))
}

/// Runs a function on the pool and returns its result.
///
/// # Errors
/// The function's own; [`crate::FaultKind::Internal`] if it panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    match spawn(async move { work() }).await {
        Ok(result) => result,
        Err(error) => Err(Fault::internal(error)),
    }
}
