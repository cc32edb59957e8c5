//! The knobs of `sql`.

use schemars::JsonSchema;
use serde::Deserialize;

/// Asks one question of the step's inputs, in SQL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The question: one `SELECT` (or `WITH … SELECT`) over the inputs, each of which is a table under its name, and is to be
    /// read. Example: `SELECT region, sum(amount) AS total FROM orders GROUP BY region`.
    pub query: String,
}
