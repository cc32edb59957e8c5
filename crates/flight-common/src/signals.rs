//! The signals a process listens for.

use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// Two signals that come so close are one request: `timeout` sends one to the process and one to its group.
const TOGETHER: Duration = Duration::from_millis(250);

/// SIGTERM and Ctrl-C, listened for from the making on and not only from the first wait. From then on a file that may not
/// grow is an error where it is written, and not the end of the process.
#[derive(Debug)]
pub struct StopSignals {
    terminated: Option<Signal>,
    interrupted: Option<Signal>,
    _too_large: Option<Signal>,
    last: Option<Instant>,
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
            last: None,
        }
    }

    /// Waits until somebody asks for the end. It can be waited for again: who asks twice is in a hurry.
    pub async fn asked(&mut self) {
        loop {
            tokio::select! {
                () = next(&mut self.terminated) => {}
                () = next(&mut self.interrupted) => {}
            }
            if self.last.is_none_or(|last| last.elapsed() > TOGETHER) {
                self.last = Some(Instant::now());
                return;
            }
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
