//! The contract that every step must keep, as a check that tells by name what is missing.
//!
//! A step's `tests/contract.rs` hands the step over together with a [`ContractCase`]: parameters and a table for each
//! input, best with nulls, NaN and empty texts in it ([`awkward`] makes one). [`assert_kept`] then runs the step in every
//! way that the mesh may run it, and lists all that it breaks:
//!
//! | rule | what a step must do |
//! |---|---|
//! | `describes-itself` | name, summary, manual, inputs and outputs that fit its kind |
//! | `documents-its-parameters` | a doc comment on every parameter, nested ones too |
//! | `shows-examples` | at least one, each of which its parameters accept |
//! | `refuses-unknown-parameters` | as bad parameters, with the nearest name and the place |
//! | `has-its-readme` | the README of its folder is its description (`UPDATE_GOLDEN=1` writes it) |
//! | `plans-the-same-twice` | equal schemas for equal parameters and inputs |
//! | `runs` | with the case's parameters and rows |
//! | `keeps-its-planned-schema` | every batch, and the schema of the stream, are what was planned |
//! | `ends-well-without-rows` | empty inputs give the planned schema and a normal end |
//! | `ignores-how-rows-are-cut` | one-row batches, and empty batches in between, give equal rows |
//! | `tells-values-apart` | nulls, NaN and empty texts, where the case says that it must |
//! | `passes-faults-on` | a fault in any input comes out, at once, and never as a normal end |
//! | `leaves-nothing-behind` | no file, when an input failed or its reader left |
//! | `stops-when-dropped` | within a second, also while it computes |
//! | `stays-within-memory` | with an input ten times larger than the memory, and equal rows |
//! | `gives-memory-and-disk-back` | when it has ended |

mod aborts;
mod case;
mod describes;
mod lab;
mod memory;
mod rows;
mod runs;
#[cfg(test)]
mod tests;

pub use case::{ContractCase, awkward};

use crate::step::Step;
use crate::{params, registry};
use lab::Lab;
use std::fmt;

/// A rule that a step breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The rule, as in the table of this module.
    pub rule: &'static str,
    /// How it is broken.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Breaches found so far.
#[derive(Default)]
struct Breaches(Vec<Breach>);

impl Breaches {
    fn add(&mut self, rule: &'static str, what: impl Into<String>) {
        self.0.push(Breach { rule, what: what.into() });
    }

    /// Whether this rule is known to be broken.
    fn has(&self, rule: &str) -> bool {
        self.0.iter().any(|breach| breach.rule == rule)
    }

    /// Notes a breach unless the condition holds.
    fn expect(&mut self, rule: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, what());
        }
    }
}

/// Holds a step to the contract, and returns every rule that it breaks.
pub async fn check<S: Step>(step: S, case: ContractCase) -> Vec<Breach> {
    let mut found = Breaches::default();
    let step = registry::erase(step);
    describes::check(&*step, &mut found, |example| params::parse::<S::Params>(example).map(drop));
    describes::check_readme(&*step, &case.readme, &mut found);
    let lab = Lab::new(step, case);
    if !runs::check_case(&lab, &mut found) {
        return found.0;
    }
    describes::check_unknown_parameters(&lab, &mut found).await;
    // What cannot run at all has nothing to compare the other runs with.
    if let Some(whole) = runs::check_plain_run(&lab, &mut found).await {
        runs::check(&lab, &whole, &mut found).await;
        aborts::check(&lab, &mut found).await;
        memory::check(&lab, &mut found).await;
    }
    found.0
}

/// Holds a step to the contract.
///
/// # Panics
/// With every rule that it breaks.
pub async fn assert_kept<S: Step>(step: S, case: ContractCase) {
    let name = step.spec().name;
    let breaches = check(step, case).await;
    let list: Vec<String> = breaches.iter().map(|breach| format!("\n  - {breach}")).collect();
    assert!(breaches.is_empty(), "{name} breaks the contract of steps:{}", list.concat());
}
