//! A query that is planned: on a stack that is deep enough, for as long as somebody waits for it, and no longer than it may.

use crate::errand::Errand;
use flight_common::{Fault, compute};
use std::sync::Arc;
use std::time::Duration;

/// How long planning may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs what plans a query. What it computes of constants ends soon after its caller is gone.
///
/// # Errors
/// The function's own; [`flight_common::FaultKind::TimedOut`] if it takes too long.
pub async fn plan<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let caller = Arc::new(());
    let errand = Errand::planning(&caller);
    let planned = compute::run_deep(move || {
        errand.begin();
        work()
    });
    tokio::time::timeout(LIMIT, planned).await.unwrap_or_else(|_| {
        Err(Fault::timed_out(format!("planning the query took longer than {} s", LIMIT.as_secs()))
            .help("ask for less at once, or in several steps"))
    })
}
