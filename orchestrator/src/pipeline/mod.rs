//! A pipeline, from text to plan. Every mistake is told with its line and column, and all of them at once.
//!
//! [`check`] goes all the way: text → tree (`read`, `yaml`) → steps ([`Spec`]), repeated (`each`)
//! and filled with values (`params`), with their conditions (`when`) → [`Graph`] (`edges`, `order`) → [`Plan`].
//! Each stage takes what the one before could make of the file, so that a mistake in one place hides none in another. All
//! but the last are pure; planning asks the steps.

mod draw;
mod each;
mod edges;
mod graph;
mod group;
mod hooks;
mod json;
mod order;
mod params;
mod plan;
mod planned;
mod problem;
mod read;
mod refusal;
mod rules;
mod schema;
mod set;
mod source;
mod spec;
mod step;
mod targets;
#[cfg(test)]
pub(crate) mod testing;
mod tree;
mod values;
mod when;
mod yaml;

pub use edges::Input;
pub use graph::{Graph, Node};
pub use group::Group;
pub use hooks::{Hook, HookRules};
pub use params::{Arguments, ParamKind, ParamSpec};
pub use plan::{
    Plan, PlannedNode, check, check_arguments, check_changes, check_finally, check_to_keep, check_unfilled,
};
pub use problem::{Problem, Problems};
pub use read::LARGEST;
pub use rules::{MOST_RULED, RetryRules, RunRules};
pub use schema::json_schema;
pub use source::{Source, Span};
pub use spec::{LONGEST_NAME, Spec, has_finally, load, rules, services, step_ids};
pub use step::{Item, Reference, StepSpec};
pub use when::{When, facts};
