//! Calls that belong together: an exchange, the inputs that are staged for it, and the further outputs that are fetched
//! from it, tied by one `exchange_id`.
//!
//! They have to reach the same server, and behind one address there may be many. So they share a connection, from the first
//! of them until a while after the last. They belong to whoever made the first, and nobody else can join them.

use flight_common::client::StepClient;
use flight_common::{Fault, StepCommand, StepDescription};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long they may lie apart: longer than a server keeps what is staged, or waits to be fetched.
const APART: Duration = Duration::from_secs(90);
/// Exchanges at a time.
const MOST: usize = 1024;

/// The exchanges that came in by this door.
#[derive(Clone, Default)]
pub struct Exchanges(Arc<Mutex<HashMap<Key, Exchange>>>);

/// A step, and an id that callers choose.
type Key = (String, String);

struct Exchange {
    owner: String,
    client: StepClient,
    /// Calls under way.
    calls: usize,
    /// When the last call ended.
    left: Instant,
}

/// A call's hold on its exchange.
pub struct Tie {
    exchanges: Exchanges,
    key: Key,
    /// The connection to the server that has the exchange.
    pub client: StepClient,
}

impl Drop for Tie {
    fn drop(&mut self) {
        self.exchanges.leave(&self.key, Instant::now());
        // Where nothing runs any more, the process ends.
        let Ok(runtime) = Handle::try_current() else { return };
        let (exchanges, key) = (self.exchanges.clone(), self.key.clone());
        runtime.spawn(async move {
            tokio::time::sleep(APART).await;
            exchanges.forget(&key, Instant::now());
        });
    }
}

impl Exchanges {
    fn open(&self) -> MutexGuard<'_, HashMap<Key, Exchange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ties a call to its exchange, which begins with it if there is none. `server` is where it would begin.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Denied`] for an exchange of somebody else, [`flight_common::FaultKind::Busy`] when there
    /// are too many.
    pub fn join(
        &self,
        step: &StepDescription,
        command: &StepCommand,
        owner: &str,
        server: &StepClient,
    ) -> Result<Tie, Fault> {
        let begin = || {
            // As many answers as the step has outputs may stand still at a time.
            let client = server.on_its_own_connection(step.outputs.len() as u32);
            Ok(Exchange { owner: owner.to_owned(), client, calls: 0, left: Instant::now() })
        };
        self.tie(step, command, owner, begin)
    }

    /// Ties a call to an exchange that has begun.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::NotFound`] where there is none, [`flight_common::FaultKind::Denied`] for one of somebody
    /// else.
    pub fn rejoin(&self, step: &StepDescription, command: &StepCommand, owner: &str) -> Result<Tie, Fault> {
        let missing = || {
            let (step, id) = (&step.name, &command.exchange_id);
            Err(Fault::not_found(format!("no exchange \"{id}\" with {step} came in by this door"))
                .help("begin it here, under this step and id; it is forgotten a while after its last call"))
        };
        self.tie(step, command, owner, missing)
    }

    fn tie(
        &self,
        step: &StepDescription,
        command: &StepCommand,
        owner: &str,
        begin: impl FnOnce() -> Result<Exchange, Fault>,
    ) -> Result<Tie, Fault> {
        let key = (step.name.clone(), command.exchange_id.clone());
        let mut open = self.open();
        let full = open.len() >= MOST;
        let exchange = match open.entry(key.clone()) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => {
                let begun = begin()?;
                if full {
                    return Err(Fault::busy("too many exchanges are open").retry_after(Fault::RETRY_SOON));
                }
                free.insert(begun)
            }
        };
        if exchange.owner != owner {
            return Err(Fault::denied(format!("the exchange \"{}\" is somebody else's", command.exchange_id))
                .help("choose a fresh exchange_id for each exchange"));
        }
        exchange.calls += 1;
        Ok(Tie { client: exchange.client.clone(), exchanges: self.clone(), key })
    }

    fn leave(&self, key: &Key, now: Instant) {
        if let Some(exchange) = self.open().get_mut(key) {
            exchange.calls -= 1;
            exchange.left = now;
        }
    }

    /// Forgets an exchange that nobody has called for long.
    fn forget(&self, key: &Key, now: Instant) {
        let mut open = self.open();
        let over = open.get(key).is_some_and(|one| one.calls == 0 && now.saturating_duration_since(one.left) >= APART);
        if over {
            open.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::{FaultKind, StepSpec};

    fn step() -> StepDescription {
        let spec = StepSpec {
            name: "quality",
            version: "1",
            kind: flight_common::StepKind::Transform,
            summary: "",
            manual: "",
            inputs: flight_common::INPUT,
            outputs: &["output", "rejected"],
            effects: flight_common::Effects::None,
            keeps_order: true,
            aliases: &[],
            examples: &[],
        };
        StepDescription::new(&spec, serde_json::Value::Null)
    }

    fn named(id: &str) -> StepCommand {
        StepCommand { step: "quality".to_owned(), exchange_id: id.to_owned(), ..StepCommand::default() }
    }

    #[tokio::test]
    async fn an_exchange_is_its_owners_until_a_while_after_its_last_call() {
        let (exchanges, server) = (Exchanges::default(), StepClient::tcp("127.0.0.1:1").expect("an address"));
        let kind = |tied: Result<Tie, Fault>| tied.map(drop).map_err(|fault| fault.kind());
        assert_eq!(kind(exchanges.rejoin(&step(), &named("a"), "ann")), Err(FaultKind::NotFound));
        let first = exchanges.join(&step(), &named("a"), "ann", &server).expect("it begins");
        let key = first.key.clone();
        assert_eq!(kind(exchanges.join(&step(), &named("a"), "bob", &server)), Err(FaultKind::Denied));
        assert_eq!(kind(exchanges.rejoin(&step(), &named("a"), "bob")), Err(FaultKind::Denied));
        assert_eq!(kind(exchanges.rejoin(&step(), &named("b"), "ann")), Err(FaultKind::NotFound));

        exchanges.forget(&key, Instant::now() + APART);
        assert_eq!(kind(exchanges.rejoin(&step(), &named("a"), "ann")), Ok(()), "a call is under way");
        drop(first);
        exchanges.forget(&key, Instant::now());
        assert_eq!(kind(exchanges.rejoin(&step(), &named("a"), "ann")), Ok(()), "the last one has just ended");
        exchanges.forget(&key, Instant::now() + APART);
        assert_eq!(kind(exchanges.rejoin(&step(), &named("a"), "ann")), Err(FaultKind::NotFound));
    }

    #[tokio::test]
    async fn there_are_only_so_many() {
        let (exchanges, server) = (Exchanges::default(), StepClient::tcp("127.0.0.1:1").expect("an address"));
        let begin = |number: usize| exchanges.join(&step(), &named(&number.to_string()), "ann", &server);
        let _open: Vec<Tie> = (0..MOST).map(|number| begin(number).expect("it begins")).collect();
        assert_eq!(begin(MOST).err().map(|fault| fault.kind()), Some(FaultKind::Busy));
        assert!(begin(0).is_ok(), "it is open already");
    }
}
