//! Further outputs of exchanges, until they are fetched: the mirror of [staging](super::staging).
//!
//! An exchange has one stream out, and a step may have more to give. Those outputs that the exchange claims, in `outputs`,
//! are fetched by `DoGet`, each once, tied to it by `exchange_id`: while it runs, or for a while after it has ended.

use super::ExchangeKey;
use crate::drive::Gauge;
use crate::fault::Fault;
use crate::stream::BatchStream;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Outputs that wait at a time.
const MAX_WAITING: usize = 1024;

/// The outputs that wait: by exchange, and by name.
#[derive(Default)]
pub(super) struct Parking(Mutex<HashMap<ExchangeKey, HashMap<String, Parked>>>);

/// An output that waits.
pub(super) struct Parked {
    pub stream: BatchStream,
    /// The figures of its step.
    pub gauge: Gauge,
    /// Cancelled with its exchange.
    pub cancel: CancellationToken,
    /// Whether the main output of the exchange has ended, and well.
    pub main: watch::Receiver<Option<bool>>,
}

impl Parking {
    fn waiting(&self) -> MutexGuard<'_, HashMap<ExchangeKey, HashMap<String, Parked>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an output wait.
    ///
    /// # Errors
    /// [`crate::FaultKind::Busy`] when too many wait.
    pub fn park(&self, exchange: &ExchangeKey, name: &str, parked: Parked) -> Result<(), Fault> {
        let mut waiting = self.waiting();
        if waiting.values().map(HashMap::len).sum::<usize>() >= MAX_WAITING {
            return Err(Fault::busy("too many outputs wait to be fetched").retry_after(Fault::RETRY_SOON));
        }
        waiting.entry(exchange.clone()).or_default().insert(name.to_owned(), parked);
        Ok(())
    }

    /// Takes an output, once.
    pub fn take(&self, exchange: &ExchangeKey, name: &str) -> Option<Parked> {
        let mut waiting = self.waiting();
        let outputs = waiting.get_mut(exchange)?;
        let taken = outputs.remove(name);
        if outputs.is_empty() {
            waiting.remove(exchange);
        }
        taken
    }

    /// Whether any output of this exchange waits.
    pub fn has(&self, exchange: &ExchangeKey) -> bool {
        self.waiting().contains_key(exchange)
    }

    /// Drops what nobody has fetched.
    pub fn forget(&self, exchange: &ExchangeKey) {
        // Outside of the lock: a step may take its time to stop.
        let _dropped = self.waiting().remove(exchange);
    }
}
