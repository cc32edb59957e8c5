//! The knobs of `clean-nan`.

use flight_common::columns::ColumnList;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Removes rows with missing values, or fills the values in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What to do about missing values: nulls, and NaN in columns of floats. `drop` unless told.
    #[serde(default)]
    #[schemars(with = "Strategy", extend("default" = "drop"))]
    pub strategy: Option<Strategy>,

    /// The columns to look at: a list of names, or one string with commas between them. None: all columns, or those
    /// that `fill_value` names. Example: `[Age, MonthlyIncome]`.
    #[serde(default)]
    pub columns: Option<ColumnList>,

    /// What to do in single columns, each with a strategy of its own. With it, other columns are left as they are, unless
    /// `strategy` or `columns` is given too: then those are treated by `strategy`. Example:
    /// `{Age: fill_median, Department: fill_value, EmployeeNumber: drop}`.
    #[serde(default)]
    pub strategies: BTreeMap<String, Strategy>,

    /// What else is missing in the columns that are looked at: texts in columns of text, without regard to white space
    /// around them, and numbers in columns of numbers. They become nulls before anything else is done. Nothing
    /// unless told. Example: `["", "n/a", -999]`.
    #[serde(default)]
    pub nulls: Vec<Literal>,

    /// What to put in, for the strategy `fill_value` alone: one value for all the columns, or a mapping with a value for
    /// each column. It must fit the column's type. Dates and times are texts (`"2024-01-31"`); a decimal may be a
    /// number or a text. Examples: `0`, `{Age: 0, Department: "unknown"}`.
    #[serde(default)]
    pub fill_value: Option<FillValue>,
}

/// What to do about missing values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Remove rows with a missing value in any of the columns.
    #[default]
    Drop,
    /// Put the mean of the column in.
    FillMean,
    /// Put the median of the column in.
    FillMedian,
    /// Put the most frequent value of the column in.
    FillMode,
    /// Put `fill_value` in.
    FillValue,
    /// Put the last value above in.
    Ffill,
    /// Put the next value below in.
    Bfill,
    /// Put a number in that lies between the last one above and the next one below, in proportion to the rows between.
    Interpolate,
    /// Leave missing values as they are. With `nulls`, what is spelled so becomes null.
    Keep,
}

/// What to put in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FillValue {
    /// A value for each column.
    Each(BTreeMap<String, Literal>),
    /// One value for all the columns.
    All(Literal),
}

/// A value as it is written in JSON or YAML.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Literal {
    /// `true`
    Truth(bool),
    /// `12.5`
    Number(serde_json::Number),
    /// `unknown`
    Text(String),
}
