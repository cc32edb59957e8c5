//! The knobs of `extract-excel`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reads a sheet of a workbook.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The workbook, relative to the data root: `hr/staff.xlsx`. It may be .xlsx, .xlsm, .xlsb, .xls or .ods; its content
    /// tells which, not its name.
    pub file_path: String,

    /// The sheet, by its name, `Staff`, or by its place, `2`, counted from 1. Unless told it is the first one that is not
    /// hidden.
    #[serde(default)]
    pub sheet: Option<SheetChoice>,

    /// The part of the sheet to read: `B3:F200`, whole columns `B:F`, whole rows `3:200`, or from a cell on, `B3:`. Unless
    /// told it is all of it.
    #[serde(default)]
    pub range: Option<String>,

    /// Whether a row holds the names of the columns. If not, they are `column_1`, `column_2`, … A column without a name
    /// between others is called so too.
    #[serde(default = "yes")]
    pub header: bool,

    /// The number of the row that holds the names, as the workbook counts it: `3`. Unless told it is the first row with
    /// a value. Rows before it are left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub header_row: Option<u32>,

    /// What to do about two columns of one name: `refuse` the sheet, or `rename` the later ones to `name.1`, `name.2`.
    #[serde(default)]
    pub duplicate_headers: DuplicateHeaders,

    /// What merged cells hold: the value in the `first` one and nothing in the others, or the value in `each`. With `each`
    /// in .xls, .xlsx and .ods only.
    #[serde(default)]
    pub merged_cells: MergedCells,

    /// What to do about a cell that holds an error, such as `#DIV/0!` or `#REF!`, or a formula that was never calculated
    /// (programs that write workbooks leave that to the next one that opens them): `refuse` the sheet and name the cell, or
    /// take it for a null, for which `"null"` stands in quotes.
    #[serde(default = "refuse")]
    pub error_cells: Option<ErrorCells>,

    /// Which texts stand for nulls, instead of the usual ones (an empty text, `NA`, `N/A`, `NaN`, `null`, `None` and
    /// alike; see `extract-csv`): `["", "-", "unknown"]`. A cell without a value is always a null.
    #[serde(default)]
    pub nulls: Option<Vec<String>>,

    /// The types of columns, for those that should not be guessed: `{zip: string, price: "decimal(10,2)"}`. There are
    /// `string`, `int64` (and `int8` … `int32`, `uint8` … `uint64`), `float64`, `float32`, `boolean`, `date`, `time`,
    /// `timestamp`, `timestamp[unit, zone]` and `decimal(precision,scale)`.
    #[serde(default)]
    pub types: BTreeMap<String, String>,

    /// The rows that types are guessed from, at the start. With 0 nothing is guessed, and columns are text unless `types`
    /// says otherwise.
    #[serde(default = "sample_rows")]
    pub sample_rows: u64,

    /// Bytes that the workbook may have uncompressed: 1 GiB unless told. A larger one is refused before it is read.
    #[serde(default = "max_bytes")]
    #[schemars(range(min = 1))]
    pub max_bytes: u64,
}

/// Which sheet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SheetChoice {
    /// By its place, counted from 1.
    Place(u32),
    /// By its name.
    Name(String),
}

/// What to do about two columns of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateHeaders {
    /// Refuse the sheet, and say where they stand.
    #[default]
    Refuse,
    /// Call the later ones `name.1`, `name.2`.
    Rename,
}

/// What merged cells hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergedCells {
    /// The value in the first one.
    #[default]
    First,
    /// The value in each.
    Each,
}

/// What to do about a cell that holds an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCells {
    /// Refuse the sheet.
    Refuse,
    /// Take it for a null.
    Null,
}

/// Without quotes the word `null` is nothing, which is not to be taken for either.
fn refuse() -> Option<ErrorCells> {
    Some(ErrorCells::Refuse)
}

fn yes() -> bool {
    true
}

fn sample_rows() -> u64 {
    10_000
}

fn max_bytes() -> u64 {
    1 << 30
}
