//! How many spans are open: what is open when its process ends is not sent.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Counts spans that are open. Cheap to clone.
#[derive(Clone)]
pub(super) struct OpenSpans(watch::Sender<usize>);

impl Default for OpenSpans {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl OpenSpans {
    /// Waits until all have ended, but no longer than `patience`. A span ends with the last task that holds it, which may be a
    /// moment after the work that it tells of.
    pub async fn ended(&self, patience: Duration) {
        let _ = timeout(patience, self.0.subscribe().wait_for(|open| *open == 0)).await;
    }
}

impl<S: Subscriber> Layer<S> for OpenSpans {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.send_modify(|open| *open += 1);
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tracing_subscriber::layer::SubscriberExt;

    #[tokio::test]
    async fn the_end_of_a_span_is_waited_for_wherever_it_is_held() {
        let open = OpenSpans::default();
        let subscriber = tracing_subscriber::registry().with(open.clone());
        let span = tracing::subscriber::with_default(subscriber, || tracing::info_span!("run"));
        let begun = Instant::now();
        open.ended(Duration::from_millis(50)).await;
        assert!(begun.elapsed() >= Duration::from_millis(50), "it is open still");
        let held = std::thread::spawn(move || {
            std::thread::yield_now();
            drop(span);
        });
        open.ended(Duration::from_secs(60)).await;
        assert!(begun.elapsed() < Duration::from_secs(30));
        held.join().expect("ended");
    }
}
