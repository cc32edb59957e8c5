//! Prompts answered by a local model, as a server would answer them.

use super::shelf::{Lease, Shelf};
use super::{Chosen, fault, shown};
use crate::chat::{Completion, Usage, words_of};
use crate::trouble::{Reach, Trouble};
use flight_common::{DataRoot, Fault, FaultKind, MemoryBudget, Reservation, StepContext};
use local_model::Flaw;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::OnceCell;

/// A local model, and what it is told before each prompt.
pub struct Local {
    chosen: Arc<Chosen>,
    system: Option<Arc<str>>,
    shelf: Shelf,
    root: DataRoot,
    budget: MemoryBudget,
    lease: OnceCell<Arc<Lease>>,
}

impl Local {
    /// The model that was chosen. It is loaded when it is first asked.
    pub fn new(chosen: Chosen, system: Option<&str>, shelf: Shelf, context: &StepContext) -> Box<Self> {
        Box::new(Self {
            chosen: Arc::new(chosen),
            system: system.map(Arc::from),
            shelf,
            root: context.env.data_root.clone(),
            budget: context.budget().clone(),
            lease: OnceCell::new(),
        })
    }

    /// Asks once, and waits for its turn. The tokens are told also if there are no words in the answer.
    ///
    /// # Errors
    /// Why there is no completion.
    pub async fn ask(&self, prompt: &str) -> (Option<Option<Usage>>, Result<Completion, Trouble>) {
        match self.answer(prompt).await {
            Ok((usage, completion)) => (Some(Some(usage)), completion),
            Err(trouble) => (None, Err(trouble)),
        }
    }

    async fn answer(&self, prompt: &str) -> Result<(Usage, Result<Completion, Trouble>), Trouble> {
        let lease = self.lease.get_or_try_init(|| async {
            self.shelf.lease(&self.chosen, &self.root, &self.budget).await.map(Arc::new).map_err(without_model)
        });
        let lease = lease.await?.clone();
        let turn = lease.loaded().map(|loaded| loaded.turn.clone().acquire_owned());
        let turn = match turn {
            Some(turn) => turn.await.map_err(|closed| Trouble::all(Fault::internal(closed)))?,
            None => return Err(Trouble::all(Fault::internal("the model was given back"))),
        };
        let stop = Stop::default();
        let work = Work {
            lease,
            chosen: self.chosen.clone(),
            system: self.system.clone(),
            prompt: prompt.to_owned(),
            budget: self.budget.clone(),
            stopped: stop.0.clone(),
        };
        // It goes on until it sees that it is to stop; till then nobody else has the model.
        let answering = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work.answer()
        });
        answering.await.map_err(|error| Trouble::all(Fault::internal(error)))?
    }
}

/// Stops an answer that nobody waits for any more.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A prompt on its way.
struct Work {
    lease: Arc<Lease>,
    chosen: Arc<Chosen>,
    system: Option<Arc<str>>,
    prompt: String,
    budget: MemoryBudget,
    stopped: Arc<AtomicBool>,
}

impl Work {
    fn answer(&self) -> Result<(Usage, Result<Completion, Trouble>), Trouble> {
        let Some(loaded) = self.lease.loaded() else {
            return Err(Trouble::all(Fault::internal("the model was given back")));
        };
        let (model, manner, until) = (&loaded.model, &self.chosen.manner, Instant::now() + self.chosen.deadline);
        let late = std::cell::Cell::new(false);
        let watch = || {
            late.set(Instant::now() > until);
            if late.get() || self.stopped.load(Ordering::Relaxed) { Err(Flaw::Stopped) } else { Ok(()) }
        };
        let told = |flaw: Flaw| self.trouble(&flaw, late.get());
        let prompt = model.voice().prompt(self.system.as_deref(), &self.prompt).map_err(told)?;
        let _memory = self.memory(prompt.len().saturating_add(manner.max_tokens))?;
        let answer = model.answer(&prompt, manner, &watch).map_err(told)?;
        let usage = Usage { prompt_tokens: prompt.len() as u64, completion_tokens: answer.tokens as u64 };
        let words = words_of(&answer.words, answer.cut_off);
        Ok((
            usage,
            words.map_err(|why| Trouble::prompt(Fault::bad_data(why).help("look at what the prompt is for this row"))),
        ))
    }

    fn memory(&self, tokens: usize) -> Result<Reservation, Trouble> {
        let needed = self.chosen.card.answer_memory(tokens);
        self.lease.memory(needed, &self.budget).ok_or_else(|| {
            let message =
                format!("there is no memory for an answer of {} now: it needs {}", self.chosen.path(), shown(needed));
            without_model(
                Fault::busy(message).help("set a larger --memory-limit where the step runs, or less `max_tokens`"),
            )
        })
    }

    fn trouble(&self, flaw: &Flaw, late: bool) -> Trouble {
        if late {
            let fault = Fault::timed_out("the local model did not answer in time");
            return Trouble::prompt(fault.help("set a larger `timeout_seconds`, or less `max_tokens`"));
        }
        let fault = fault(self.chosen.path(), flaw);
        match flaw {
            Flaw::Prompt(_) | Flaw::Stopped => Trouble::prompt(fault),
            _ => Trouble::all(fault),
        }
    }
}

/// Without memory there may be some later; what else a model lacks it lacks for good.
fn without_model(fault: Fault) -> Trouble {
    match fault.kind() {
        FaultKind::Busy => Trouble { fault, reach: Reach::PassingForAll },
        _ => Trouble::all(fault),
    }
}
