//! Identical prompts are asked once.
//!
//! A prompt that is under way is waited for by all who have it. Its answer, or its failure, is remembered as long as the
//! memory budget has room, of which it leaves most to others; without room it is forgotten when it has been given out, and
//! asked again if it comes back.

use crate::trouble::Trouble;
use flight_common::{MemoryBudget, Reservation};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// What became of a prompt.
pub type Outcome = Result<Arc<str>, Trouble>;

type Key = [u8; 32];

/// The outcomes so far.
pub struct Memo(Mutex<Inner>);

struct Inner {
    known: HashMap<Key, Arc<OnceCell<Outcome>>>,
    reserved: Reservation,
    /// Bytes to remember at most.
    most: usize,
}

/// The part of all memory that may be remembered.
const PART: usize = 4;
/// Bytes that an entry takes beside its words: key, cell, and the room that a hash table leaves free.
const ENTRY: usize = 256;

impl Memo {
    /// Nothing is known yet.
    pub fn new(budget: &MemoryBudget) -> Self {
        let most = budget.limit() / PART;
        Self(Mutex::new(Inner { known: HashMap::new(), reserved: budget.reservation(), most }))
    }

    /// The outcome of a prompt. `ask` is polled only if nobody has asked and nobody is asking.
    pub async fn once(&self, prompt: &str, ask: impl Future<Output = Outcome> + Send) -> Outcome {
        let key: Key = Sha256::digest(prompt).into();
        let cell = self.cell(key);
        if let Some(outcome) = cell.get() {
            return outcome.clone();
        }
        let mut asked = false;
        let outcome = cell
            .get_or_init(|| {
                asked = true;
                ask
            })
            .await
            .clone();
        if asked {
            self.settle(&key, &outcome);
        }
        outcome
    }

    fn cell(&self, key: Key) -> Arc<OnceCell<Outcome>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.known.entry(key).or_default().clone()
    }

    fn settle(&self, key: &Key, outcome: &Outcome) {
        let bytes = ENTRY + outcome.as_ref().map_or(ENTRY, |words| words.len());
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = bytes <= inner.most - inner.reserved.bytes();
        if !(has_room && inner.reserved.try_grow(bytes)) {
            inner.known.remove(key);
        }
    }
}
