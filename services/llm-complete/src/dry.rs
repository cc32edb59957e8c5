//! What asking would cost, without asking.

use crate::bill::Bill;
use crate::chat::Manner;
use crate::estimate::tokens;
use crate::params::Prices;
use flight_common::{MemoryBudget, Meter, Reservation};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the prompts that would be asked.
pub struct Estimate {
    meter: Arc<Meter>,
    prices: Option<Prices>,
    system_tokens: u64,
    most_tokens: u64,
    sum: Mutex<Sum>,
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
    pub fn new(manner: &Manner, prices: Option<Prices>, meter: Arc<Meter>, budget: &MemoryBudget) -> Self {
        let sum = Sum { seen: HashSet::new(), reserved: budget.reservation(), prompts: 0, tokens: 0 };
        let estimate = Self {
            meter,
            prices,
            system_tokens: manner.system.as_deref().map_or(0, tokens),
            most_tokens: manner.most_tokens(),
            sum: Mutex::new(sum),
        };
        estimate.meter.detail("dry_run", true);
        estimate.tell(&estimate.sum.lock().unwrap_or_else(PoisonError::into_inner));
        estimate
    }

    /// Takes a prompt into account, unless it has been seen. Without memory to know it again it counts once more.
    pub fn see(&self, prompt: &str, bill: &Bill) {
        bill.count("rows_to_complete", 1);
        let key = Sha256::digest(prompt).into();
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        if sum.seen.contains(&key) {
            return;
        }
        if sum.reserved.try_grow(ENTRY) {
            sum.seen.insert(key);
        }
        sum.prompts += 1;
        sum.tokens += self.system_tokens + tokens(prompt);
        self.tell(&sum);
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
