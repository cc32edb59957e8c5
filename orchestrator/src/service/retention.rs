//! What was kept goes in the end: by age, and by size.

use super::Service;
use std::path::Path;
use std::time::Duration;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(600);

/// Removes what is too old or too much, again and again. Never ends.
pub(super) async fn retain(service: Service) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let settings = &service.0.settings;
        match service.0.store.expire(settings.keep_for, settings.keep_bytes).await {
            Ok(expired) => {
                for kept in expired {
                    if let Err(fault) = service.0.own.remove_file(Path::new(&kept.path)) {
                        tracing::warn!(path = kept.path, fault = %fault, "a kept output could not be removed");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "kept outputs could not be looked through"),
        }
    }
}
