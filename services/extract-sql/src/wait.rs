//! Waiting for a server, a little longer than it may take.

use databases::Address;
use flight_common::Fault;
use std::time::Duration;
use tokio::time::timeout;

/// How much longer than the server we wait: it is to speak first.
pub const GRACE: Duration = Duration::from_secs(10);

/// Waits for an answer for as long as the query may run, and a little longer.
///
/// # Errors
/// [`flight_common::FaultKind::TimedOut`]
pub async fn waited<T>(address: &Address, limit: Duration, answer: impl Future<Output = T>) -> Result<T, Fault> {
    timeout(limit + GRACE, answer).await.map_err(|_| {
        Fault::timed_out(format!(
            "{} was silent for longer than {}",
            address.shown(),
            humantime::format_duration(limit)
        ))
        .help("raise timeout, or see whether the database is well")
    })
}
