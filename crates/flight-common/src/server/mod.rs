//! A Flight server for the steps of a registry.
//!
//! | file | what |
//! |---|---|
//! | [`call`] | what every streaming call has: who calls, until when, under which trace |
//! | [`opening`] | how a call begins |
//! | [`exchange`] | `DoExchange`, `DoGet`, `DoPut` of a load: a step runs |
//! | [`pump`] | its messages on their way to the network |
//! | [`running`] | exchanges under way, by their ids |
//! | [`parking`] | further outputs of exchanges, until they are fetched |
//! | [`put`], [`staging`] | `DoPut` of a named input, kept until its exchange asks for it |
//! | [`unary`] | planning (`GetFlightInfo`, `GetSchema`) and `DoAction` |
//! | [`mux`] | which call goes where |
//! | [`listen`] | sockets, HTTP/2 settings, health, draining |
//!
//! The streaming calls take raw HTTP bodies, so that Arrow buffers reach the network without a copy; the others go
//! through `tonic`'s generated service.

mod asking;
mod call;
mod exchange;
mod listen;
mod mux;
mod opening;
mod parking;
mod pump;
mod put;
mod running;
mod staging;
mod unary;

pub(crate) use asking::{Answer, PERMIT, Question};
pub use call::MESH_HEADER;
pub(crate) use listen::http2;
pub use listen::{Listener, LocalConnector, Server, Settings, Socket};
pub use unary::{CANCEL, DESCRIBE, PlanDetails};

use crate::command::StepCommand;
use crate::fault::Fault;
use crate::registry::Registry;
use crate::step::StepEnv;
use parking::Parking;
use running::Running;
use staging::Staging;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Bounds that protect a service. Each has a default that suits a pod of 512 MiB.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Exchanges at a time. More are told to come back soon.
    pub exchanges: usize,
    /// Time for a caller to send its command and the schemas of its inputs.
    pub opening: Duration,
    /// Time for a staged input to wait for its exchange.
    pub staging: Duration,
    /// Bytes of output on the way to a reader of the mesh.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            exchanges: 64,
            opening: Duration::from_secs(30),
            staging: Duration::from_secs(60),
            output_bytes: 8 << 20,
        }
    }
}

/// An exchange: its step, by the name that the step has for itself, and the id that its caller has chosen. Callers choose
/// without knowing of each other, and a door before this server may keep them apart by both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExchangeKey {
    step: &'static str,
    id: String,
}

/// What all calls of a server share.
pub(crate) struct Service {
    registry: Registry,
    env: StepEnv,
    limits: Limits,
    slots: Arc<Semaphore>,
    staging: Staging,
    parking: Parking,
    running: Mutex<HashMap<ExchangeKey, Running>>,
    /// Cancelled when calls under way may not go on.
    cut_off: CancellationToken,
}

impl Service {
    fn new(registry: Registry, env: StepEnv, limits: Limits, cut_off: CancellationToken) -> Self {
        Self {
            registry,
            env,
            slots: Arc::new(Semaphore::new(limits.exchanges)),
            limits,
            staging: Staging::default(),
            parking: Parking::default(),
            running: Mutex::default(),
            cut_off,
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<ExchangeKey, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exchange that a command belongs to.
    fn exchange_key(&self, command: &StepCommand) -> Result<ExchangeKey, Fault> {
        let step = self.registry.find(&command.step)?.spec().name;
        Ok(ExchangeKey { step, id: command.exchange_id.clone() })
    }

    /// Exchanges that run.
    fn active(&self) -> usize {
        self.limits.exchanges.saturating_sub(self.slots.available_permits())
    }

    /// Cancels an exchange. Returns whether there was one.
    fn cancel(&self, exchange: &ExchangeKey) -> bool {
        let token = self.running().get(exchange).map(|running| running.token.clone());
        token.inspect(CancellationToken::cancel).is_some()
    }
}
