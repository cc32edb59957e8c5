//! The signals a process listens for.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and Ctrl-C, listened for from the making on and not only from the first wait. From then on a file that may not
/// grow is an error where it is written, and not the end of the process.
#[derive(Debug)]
pub struct StopSignals {
    terminated: Option<Signal>,
    interrupted: Option<Signal>,
    _too_large: Option<Signal>,
}

impl StopSignals {
    /// Listens. A signal that cannot be listened for is told in the log, and does what it does by itself.
    #[must_use]
    pub fn listen() -> Self {
        let listen = |kind| signal(kind).inspect_err(|error| tracing::warn!(%error, "cannot listen for signals")).ok();
        Self {
            terminated: listen(SignalKind::terminate()),
            interrupted: listen(SignalKind::interrupt()),
            _too_large: listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())),
        }
    }

    /// Waits until somebody asks for the end. It can be waited for again: who asks twice is in a hurry.
    pub async fn asked(&mut self) {
        tokio::select! {
            () = next(&mut self.terminated) => {}
            () = next(&mut self.interrupted) => {}
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
