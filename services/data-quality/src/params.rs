//! The knobs of `data-quality`.

use flight_common::columns::ColumnList;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Checks rows against rules, and passes them through unchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What to check. Each rule may be left out. Example:
    /// `{min_rows: 100, check_duplicates: true, check_value_range: {Age: {min: 18, max: 65}}}`.
    #[serde(default)]
    pub rules: Rules,

    /// Whether a failed rule stops the run. It does not unless this is set: the report tells the result either way.
    #[serde(default)]
    pub fail_on_errors: bool,

    /// What happens when single rules fail, by their names; for all others `fail_on_errors` tells. Rules that are not
    /// checked cannot be named. Only the rules that
    /// look at each row by itself can `reject`: `check_not_null`, `check_value_range`, `check_pattern`,
    /// `check_allowed_values`, `check_reference`. Example: `{min_rows: fail, check_pattern: reject, check_duplicates: warn}`.
    #[serde(default)]
    pub on_failure: BTreeMap<String, OnFailure>,

    /// Where to write a report of the checks: a path under the data root without an ending. `quality/orders` writes
    /// `quality/orders.html` and `quality/orders.json`, also when the run fails because of a rule.
    #[serde(default)]
    pub report: Option<String>,
}

/// What happens when a rule fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run stops at the end of the data.
    Fail,
    /// It is reported.
    Warn,
    /// The failing rows leave by the output `rejected`, each with the reason.
    Reject,
}

/// What to check.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The fewest rows there may be. Example: `100`.
    #[serde(default)]
    pub min_rows: Option<u64>,

    /// The most rows there may be. Example: `1000000`.
    #[serde(default)]
    pub max_rows: Option<u64>,

    /// Whether to check how many of all cells are null. NaN counts as null, an empty text does not. Without this
    /// switch the rule is on if `threshold_null_ratio` is given.
    #[serde(default)]
    pub check_null_ratio: Option<bool>,

    /// The largest part of all cells that may be null, from 0 to 1; 0.5 unless told. Example: `0.05`.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold_null_ratio: Option<f64>,

    /// Whether to check that no row occurs twice. The first of equal rows is no duplicate. Nulls equal each other, NaN
    /// equals NaN, and 0.0 equals -0.0.
    #[serde(default)]
    pub check_duplicates: bool,

    /// The type that each of these columns must have. Example: `{Age: integer, Hired: datetime, Name: string}`.
    #[serde(default)]
    pub check_column_types: BTreeMap<String, ColumnType>,

    /// The columns in which no value may occur twice: a list of names, or one string with commas between them. Nulls
    /// and NaN are left out. Example: `[EmployeeNumber]`.
    #[serde(default)]
    pub check_unique_columns: Option<ColumnList>,

    /// The smallest and the largest value that each of these columns may hold, both included. Nulls and NaN are left
    /// out. Example: `{Age: {min: 18, max: 65}, Hired: {min: "1990-01-01"}}`.
    #[serde(default)]
    pub check_value_range: BTreeMap<String, ValueRange>,

    /// The columns in which no value may be missing: a list of names, or one string with commas between them. NaN counts
    /// as null, an empty text does not. Example: `[EmployeeNumber, Department]`.
    #[serde(default)]
    pub check_not_null: Option<ColumnList>,

    /// A regular expression that the texts of each of these columns must match, in the syntax of Rust's crate `regex`,
    /// which is that of RE2. A part of the text is enough unless `^` and `$` say otherwise. Nulls are left out. Example:
    /// `{Email: "^[^@ ]+@[^@ ]+$"}`.
    #[serde(default)]
    pub check_pattern: BTreeMap<String, String>,

    /// The texts that each of these columns may hold. Nulls are left out. Example: `{Status: [open, paid, shipped]}`.
    #[serde(default)]
    pub check_allowed_values: BTreeMap<String, Vec<String>>,

    /// A file in which the values of each of these columns must occur, as a foreign key must: `file_path` under the data
    /// root, a CSV file with a header line or a `.parquet` file, and `column`, unless it has the same name. Nulls are left
    /// out. Example: `{Department: {file_path: departments.csv, column: Name}}`.
    #[serde(default)]
    pub check_reference: BTreeMap<String, Reference>,

    /// How old the newest date or time of each of these columns may be when the data have been read. A column without
    /// any value is too old. Times without a zone are taken for UTC. Example: `{OrderDate: "36h"}`.
    #[serde(default)]
    pub check_freshness: BTreeMap<String, String>,

    /// A file that columns must be distributed as: last month's, say. For each column the population stability index is
    /// worked out, which is 0 for equal distributions. Example:
    /// `{file_path: last_month.parquet, columns: [Amount, Region], max_psi: 0.2}`.
    #[serde(default)]
    pub check_drift: Option<Drift>,

    /// Whether to report how complete each column is. This never fails.
    #[serde(default)]
    pub check_completeness: bool,
}

/// A file that columns must be distributed as.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The file, under the data root: CSV with a header line, or `.parquet`. Example: `last_month.parquet`.
    pub file_path: String,

    /// The columns to compare with those of the same names in the file: a list of names, or one string with commas between
    /// them. They hold numbers, dates or times, texts, or true and false. Example: `[Amount, Region]`.
    pub columns: ColumnList,

    /// The largest index that passes. Usual borders are 0.1 (no change to speak of) and 0.25 (a large one). Example: `0.1`.
    #[serde(default = "max_psi")]
    #[schemars(range(min = 0.0))]
    pub max_psi: f64,

    /// Into how many bins numbers and times are divided, so that each holds about as many values of the file. Example: `20`.
    #[serde(default = "bins")]
    #[schemars(range(min = 2, max = 100))]
    pub bins: usize,
}

fn max_psi() -> f64 {
    0.2
}

fn bins() -> usize {
    10
}

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The file: `departments.csv`.
    pub file_path: String,

    /// Its column; the one of the same name unless told: `Name`.
    #[serde(default)]
    pub column: Option<String>,
}

/// A smallest and a largest value. One of them may be left out.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueRange {
    /// The smallest value: a number, or for a column of dates or times an ISO date such as `"2024-01-31"` or
    /// `"2024-01-31T12:00:00Z"`. A date alone means its midnight; a time without an offset is in the column's zone. For
    /// integers and decimals a number may be a text, which keeps all its digits: `"12345678901234567890.12"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Bound>,

    /// The largest value, in the same forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Bound>,
}

/// A number, or a text that is one or an ISO date.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Bound {
    /// `18`
    Number(serde_json::Number),
    /// `"2024-01-31"`, `"12345678901234567890.12"`
    Text(String),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Integers, floats or decimals.
    Numeric,
    /// Another word for `numeric`.
    Number,
    /// Integers of any size.
    Integer,
    /// Another word for `integer`.
    Int,
    /// Floating-point numbers.
    Float,
    /// Decimals.
    Decimal,
    /// Text.
    String,
    /// Another word for `string`.
    Text,
    /// True or false.
    Boolean,
    /// Another word for `boolean`.
    Bool,
    /// Dates or timestamps.
    Datetime,
    /// Dates without a time.
    Date,
    /// Timestamps.
    Timestamp,
    /// Times of a day.
    Time,
    /// Bytes.
    Binary,
}
