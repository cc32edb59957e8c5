//! The parameters of a pipeline: what a file declares, what a run gives, and what that makes of `{{ name }}`.
//!
//! | file | what |
//! |---|---|
//! | [`kind`] | which values a parameter may take |
//! | [`declare`] | `params:` read, with every mistake in it |
//! | [`template`] | a text cut at its placeholders |
//! | [`fill`] | values put where the placeholders stand |
//!
//! A file without `params:` has no placeholders: a text with `{{` in it stays what it is.

mod declare;
mod fill;
mod kind;
mod template;

pub use kind::ParamKind;

pub(super) use declare::declared;
pub(super) use fill::Missing;
pub(super) use template::is_name;

use super::source::Span;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a run gives its pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// Changes of the steps' own parameters: `step.param=value`.
    pub sets: Vec<String>,
    /// Values of the pipeline's parameters. A text is read as the type of its parameter.
    pub params: BTreeMap<String, Value>,
}

/// A parameter as it was declared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParamSpec {
    /// Its name.
    pub name: String,
    /// Which values it may take.
    #[serde(rename = "type")]
    pub kind: ParamKind,
    /// Its value where a run gives none. Without it, a run must give one.
    pub default: Option<Value>,
    /// For people.
    pub description: Option<String>,
    /// The only values that it may take; none means any of its type.
    #[serde(rename = "enum")]
    pub allowed: Vec<Value>,
    /// Where its name stood.
    #[serde(skip)]
    pub span: Span,
    /// Whether its declaration could not be read as a whole, which has been told.
    #[serde(skip)]
    pub half_read: bool,
}
