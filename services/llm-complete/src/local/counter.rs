//! The tokens of prompts, counted by the tokenizer of a local model, without its weights.

use super::{Chosen, fault};
use crate::trouble::Trouble;
use flight_common::{DataRoot, Fault, MemoryBudget, Reservation, StepContext};
use local_model::{Flaw, Voice};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Counts tokens.
pub struct Counter {
    chosen: Chosen,
    system: Option<String>,
    root: DataRoot,
    budget: MemoryBudget,
    voice: OnceCell<(Arc<Voice>, Reservation)>,
}

impl Counter {
    /// By the tokenizer of this model, which is read when there is something to count.
    pub fn new(chosen: Chosen, system: Option<&str>, context: &StepContext) -> Box<Self> {
        Box::new(Self {
            chosen,
            system: system.map(str::to_owned),
            root: context.env.data_root.clone(),
            budget: context.budget().clone(),
            voice: OnceCell::new(),
        })
    }

    /// The tokens of a prompt, with all that is around it.
    ///
    /// # Errors
    /// Why there is no tokenizer, or what is wrong with the prompt.
    pub async fn count(&self, prompt: &str) -> Result<u64, Trouble> {
        let (voice, _) = self.voice.get_or_try_init(|| self.read()).await.map_err(Trouble::all)?;
        match voice.prompt(self.system.as_deref(), prompt) {
            Ok(tokens) => Ok(tokens.len() as u64),
            Err(flaw @ Flaw::Prompt(_)) => Err(Trouble::prompt(fault(self.chosen.path(), &flaw))),
            Err(flaw) => Err(Trouble::all(fault(self.chosen.path(), &flaw))),
        }
    }

    async fn read(&self) -> Result<(Arc<Voice>, Reservation), Fault> {
        let memory = self.budget.try_reserve(self.chosen.card.tokenizer_memory());
        let memory = memory.ok_or_else(|| {
            let message = format!("there is no memory for the tokenizer of {} now", self.chosen.path());
            Fault::busy(message).help("set a larger --memory-limit where the step runs")
        })?;
        let (chosen, root) = (self.chosen.clone(), self.root.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let mut file = chosen.open(&root)?.into_std();
            Voice::read(&mut file).map(Arc::new).map_err(|flaw| fault(chosen.path(), &flaw))
        });
        Ok((reading.await.map_err(Fault::internal)??, memory))
    }
}
