//! What was kept goes in the end, by age and by size, and so do the runs themselves, by age.

use super::Service;
use crate::store::StoreError;
use std::path::Path;
use std::time::Duration;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(600);
/// Runs that are forgotten in one transaction: others wait for its end.
const AT_ONCE: usize = 200;

/// Removes what is too old or too much, again and again. Never ends.
pub(super) async fn retain(service: Service) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = expire(&service).await {
            tracing::warn!(%error, "kept outputs could not be looked through");
        }
        if let Err(error) = forget(&service).await {
            tracing::warn!(%error, "old runs could not be forgotten");
        }
    }
}

async fn expire(service: &Service) -> Result<(), StoreError> {
    let settings = &service.0.settings;
    for kept in service.0.store.expire(settings.keep_for, settings.keep_bytes).await? {
        if let Err(fault) = service.0.own.remove_file(Path::new(&kept.path)) {
            tracing::warn!(path = kept.path, fault = %fault, "a kept output could not be removed");
        }
    }
    Ok(())
}

async fn forget(service: &Service) -> Result<(), StoreError> {
    while service.0.store.forget(service.0.settings.remember, AT_ONCE).await? == AT_ONCE {}
    Ok(())
}
