//! The knobs of `delete-columns`.

use flight_common::columns::ColumnList;
use schemars::JsonSchema;
use serde::Deserialize;

/// Removes columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The columns to remove: a list of names, or one string with commas between them.
    pub columns: ColumnList,

    /// What to do about a name that is no column: `refuse` the pipeline, or `ignore` the name.
    #[serde(default)]
    pub missing: Missing,
}

/// What to do about a name that is no column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Refuse the pipeline, and show the nearest name.
    #[default]
    Refuse,
    /// Go on without it.
    Ignore,
}
