//! Exchanges under way, by their ids.

use super::asking::Answers;
use super::{ExchangeKey, Service};
use crate::compute;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

impl Service {
    /// Enters an exchange.
    pub(super) fn register(self: &Arc<Self>, exchange: ExchangeKey, answers: Option<Answers>) -> Registered {
        let token = CancellationToken::new();
        if !exchange.id.is_empty() {
            self.running().insert(exchange.clone(), Running { token: token.clone(), answers });
        }
        Registered { service: self.clone(), exchange, token, end: watch::Sender::new(None) }
    }
}

/// What reaches an exchange by its id.
pub(super) struct Running {
    pub token: CancellationToken,
    /// Where it waits for leave to commit.
    pub answers: Option<Answers>,
}

/// An exchange that can be cancelled by its id, for as long as it runs.
pub(super) struct Registered {
    service: Arc<Service>,
    exchange: ExchangeKey,
    pub token: CancellationToken,
    /// Whether its main output has ended, and well. Nothing while it goes on, and for ever if it is dropped before.
    pub end: watch::Sender<Option<bool>>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.service.running().remove(&self.exchange);
        if self.end.borrow().is_none() {
            self.token.cancel();
            self.service.parking.forget(&self.exchange);
        } else if self.service.parking.has(&self.exchange) {
            let (service, exchange) = (self.service.clone(), self.exchange.clone());
            let late = async move {
                tokio::time::sleep(service.limits.opening).await;
                service.parking.forget(&exchange);
            };
            drop(compute::spawn(late).detach());
        }
    }
}
