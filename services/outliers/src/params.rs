//! The knobs of `outliers`.

use schemars::JsonSchema;
use serde::Deserialize;

/// Removes the rows whose value in one column lies far from the mean.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The column to look at. It holds numbers: integers, floats or decimals. Example: `MonthlyIncome`.
    pub column: String,

    /// How many standard deviations a value may lie from the mean. Rows at exactly this distance stay. It is a number
    /// above 0; a smaller one removes more rows. Example: `2.5`.
    #[serde(default = "three")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub z_threshold: f64,
}

fn three() -> f64 {
    3.0
}
