//! The knobs of `outliers`.

use flight_common::columns::ColumnList;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Finds values that lie far from the others, and removes their rows, clips them or flags them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The column to look at, if it is one. It holds numbers: integers, floats or decimals. Example: `MonthlyIncome`.
    #[serde(default)]
    pub column: Option<String>,

    /// The columns to look at, if there are several: a list of names, or one string with commas between them. Each is
    /// measured by itself, over all rows. Example: `[MonthlyIncome, Age]`.
    #[serde(default)]
    pub columns: Option<ColumnList>,

    /// How distance is measured: see the table. Example: `iqr`.
    #[serde(default)]
    pub method: Method,

    /// For `z_score`: how many standard deviations a value may lie from the mean. Values at exactly this distance stay.
    /// It is a number above 0; a smaller one finds more. Example: `2.5`.
    #[serde(default)]
    #[schemars(with = "f64", extend("exclusiveMinimum" = 0, "default" = 3.0))]
    pub z_threshold: Option<f64>,

    /// For `iqr`: how many interquartile ranges a value may lie below the first or above the third quartile. It is a
    /// number above 0. Tukey calls values beyond 1.5 outside and those beyond 3 far out. Example: `3.0`.
    #[serde(default)]
    #[schemars(with = "f64", extend("exclusiveMinimum" = 0, "default" = 1.5))]
    pub iqr_multiplier: Option<f64>,

    /// For `mad`: the largest modified z-score that a value may have. It is a number above 0. Example: `5.0`.
    #[serde(default)]
    #[schemars(with = "f64", extend("exclusiveMinimum" = 0, "default" = 3.5))]
    pub mad_threshold: Option<f64>,

    /// The columns whose values make groups, each of which is measured by itself: a list of names, or one string with
    /// commas between them. Nulls are a group too. None: all rows are one group. Example: `[Department]`.
    #[serde(default)]
    pub group_by: Option<ColumnList>,

    /// What to do about outliers.
    #[serde(default)]
    pub action: Action,
}

/// How the distance of a value from the others is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// In standard deviations from the mean.
    #[default]
    ZScore,
    /// In interquartile ranges beyond the quartiles.
    Iqr,
    /// In median absolute deviations from the median.
    Mad,
}

/// What to do about outliers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Remove rows with an outlier in any of the columns.
    #[default]
    Remove,
    /// Put the nearest value that is no outlier in its place.
    Clip,
    /// Keep all rows, and add a boolean column `<column>_outlier` for each column.
    Flag,
}
