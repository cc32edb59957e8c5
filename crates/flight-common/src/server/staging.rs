//! Named inputs sent ahead of their exchange, or beside it.
//!
//! A join has two inputs and an exchange has one stream: the further input comes by `DoPut`, tied to its exchange by
//! `exchange_id`. Before the exchange asks for it, what arrives is kept, memory then disk; once it is claimed, the
//! sender is held back to the pace of its reader.

use super::ExchangeKey;
use crate::fault::Fault;
use crate::spool::{SpillReceiver, SpillSender, SpillSpace, spill_queue};
use crate::stream::BatchStream;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// An exchange, and the name of its input.
type Key = (ExchangeKey, String);

/// Bytes a claimed input may run ahead of its reader.
const AHEAD: usize = 8 << 20;
/// Inputs waiting at a time.
const MAX_WAITING: usize = 256;

/// The inputs that wait.
#[derive(Default)]
pub(super) struct Staging {
    waiting: Mutex<HashMap<Key, Waiting>>,
    arrived: Notify,
}

struct Waiting {
    receiver: SpillReceiver<RecordBatch>,
    claimed: watch::Sender<bool>,
}

impl Staging {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Key, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the input `name` of an exchange known, so that it can be claimed while it arrives.
    ///
    /// # Errors
    /// [`crate::FaultKind::Busy`] when too many wait, [`crate::FaultKind::BadParams`] for one that is there already.
    pub fn announce(
        &self,
        exchange: &ExchangeKey,
        name: &str,
        schema: SchemaRef,
        space: &SpillSpace,
    ) -> Result<Arriving, Fault> {
        let (sender, receiver) = spill_queue(space, schema);
        let (claimed, claim) = watch::channel(false);
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            return Err(Fault::busy("too many inputs wait for their exchange").retry_after(Fault::RETRY_SOON));
        }
        let key = (exchange.clone(), name.to_owned());
        if waiting.contains_key(&key) {
            return Err(Fault::bad_params(format!(
                "the input \"{name}\" of exchange \"{}\" is there already",
                exchange.id
            ))
            .help("choose a fresh exchange_id for each exchange"));
        }
        waiting.insert(key, Waiting { receiver, claimed });
        drop(waiting);
        self.arrived.notify_waiters();
        Ok(Arriving { sender, claim })
    }

    /// The input `name` of an exchange, as soon as it begins to arrive.
    pub async fn claim(&self, exchange: &ExchangeKey, name: &str, patience: Duration) -> Result<BatchStream, Fault> {
        let key = (exchange.clone(), name.to_owned());
        let found = timeout(patience, async {
            loop {
                let arrived = self.arrived.notified();
                let mut arrived = std::pin::pin!(arrived);
                arrived.as_mut().enable();
                if let Some(found) = self.waiting().remove(&key) {
                    return found;
                }
                arrived.await;
            }
        });
        let found = found.await.map_err(|_| {
            Fault::timed_out(format!("the input \"{name}\" of exchange \"{}\" was not staged in time", exchange.id))
                .help("send it by DoPut with the same exchange_id, on the same connection")
        })?;
        found.claimed.send_replace(true);
        Ok(found.receiver.into_stream())
    }

    /// Drops what waits for an exchange that will not come.
    pub fn forget(&self, exchange: &ExchangeKey, name: &str) {
        self.waiting().remove(&(exchange.clone(), name.to_owned()));
    }
}

/// An input on its way in.
pub(super) struct Arriving {
    sender: SpillSender<RecordBatch>,
    claim: watch::Receiver<bool>,
}

impl Arriving {
    /// Keeps all of `input`, to its end. Poll it on the compute pool. Gives back whether it has been claimed yet.
    ///
    /// # Errors
    /// The stream's fault, which the exchange sees as well.
    pub async fn take_in(self, mut input: BatchStream) -> Result<watch::Receiver<bool>, Fault> {
        while let Some(batch) = input.next().await {
            let kept = batch.and_then(|batch| self.sender.push(batch));
            match kept {
                Ok(true) => {}
                Ok(false) => return Err(Fault::cancelled("nobody reads this input any more")),
                Err(fault) => {
                    self.sender.finish(Err(fault.clone()));
                    return Err(fault);
                }
            }
            while *self.claim.borrow() && self.sender.waiting_bytes().is_some_and(|bytes| bytes > AHEAD) {
                self.sender.taken().await;
            }
        }
        self.sender.finish(Ok(()));
        Ok(self.claim)
    }
}
