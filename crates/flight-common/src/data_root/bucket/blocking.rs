//! Questions to a bucket, asked by code that waits for the answer.
//!
//! Whoever opens a file does so in plain functions, on whatever thread it is. The requests themselves are made by a runtime
//! of their own. A worker of another runtime that must wait hands its other tasks on first, so that a slow bucket holds up
//! nobody but the step that asked.

use crate::fault::Fault;
use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

/// Threads that make requests, and write to disk what came.
const THREADS: usize = 2;

pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let built = Builder::new_multi_thread().worker_threads(THREADS).thread_name("bucket").enable_all().build();
        built.expect("the operating system starts threads, or nothing works")
    })
}

/// Does what may block for long.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // A thread of no runtime, or of one that has no other.
        _ => work(),
    }
}

/// Waits for an answer. Every request has a deadline, so this ends.
pub fn wait<T: Send + 'static>(asked: impl Future<Output = Result<T, Fault>> + Send + 'static) -> Result<T, Fault> {
    let (sender, receiver) = sync_channel(1);
    runtime().spawn(async move {
        // The receiver waits below, and cannot be gone.
        let _ = sender.send(asked.await);
    });
    receiver.recv().unwrap_or_else(|_| Err(Fault::internal("a request to the bucket panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_waits_on_any_thread() {
        let ask = || {
            let answer = async {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                Ok(())
            };
            blocking(|| wait(answer))
        };
        assert_eq!(ask(), Ok(()));
        for mut built in [Builder::new_multi_thread(), Builder::new_current_thread()] {
            let runtime = built.build().expect("a runtime");
            assert_eq!(runtime.block_on(async { ask() }), Ok(()));
            let spawned = runtime.spawn(async move { ask() });
            assert_eq!(runtime.block_on(spawned).expect("no panic"), Ok(()));
        }
    }

    #[test]
    fn a_panic_is_a_fault() {
        let fault = wait::<()>(async { panic!("as the test has it") }).expect_err("it panicked");
        assert_eq!(fault.kind(), crate::FaultKind::Internal);
    }
}
