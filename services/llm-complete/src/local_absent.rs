//! What stands in the place of local models in a build without them: there is no way to come by one.

use crate::chat::{Completion, Usage};
use crate::params::Params;
use crate::trouble::Trouble;
use flight_common::params::bad_param;
use flight_common::{Fault, StepContext, StepEnv};
use std::time::Duration;

/// A model that was chosen: there is none.
#[derive(Clone, Debug)]
pub enum Chosen {}

impl Chosen {
    /// What identifies the file.
    pub fn source(&self) -> String {
        match *self {}
    }
}

/// Refuses.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] always.
pub async fn choose(_path: &str, _params: &Params, _env: &StepEnv) -> Result<Chosen, Fault> {
    let help = "build with --features local-model, or ask a server: `base_url`";
    Err(bad_param("/model_file", "this build has no local models", help))
}

/// The models that are loaded: none.
#[derive(Clone, Debug, Default)]
pub struct Shelf;

impl Shelf {
    /// An empty one.
    pub fn keeping(_kept_for: Duration) -> Self {
        Self
    }
}

/// A local model: there is none.
pub enum Local {}

impl Local {
    /// The model that was chosen.
    pub fn new(chosen: Chosen, _system: Option<&str>, _shelf: Shelf, _context: &StepContext) -> Box<Self> {
        match chosen {}
    }

    /// Asks once.
    pub async fn ask(&self, _prompt: &str) -> (Option<Option<Usage>>, Result<Completion, Trouble>) {
        match *self {}
    }
}

/// Counts tokens: there is nothing to count by.
pub enum Counter {}

impl Counter {
    /// By the tokenizer of this model.
    pub fn new(chosen: Chosen, _system: Option<&str>, _context: &StepContext) -> Box<Self> {
        match chosen {}
    }

    /// The tokens of a prompt.
    pub async fn count(&self, _prompt: &str) -> Result<u64, Trouble> {
        match *self {}
    }
}
