//! What was asked and what it cost, for the report. It is kept up to date while it goes on: what a run has paid for until
//! it failed is told too.

use crate::chat::Usage;
use crate::params::Prices;
use flight_common::Meter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts into a step's report.
pub struct Bill {
    meter: Arc<Meter>,
    prices: Option<Prices>,
    tokens: Mutex<Usage>,
    examples: AtomicU64,
    /// Whether some of the cost is not known.
    is_short: AtomicBool,
}

/// Rows whose failure is told in the report.
const EXAMPLES: u64 = 5;

impl Bill {
    /// An empty bill.
    pub fn new(meter: Arc<Meter>, prices: Option<Prices>) -> Self {
        for name in [
            "rows_completed",
            "rows_failed",
            "rows_beyond_limit",
            "requests_sent",
            "answers",
            "answers_cut_off",
            "prompt_tokens",
            "completion_tokens",
        ] {
            meter.count(name, 0);
        }
        let bill = Self {
            meter,
            prices,
            tokens: Mutex::default(),
            examples: AtomicU64::new(0),
            is_short: AtomicBool::new(false),
        };
        bill.pay(Usage::default());
        bill
    }

    /// Counts.
    pub fn count(&self, name: &str, more: u64) {
        self.meter.count(name, more);
    }

    /// An answer came: these are its tokens, if the server said so.
    pub fn answer(&self, usage: Option<Usage>) {
        self.count("answers", 1);
        match usage {
            Some(usage) => self.pay(usage),
            None => {
                self.count("answers_without_usage", 1);
                if self.prices.is_some() && !self.is_short.swap(true, Ordering::Relaxed) {
                    self.meter
                        .warn("the server does not say how many tokens its answers took: the cost is higher than told");
                }
            }
        }
    }

    fn pay(&self, usage: Usage) {
        self.count("prompt_tokens", usage.prompt_tokens);
        self.count("completion_tokens", usage.completion_tokens);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.prompt_tokens = tokens.prompt_tokens.saturating_add(usage.prompt_tokens);
        tokens.completion_tokens = tokens.completion_tokens.saturating_add(usage.completion_tokens);
        if let Some(prices) = self.prices {
            self.meter.detail("cost", prices.of(tokens.prompt_tokens, tokens.completion_tokens));
        }
    }

    /// A row failed, and the run goes on.
    pub fn failed(&self, row: u64, why: &str) {
        self.count("rows_failed", 1);
        let number = self.examples.fetch_add(1, Ordering::Relaxed) + 1;
        if number <= EXAMPLES {
            self.meter.detail(&format!("failure_{number}"), format!("row {row}: {why}"));
        }
    }
}
