//! Goodbyes that the end of a process waits for.
//!
//! A server in a long computation does not notice that its client is gone: whoever left something running there says so when
//! it is dropped. That takes a moment, and a process whose run was interrupted would be gone before.

use crate::compute;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How long the end of a process waits.
const PATIENCE: Duration = Duration::from_secs(2);

fn tracker() -> &'static TaskTracker {
    static TRACKER: OnceLock<TaskTracker> = OnceLock::new();
    TRACKER.get_or_init(|| {
        let tracker = TaskTracker::new();
        // Closed, it takes on more all the same, and tells when none are left.
        tracker.close();
        tracker
    })
}

/// Told when the process waits for goodbyes.
fn ending() -> &'static CancellationToken {
    static ENDING: OnceLock<CancellationToken> = OnceLock::new();
    ENDING.get_or_init(CancellationToken::new)
}

/// A goodbye that may have to be said. It is made before there is anything to end, so that the end of the process waits
/// also for whoever has not noticed yet that it was dropped.
#[derive(Debug)]
pub struct Farewell {
    _due: TaskTrackerToken,
}

impl Default for Farewell {
    fn default() -> Self {
        Self { _due: tracker().token() }
    }
}

impl Farewell {
    /// Waits until the process waits for it: whoever has far to go turns back.
    pub async fn due(&self) {
        ending().cancelled().await;
    }

    /// Says it, by itself.
    pub fn say(self, goodbye: impl Future<Output = ()> + Send + 'static) {
        drop(
            compute::spawn(async move {
                goodbye.await;
                drop(self);
            })
            .detach(),
        );
    }
}

/// Waits until all goodbyes are said that had to be, for two seconds at most. The last thing that a process does.
pub async fn farewells() {
    ending().cancel();
    if timeout(PATIENCE, tracker().wait()).await.is_err() {
        tracing::warn!("something that was left running elsewhere may not have been ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn the_end_waits_for_whoever_has_not_been_dropped_yet() {
        let farewell = Farewell::default();
        let (dropped, seen) = oneshot::channel();
        let (said, heard) = oneshot::channel();
        let late = compute::spawn(async move {
            seen.await.expect("sent");
            farewell.say(async { said.send(()).expect("somebody listens") });
        });
        let end = compute::spawn(async move {
            farewells().await;
            heard.await
        });
        dropped.send(()).expect("somebody listens");
        late.await.expect("no panic");
        end.await.expect("no panic").expect("said before the end");
    }
}
