//! Calls that belong together: an exchange, the inputs that are staged for it, and the further outputs that are fetched
//! from it, tied by one `exchange_id`.
//!
//! They have to reach the same server, and behind one address there may be many. So they share a connection, from the first
//! of them until nothing more can come: the exchange has ended and its outputs have been asked for, or a while has passed.
//! They belong to whoever made the first, and nobody else can join them. Until then no second exchange takes the same id: its
//! outputs would take the places of those that wait to be fetched. One that its server refuses has not begun, and may be tried
//! again.

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
/// What to do about an id that is taken.
const FRESH: &str = "choose a fresh exchange_id for each exchange";

/// The exchanges that came in by this door.
#[derive(Clone, Default)]
pub struct Exchanges(Arc<Mutex<HashMap<Key, Exchange>>>);

/// A step, and an id that callers choose.
type Key = (String, String);

struct Exchange {
    owner: String,
    client: StepClient,
    /// Whether the exchange itself has begun, or is about to; before that, its inputs come.
    begun: bool,
    /// Whether an input was staged for it.
    staged: bool,
    /// The outputs that it claims and that nobody has asked for yet.
    owed: Vec<String>,
    /// Calls under way that are the exchange itself.
    running: usize,
    /// Calls under way.
    calls: usize,
    /// When the last call ended.
    left: Instant,
}

fn key(step: &StepDescription, command: &StepCommand) -> Key {
    (step.name.clone(), command.exchange_id.clone())
}

/// What a call is to its exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The exchange itself.
    Exchange,
    /// It stages an input.
    Input,
    /// It fetches an output.
    Output,
}

/// A call's hold on its exchange.
pub struct Tie {
    exchanges: Exchanges,
    key: Key,
    part: Part,
    /// Whether no server has taken it yet.
    asks: bool,
    /// The connection to the server that has the exchange.
    pub client: StepClient,
}

impl Tie {
    /// Takes note that a server has taken the call. One that is let go before that was refused.
    pub fn taken(&mut self) {
        self.asks = false;
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        let over = self.exchanges.leave(&self.key, self.part, self.asks, Instant::now());
        // Where nothing runs any more, the process ends.
        let Some(runtime) = Handle::try_current().ok().filter(|_| !over) else { return };
        let (exchanges, key) = (self.exchanges.clone(), self.key.clone());
        runtime.spawn(async move {
            tokio::time::sleep(APART).await;
            exchanges.forget(&key, Instant::now());
        });
    }
}

impl Exchange {
    /// Whether no further call can belong to it.
    fn is_over(&self) -> bool {
        let awaits = if self.begun { !self.owed.is_empty() } else { self.staged };
        self.calls == 0 && !awaits
    }

    /// Whether somebody may come near it.
    fn check_owner(&self, caller: &str, command: &StepCommand) -> Result<(), Fault> {
        match self.owner == caller {
            true => Ok(()),
            false => {
                Err(Fault::denied(format!("the exchange \"{}\" is somebody else's", command.exchange_id)).help(FRESH))
            }
        }
    }

    /// Takes note of a call, unless it would begin again what has begun and has more to give.
    fn called(&mut self, part: Part, command: &StepCommand) -> Result<(), Fault> {
        match part {
            Part::Exchange if self.begun && !self.owed.is_empty() => {
                let id = &command.exchange_id;
                let fault = Fault::bad_params(format!("an exchange \"{id}\" with {} has begun already", command.step));
                return Err(fault.help(FRESH));
            }
            Part::Exchange => {
                self.begun = true;
                self.running += 1;
                self.owed.clone_from(&command.outputs);
            }
            Part::Input => self.staged = true,
            Part::Output => self.owed.retain(|owed| *owed != command.output),
        }
        self.calls += 1;
        Ok(())
    }

    /// Takes note that its server has refused it.
    fn refused(&mut self) {
        self.begun = false;
        self.owed.clear();
    }
}

impl Exchanges {
    fn open(&self) -> MutexGuard<'_, HashMap<Key, Exchange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ties a call to its exchange, which begins with it if there is none. `server` is where it would begin.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Denied`] for an exchange of somebody else, [`flight_common::FaultKind::BadParams`] for one
    /// that has begun already, [`flight_common::FaultKind::Busy`] when there are too many.
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
            let (owner, left) = (owner.to_owned(), Instant::now());
            Ok(Exchange { owner, client, begun: false, staged: false, running: 0, owed: Vec::new(), calls: 0, left })
        };
        let part = if command.input.is_empty() { Part::Exchange } else { Part::Input };
        self.tie(step, command, part, owner, begin)
    }

    /// Ties the call that fetches an output to its exchange.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::NotFound`] where there is none, [`flight_common::FaultKind::Denied`] for one of somebody
    /// else.
    pub fn rejoin(&self, step: &StepDescription, command: &StepCommand, owner: &str) -> Result<Tie, Fault> {
        let missing = || {
            let (step, id) = (&step.name, &command.exchange_id);
            Err(Fault::not_found(format!("no exchange \"{id}\" with {step} is open at this door")).help(
                "begin it here and name the output in its `outputs`; each output is fetched once, soon after the exchange",
            ))
        };
        self.tie(step, command, Part::Output, owner, missing)
    }

    /// The connection to the server that has an exchange, if it came in by this door.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Denied`] for one of somebody else.
    pub fn server_of(
        &self,
        step: &StepDescription,
        command: &StepCommand,
        owner: &str,
    ) -> Result<Option<StepClient>, Fault> {
        let open = self.open();
        let found = open.get(&key(step, command));
        found.map(|exchange| exchange.check_owner(owner, command).map(|()| exchange.client.clone())).transpose()
    }

    fn tie(
        &self,
        step: &StepDescription,
        command: &StepCommand,
        part: Part,
        owner: &str,
        begin: impl FnOnce() -> Result<Exchange, Fault>,
    ) -> Result<Tie, Fault> {
        let key = key(step, command);
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
        exchange.check_owner(owner, command)?;
        exchange.called(part, command)?;
        Ok(Tie { client: exchange.client.clone(), exchanges: self.clone(), part, asks: true, key })
    }

    /// Takes note that a call has ended, perhaps because it was refused, and says whether the exchange is over.
    fn leave(&self, key: &Key, part: Part, refused: bool, now: Instant) -> bool {
        let mut open = self.open();
        let Some(exchange) = open.get_mut(key) else { return true };
        exchange.calls -= 1;
        exchange.left = now;
        if part == Part::Exchange {
            exchange.running -= 1;
            if refused && exchange.running == 0 {
                exchange.refused();
            }
        }
        let over = exchange.is_over();
        if over {
            open.remove(key);
        }
        over
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
        StepDescription::new(&spec, serde_json::Value::Null.into())
    }

    fn named(id: &str) -> StepCommand {
        StepCommand { step: "quality".to_owned(), exchange_id: id.to_owned(), ..StepCommand::default() }
    }

    fn claiming(id: &str) -> StepCommand {
        StepCommand { outputs: vec!["rejected".to_owned()], ..named(id) }
    }

    fn fetching(id: &str) -> StepCommand {
        StepCommand { output: "rejected".to_owned(), ..named(id) }
    }

    fn staging(id: &str) -> StepCommand {
        StepCommand { input: "right".to_owned(), ..named(id) }
    }

    fn server() -> StepClient {
        StepClient::tcp("127.0.0.1:1").expect("an address")
    }

    /// One that its server has taken.
    fn begun(tied: Result<Tie, Fault>) -> Tie {
        let mut tie = tied.expect("it begins");
        tie.taken();
        tie
    }

    fn kind(tied: Result<Tie, Fault>) -> Result<(), FaultKind> {
        tied.map(drop).map_err(|fault| fault.kind())
    }

    #[tokio::test]
    async fn an_exchange_is_its_owners() {
        let (exchanges, server) = (Exchanges::default(), server());
        assert_eq!(kind(exchanges.rejoin(&step(), &fetching("a"), "ann")), Err(FaultKind::NotFound));
        let _first = exchanges.join(&step(), &claiming("a"), "ann", &server).expect("it begins");
        assert_eq!(kind(exchanges.join(&step(), &claiming("a"), "bob", &server)), Err(FaultKind::Denied));
        assert_eq!(kind(exchanges.rejoin(&step(), &fetching("a"), "bob")), Err(FaultKind::Denied));
        assert!(exchanges.server_of(&step(), &named("a"), "bob").is_err());
        assert!(exchanges.server_of(&step(), &named("a"), "ann").expect("hers").is_some());
        assert!(exchanges.server_of(&step(), &named("b"), "ann").expect("nobody's").is_none());
    }

    #[tokio::test]
    async fn an_exchange_is_over_when_its_outputs_have_been_asked_for() {
        let (exchanges, server) = (Exchanges::default(), server());
        drop(begun(exchanges.join(&step(), &named("a"), "ann", &server)));
        assert!(exchanges.open().is_empty(), "it claims nothing");
        drop(begun(exchanges.join(&step(), &claiming("a"), "ann", &server)));
        assert_eq!(exchanges.open().len(), 1);
        drop(exchanges.rejoin(&step(), &fetching("a"), "ann").expect("it waits"));
        assert!(exchanges.open().is_empty());
        let beside = begun(exchanges.join(&step(), &claiming("a"), "ann", &server));
        drop(exchanges.rejoin(&step(), &fetching("a"), "ann").expect("it is there"));
        assert_eq!(exchanges.open().len(), 1, "the exchange goes on");
        drop(beside);
        assert!(exchanges.open().is_empty());
    }

    #[tokio::test]
    async fn nothing_takes_the_id_of_an_exchange_that_has_more_to_give() {
        let (exchanges, server) = (Exchanges::default(), server());
        let again = || kind(exchanges.join(&step(), &claiming("a"), "ann", &server));
        let first = exchanges.join(&step(), &claiming("a"), "ann", &server);
        assert_eq!(again(), Err(FaultKind::BadParams), "it is about to begin");
        let first = begun(first);
        assert_eq!(again(), Err(FaultKind::BadParams), "it goes on");
        drop(first);
        assert_eq!(again(), Err(FaultKind::BadParams), "its output waits");
        assert_eq!(kind(exchanges.rejoin(&step(), &fetching("a"), "ann")), Ok(()));
        assert_eq!(again(), Ok(()), "it is over");
    }

    #[tokio::test]
    async fn an_exchange_that_was_refused_may_be_tried_again() {
        let (exchanges, server) = (Exchanges::default(), server());
        drop(exchanges.join(&step(), &claiming("a"), "ann", &server).expect("it asks"));
        assert!(exchanges.open().is_empty(), "nothing of it is left");
        drop(exchanges.join(&step(), &staging("a"), "ann", &server).expect("it begins"));
        drop(exchanges.join(&step(), &claiming("a"), "ann", &server).expect("it asks"));
        assert_eq!(exchanges.open().len(), 1, "its input waits at its server");
        let beside = exchanges.join(&step(), &staging("a"), "ann", &server).expect("it stages");
        drop(exchanges.join(&step(), &claiming("a"), "ann", &server).expect("it asks"));
        drop(beside);
        assert_eq!(kind(exchanges.join(&step(), &claiming("a"), "ann", &server)), Ok(()));
    }

    #[tokio::test]
    async fn what_nobody_comes_for_is_forgotten_after_a_while() {
        let (exchanges, server) = (Exchanges::default(), server());
        let staged = exchanges.join(&step(), &staging("a"), "ann", &server).expect("it begins");
        let key = staged.key.clone();
        exchanges.forget(&key, Instant::now() + APART);
        assert_eq!(exchanges.open().len(), 1, "a call is under way");
        drop(staged);
        exchanges.forget(&key, Instant::now());
        assert_eq!(exchanges.open().len(), 1, "it has just ended");
        exchanges.forget(&key, Instant::now() + APART);
        assert!(exchanges.open().is_empty());
    }

    #[tokio::test]
    async fn there_are_only_so_many() {
        let (exchanges, server) = (Exchanges::default(), server());
        let begin = |number: usize| exchanges.join(&step(), &staging(&number.to_string()), "ann", &server);
        let _open: Vec<Tie> = (0..MOST).map(|number| begin(number).expect("it begins")).collect();
        assert_eq!(kind(begin(MOST)), Err(FaultKind::Busy));
        assert_eq!(kind(begin(0)), Ok(()), "it is open already");
    }
}
