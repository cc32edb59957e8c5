//! A stack for deep queries.
//!
//! DataFusion walks queries recursively. What a user may write nests deeper than the stack of a pool's thread reaches,
//! and a stack that overflows ends the process with all that runs in it. So queries are planned on a thread whose stack
//! is large enough for the longest query that is taken. The memory of a stack is only taken as far as it is used.

use flight_common::Fault;
use futures::channel::oneshot;

const STACK: usize = 256 << 20;

/// Runs `work` on a thread with a large stack.
///
/// # Errors
/// Those of the work; [`flight_common::FaultKind::Internal`] if it panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("plan".to_owned()).stack_size(STACK);
    let started = thread.spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(work());
    });
    started.map_err(|error| Fault::busy(format!("no thread to plan the query: {error}")))?;
    receiver.await.unwrap_or_else(|_| Err(Fault::internal("planning panicked")))
}
