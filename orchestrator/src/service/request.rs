//! What people and programs ask to be run, and why they are refused.

use crate::pipeline::{self, Problems};
use crate::store::StoreError;
use flight_common::Fault;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What a pipeline is called that has no name, neither of its own nor in the store.
pub const UNNAMED: &str = "unnamed";

/// A request to run.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// The name of the pipeline, if it is run by name; else the one that its text gives.
    pub pipeline: Option<String>,
    /// Its version, if it is run by name.
    pub version: Option<i64>,
    /// What it is called if neither says it.
    pub called: Option<String>,
    /// Its text.
    pub body: String,
    /// Changes of parameters: `step.param=value`.
    pub sets: Vec<String>,
    /// Values of the pipeline's parameters.
    pub params: BTreeMap<String, Value>,
    /// Greater goes first; as the pipeline says if none is named.
    pub priority: Option<i64>,
    /// Runs of its pipeline at a time; as the operator has set it if that is not said.
    pub concurrency: Option<i64>,
    /// Runs of its schedule, or of its backfill, at a time.
    pub of_series: Option<i64>,
    /// Two requests with the same key are one.
    pub idempotency_key: Option<String>,
    /// Who asks.
    pub by: String,
    /// Where it comes from.
    pub origin: String,
    /// The time of a schedule for which it runs.
    pub scheduled_at: Option<i64>,
    /// Whether nobody waits to be told what is wrong with it: then it is queued as it is, and its attempt finds out.
    pub unplanned: bool,
}

/// What to run, as callers say it: a stored pipeline by its name, or a text.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// The name of a stored pipeline.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// Its version; the newest if none is named.
    #[serde(default)]
    pub version: Option<i64>,
    /// The text of a pipeline, instead of a name.
    #[serde(default)]
    pub yaml: Option<String>,
    /// What the pipeline of a text is called, unless it says so itself: the name of its file, `daily.yaml` or `daily`.
    #[serde(default)]
    pub name: Option<String>,
    /// Values of the pipeline's parameters.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub params: BTreeMap<String, Value>,
    /// Changes of steps' parameters: `step.param=value`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Greater goes first; as the pipeline says if none is named.
    #[serde(default)]
    pub priority: Option<i64>,
    /// Runs of this pipeline at a time, as far as this run has a say.
    #[serde(default)]
    pub concurrency: Option<i64>,
}

impl RunRequest {
    /// Refuses numbers and names that no run has.
    pub(super) fn check(&self) -> Result<(), Refused> {
        let most = pipeline::MOST_RULED;
        if let Some(priority) = self.priority.filter(|priority| !(-most..=most).contains(priority)) {
            return Err(out_of_range("priority", priority, -most));
        }
        if let Some(concurrency) = self.concurrency.filter(|concurrency| !(1..=most).contains(concurrency)) {
            return Err(out_of_range("concurrency", concurrency, 1));
        }
        if let Some(name) = self.name.as_deref().filter(|name| !may_be_a_name(name)) {
            let why = format!("name is {name:?}, and not up to {} characters of one line", pipeline::LONGEST_NAME);
            return Err(Refused::Request(Fault::bad_params(why).help("give the pipeline a `name` in its text")));
        }
        Ok(())
    }
}

/// Why a request was refused.
#[derive(Debug)]
pub enum Refused {
    /// The request itself is not as it should be.
    Request(Fault),
    /// The pipeline cannot run.
    Wrong(Problems),
    /// The store says no.
    Store(StoreError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(fault) => fault.fmt(f),
            Self::Wrong(problems) => problems.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn out_of_range(what: &str, given: i64, least: i64) -> Refused {
    let why = format!("{what} is {given}, and not from {least} to {}", pipeline::MOST_RULED);
    Refused::Request(Fault::bad_params(why))
}

fn may_be_a_name(text: &str) -> bool {
    text.chars().count() <= pipeline::LONGEST_NAME && !text.chars().any(char::is_control)
}
