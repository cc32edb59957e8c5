//! What was kept goes in the end, by age and by size, and so do the runs themselves, by age.

use super::{Service, kept};
use crate::store::StoreError;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(600);
/// How often all of what is kept is looked through for files that a crash has left: at the start, and then each day.
const SWEEP: u64 = 24 * 3600 / EVERY.as_secs();
/// Runs that are forgotten in one transaction: others wait for its end.
const AT_ONCE: usize = 200;

/// Removes what is too old or too much, again and again. Never ends.
pub(super) async fn retain(service: Service) {
    let mut ticks = tokio::time::interval(EVERY);
    for round in 0_u64.. {
        ticks.tick().await;
        if let Err(error) = expire(&service).await {
            tracing::warn!(%error, "kept outputs could not be looked through");
        }
        if round % SWEEP == 0
            && let Err(fault) = kept::sweep(&service).await
        {
            tracing::warn!(fault = %fault, "what crashes have left could not be looked for");
        }
        if let Err(error) = forget(&service).await {
            tracing::warn!(%error, "old runs could not be forgotten");
        }
    }
}

async fn expire(service: &Service) -> Result<(), StoreError> {
    let settings = &service.0.settings;
    let expired = service.0.store.expire(settings.keep_for, settings.keep_bytes).await?;
    let runs: BTreeSet<String> = expired.into_iter().map(|kept| kept.run_id).collect();
    for run in runs {
        kept::tidy(service, &run).await?;
    }
    Ok(())
}

async fn forget(service: &Service) -> Result<(), StoreError> {
    while service.0.store.forget(service.0.settings.remember, AT_ONCE).await? == AT_ONCE {}
    Ok(())
}
