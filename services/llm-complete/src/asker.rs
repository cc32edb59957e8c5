//! Asks a prompt until there is an answer: within the limits of a run, again where that may help, and once for all rows
//! that have it.

use crate::answerer::Answerer;
use crate::bill::Bill;
use crate::memo::{Memo, Outcome};
use crate::pace::{Gate, LONGEST_WAIT, pause};
use crate::trouble::{Reach, Trouble};
use flight_common::MemoryBudget;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::Semaphore;

/// Limits of a run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests at a time.
    pub concurrency: usize,
    /// Requests to begin in a minute.
    pub per_minute: Option<u32>,
    /// Repetitions of a request.
    pub retries: u32,
}

/// Asks prompts.
pub struct Asker {
    answerer: Answerer,
    limits: Limits,
    places: Semaphore,
    gate: Gate,
    memo: Memo,
    bill: Arc<Bill>,
    /// Why nothing is asked any more.
    stopped: OnceLock<Trouble>,
}

impl Asker {
    /// Asks this one, within these limits.
    pub fn new(answerer: Answerer, limits: Limits, budget: &MemoryBudget, bill: Arc<Bill>) -> Self {
        Self {
            answerer,
            limits,
            places: Semaphore::new(limits.concurrency),
            gate: Gate::new(limits.per_minute, Instant::now()),
            memo: Memo::new(budget),
            bill,
            stopped: OnceLock::new(),
        }
    }

    /// What becomes of a prompt.
    pub async fn ask(&self, prompt: &str) -> Outcome {
        self.memo.once(prompt, self.ask_anew(prompt)).await
    }

    async fn ask_anew(&self, prompt: &str) -> Outcome {
        let _place = self.places.acquire().await;
        let mut number = 0;
        loop {
            self.gate.pass().await;
            if let Some(trouble) = self.stopped.get() {
                return Err(trouble.clone());
            }
            self.bill.count("requests_sent", 1);
            let (answered, completion) = self.answerer.ask(prompt).await;
            if let Some(usage) = answered {
                self.bill.answer(usage);
            }
            match completion {
                Ok(completion) => {
                    self.bill.count("answers_cut_off", completion.cut_off.into());
                    return Ok(completion.words);
                }
                Err(trouble) if number < self.limits.retries && self.may_pass(&trouble) => {
                    self.rest(&trouble, number).await;
                }
                Err(trouble) => {
                    if trouble.ends_all() {
                        let _ = self.stopped.set(trouble.clone());
                    }
                    return Err(trouble);
                }
            }
            number += 1;
        }
    }

    fn may_pass(&self, trouble: &Trouble) -> bool {
        match trouble.reach {
            Reach::Passing(Some(delay)) => delay <= LONGEST_WAIT,
            Reach::Passing(None) | Reach::PassingForAll => true,
            Reach::Prompt | Reach::All => false,
        }
    }

    /// Waits before the next try. What the server asks for holds for all requests; no pause at all is none that it asks for.
    async fn rest(&self, trouble: &Trouble, number: u32) {
        match trouble.reach {
            Reach::Passing(Some(delay)) if !delay.is_zero() => self.gate.close_until(Instant::now() + delay),
            _ => tokio::time::sleep(pause(number, rand::random())).await,
        }
    }
}
