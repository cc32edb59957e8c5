//! The knobs of `extract-csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reads a CSV file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The file, relative to the data root: `sales/2024.csv`; or, with `*` or `?` in it, a pattern of files, which are
    /// read in the order of their paths: `sales/2024-*.csv`. `*` and `?` stand for what lies within a folder, `**` for
    /// any folders, `[ab]` for one of these characters. Each may be compressed with gzip or zstd, whatever its name.
    pub file_path: String,

    /// The character between fields: `","` unless told, `";"`, `"|"`, `"\t"` for a tab. If it is not told, and the
    /// first line has one field that holds one of the others, the file is refused: it is most likely not one column.
    #[serde(default)]
    pub delimiter: Option<String>,

    /// The character around fields that hold delimiters, line breaks or quotes; within them it is doubled. Empty: no
    /// field is quoted, and every quote is a character like others.
    #[serde(default = "quote")]
    pub quote: String,

    /// The encoding of the text, by its common name: `utf-8`, `latin1`, `windows-1252`, `utf-16le`, `shift_jis`, … They
    /// mean what they mean to browsers (WHATWG Encoding): `latin1` and `ascii` are `windows-1252`. A byte order mark in
    /// the file goes before it.
    #[serde(default = "encoding")]
    pub encoding: String,

    /// Whether the first line holds the names of the columns. If not, they are `column_1`, `column_2`, … A column
    /// whose name is empty is called so too.
    #[serde(default = "yes")]
    pub header: bool,

    /// What to do about two columns of one name: `refuse` the file, or `rename` the later ones to `name.1`, `name.2`.
    #[serde(default)]
    pub duplicate_headers: DuplicateHeaders,

    /// Lines to leave out at the start of each file, before the header: a title, say.
    #[serde(default)]
    pub skip_lines: u64,

    /// How nulls are spelled: `["", "-", "unknown"]`. This replaces the usual spellings: nothing at all, `NA`, `N/A`,
    /// `#N/A`, `#N/A N/A`, `#NA`, `<NA>`, `n/a`, `NaN`, `nan`, `-NaN`, `-nan`, `null`, `NULL`, `None`, `1.#IND`,
    /// `-1.#IND`, `1.#QNAN`, `-1.#QNAN`. Where `NaN` is not among them, it is a float that is not a number.
    #[serde(default)]
    pub nulls: Option<Vec<String>>,

    /// Whether a quoted field of a text column may be a null. Unless told, `"NA"` and `""` are texts, and `NA` and
    /// nothing are nulls. (In columns of other types quotes make no difference.)
    #[serde(default)]
    pub quoted_nulls: bool,

    /// The types of columns, for those that should not be guessed: `{zip: string, price: "decimal(10,2)"}`. There are
    /// `string`, `int64` (and `int8` … `int32`, `uint8` … `uint64`), `float64`, `float32`, `boolean`, `date`, `time`,
    /// `timestamp`, `timestamp[unit, zone]` (`timestamp[us, UTC]`, `timestamp[ms, Europe/Berlin]`; units `s`, `ms`,
    /// `us`, `ns`) and `decimal(precision,scale)`.
    #[serde(default)]
    pub types: BTreeMap<String, String>,

    /// How dates are written, if not as `2024-02-29`: a strftime pattern such as `"%d.%m.%Y"`. It holds for columns
    /// whose type is given and for those whose type is guessed.
    #[serde(default)]
    pub date_format: Option<String>,

    /// How timestamps are written, if not as `2024-02-29T12:30:00.5Z` or alike: a strftime pattern such as
    /// `"%d/%m/%Y %H:%M"`; `%z` stands for the offset.
    #[serde(default)]
    pub timestamp_format: Option<String>,

    /// The rows that types are guessed from, at the start of each file (and in no more than its first 16 MiB). More
    /// take longer to plan and err less. With 0 nothing is guessed, and columns are text unless `types` says otherwise.
    #[serde(default = "sample_rows")]
    pub sample_rows: u64,
}

/// What to do about two columns of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateHeaders {
    /// Refuse the file, and say where they stand.
    #[default]
    Refuse,
    /// Call the later ones `name.1`, `name.2`.
    Rename,
}

fn quote() -> String {
    "\"".to_owned()
}

fn encoding() -> String {
    "utf-8".to_owned()
}

fn yes() -> bool {
    true
}

fn sample_rows() -> u64 {
    10_000
}
