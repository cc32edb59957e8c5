//! What asking would cost, without asking. Tokens are estimated for a server, and counted for a local model.

use crate::bill::Bill;
use crate::chat::Manner;
use crate::estimate;
use crate::local::Counter;
use crate::params::Prices;
use crate::trouble::Trouble;
use flight_common::{MemoryBudget, Meter, Reservation};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the prompts that would be asked.
pub struct Estimate {
    meter: Arc<Meter>,
    prices: Option<Prices>,
    tokens: Tokens,
    most_tokens: u64,
    sum: Mutex<Sum>,
}

/// How the tokens of a prompt are found out.
pub enum Tokens {
    /// About, with so many for what the model is told first.
    About(u64),
    /// By its tokenizer.
    Counted(Box<Counter>),
}

impl Tokens {
    /// An estimate, for requests like these.
    pub fn about(manner: &Manner) -> Self {
        Self::About(manner.system.as_deref().map_or(0, estimate::tokens))
    }

    async fn of(&self, prompt: &str) -> Result<u64, Trouble> {
        match self {
            Self::About(system) => Ok(system + estimate::tokens(prompt)),
            Self::Counted(counter) => counter.count(prompt).await,
        }
    }
}

struct Sum {
    seen: HashSet<[u8; 32]>,
    reserved: Reservation,
    prompts: u64,
    tokens: u64,
}

/// Bytes of a prompt that has been seen, with the room that a hash table leaves free.
const ENTRY: usize = 80;

impl Estimate {
    /// Nothing is seen yet.
    pub fn new(
        manner: &Manner,
        tokens: Tokens,
        prices: Option<Prices>,
        meter: Arc<Meter>,
        budget: &MemoryBudget,
    ) -> Self {
        let sum = Sum { seen: HashSet::new(), reserved: budget.reservation(), prompts: 0, tokens: 0 };
        let estimate = Self { meter, prices, tokens, most_tokens: manner.most_tokens(), sum: Mutex::new(sum) };
        estimate.meter.detail("dry_run", true);
        estimate.tell(&estimate.sum.lock().unwrap_or_else(PoisonError::into_inner));
        estimate
    }

    /// Takes a prompt into account, unless it has been seen. Without memory to know it again it counts once more.
    ///
    /// # Errors
    /// As [`Counter::count`].
    pub async fn see(&self, prompt: &str, bill: &Bill) -> Result<(), Trouble> {
        bill.count("rows_to_complete", 1);
        if !self.is_new(prompt) {
            return Ok(());
        }
        let tokens = self.tokens.of(prompt).await?;
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.prompts += 1;
        sum.tokens += tokens;
        self.tell(&sum);
        Ok(())
    }

    fn is_new(&self, prompt: &str) -> bool {
        let key = Sha256::digest(prompt).into();
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        if sum.seen.contains(&key) {
            return false;
        }
        if sum.reserved.try_grow(ENTRY) {
            sum.seen.insert(key);
        }
        true
    }

    fn tell(&self, sum: &Sum) {
        let completion = sum.prompts.saturating_mul(self.most_tokens);
        self.meter.detail("estimated_requests", sum.prompts);
        self.meter.detail("estimated_prompt_tokens", sum.tokens);
        self.meter.detail("most_completion_tokens", completion);
        if let Some(prices) = self.prices {
            self.meter.detail("estimated_cost", prices.of(sum.tokens, completion));
        }
    }
}
