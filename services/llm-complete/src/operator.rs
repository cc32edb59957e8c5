//! What the operator of a server has set: which model server is asked unless a pipeline says otherwise.
//!
//! It comes from the environment of the process and not from a pipeline, so it is trusted: its address may be a private
//! one, which is where a model server of one's own is.

use crate::hidden::Hidden;

const BASE_URL: &str = "QUIVER_LLM_BASE_URL";
const API_KEY: &str = "QUIVER_LLM_API_KEY";
const MODEL: &str = "QUIVER_LLM_MODEL";

/// The operator's settings. Each may be missing.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// Where the API begins: `http://localhost:11434/v1`.
    pub base_url: Option<String>,
    /// The key that goes with it.
    pub api_key: Option<Hidden>,
    /// The model to ask.
    pub model: Option<String>,
}

impl Operator {
    /// Those of `QUIVER_LLM_BASE_URL`, `QUIVER_LLM_API_KEY` and `QUIVER_LLM_MODEL`; an empty one is not set.
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        Self { base_url: set(BASE_URL), api_key: set(API_KEY).as_deref().map(Hidden::from), model: set(MODEL) }
    }
}
