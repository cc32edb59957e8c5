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
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn pool() -> &'static Runtime {
    static POOL: OnceLock<Runtime> = OnceLock::new();
    POOL.get_or_init(|| runtime("compute", || {}).expect("the operating system starts threads, or nothing works"))
}

fn runtime(name: &str, begin: impl Fn() + Send + Sync + 'static) -> std::io::Result<Runtime> {
    let mut threads = Builder::new_multi_thread();
    threads.worker_threads(workers()).thread_name(name).on_thread_start(begin).enable_time().enable_io().build()
}

/// Runs a future on the pool, within the current span. Dropping the handle aborts it at its next await.
pub fn spawn<F>(work: F) -> AbortOnDropHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    AbortOnDropHandle::new(pool().spawn(work.in_current_span()))
}

/// Threads apart from the pool, one per core, for work that may hold them for long: it holds up nothing but itself.
pub struct Threads(Option<Runtime>);

impl Threads {
    /// Threads of this name. Each begins with this function.
    ///
    /// # Errors
    /// [`crate::FaultKind::Busy`] if the system starts none.
    pub fn start(name: &str, begin: impl Fn() + Send + Sync + 'static) -> Result<Self, Fault> {
        let started =
            runtime(name, begin).map_err(|error| Fault::busy(format!("no thread can be started: {error}")))?;
        Ok(Self(Some(started)))
    }

    /// Runs a future on them, within the current span. Dropping the handle aborts it at its next await.
    pub fn spawn<F>(&self, work: F) -> AbortOnDropHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let runtime = self.0.as_ref().expect("they are there until they are dropped");
        AbortOnDropHandle::new(runtime.spawn(work.in_current_span()))
    }
}

/// Each ends with what it has under way, at the next await of that; nobody waits for it.
impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
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

/// The stack of [`run_deep`]: memory is only taken as far as it is used.
const DEEP_STACK: usize = 256 << 20;

/// Runs a function on a thread of its own with a large stack: for recursion as deep as a user writes, in a query, say. A
/// stack that overflows ends the process with all that runs in it.
///
/// # Errors
/// The function's own; [`crate::FaultKind::Internal`] if it panicked.
pub async fn run_deep<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("deep".to_owned()).stack_size(DEEP_STACK);
    let started = thread.spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(work());
    });
    started.map_err(|error| Fault::busy(format!("no thread can be started: {error}")))?;
    receiver.await.unwrap_or_else(|_| Err(Fault::internal("work on a deep stack panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(levels: usize) -> usize {
        let block = std::hint::black_box([levels; 16]);
        if levels == 0 { 0 } else { depth(block[7] - 1) + 1 }
    }

    #[tokio::test]
    async fn deep_work_has_room_and_a_panic_is_a_fault() {
        assert_eq!(run_deep(|| Ok(depth(200_000))).await, Ok(200_000));
        let fault = run_deep::<()>(|| panic!("as the test has it")).await.expect_err("it panicked");
        assert_eq!(fault.kind(), crate::FaultKind::Internal);
    }
}
