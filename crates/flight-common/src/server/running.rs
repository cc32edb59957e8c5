//! Exchanges under way, by their ids.

use super::Service;
use crate::compute;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

impl Service {
    /// Enters an exchange.
    pub(super) fn register(self: &Arc<Self>, exchange_id: &str) -> Registered {
        let token = CancellationToken::new();
        if !exchange_id.is_empty() {
            self.running().insert(exchange_id.to_owned(), token.clone());
        }
        Registered { service: self.clone(), exchange_id: exchange_id.to_owned(), token, end: watch::Sender::new(None) }
    }
}

/// An exchange that can be cancelled by its id, for as long as it runs.
pub(super) struct Registered {
    service: Arc<Service>,
    exchange_id: String,
    pub token: CancellationToken,
    /// Whether its main output has ended, and well. Nothing while it goes on, and for ever if it is dropped before.
    pub end: watch::Sender<Option<bool>>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.service.running().remove(&self.exchange_id);
        if self.end.borrow().is_none() {
            self.token.cancel();
            self.service.parking.forget(&self.exchange_id);
        } else if self.service.parking.has(&self.exchange_id) {
            let (service, exchange_id) = (self.service.clone(), self.exchange_id.clone());
            let late = async move {
                tokio::time::sleep(service.limits.opening).await;
                service.parking.forget(&exchange_id);
            };
            drop(compute::spawn(late).detach());
        }
    }
}
