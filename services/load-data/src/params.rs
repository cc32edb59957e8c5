//! The knobs of `load-data`.

use schemars::JsonSchema;
use serde::Deserialize;

/// Writes a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The form of the file. Without it the ending of `path` tells (`sales.parquet`); without either it is `csv`.
    #[serde(default)]
    pub format: Option<Format>,

    /// What the data are called: up to 128 of `A-Z a-z 0-9 . _ -`. The file becomes
    /// `<dataset_name>/processed/<dataset_name>_<run>.<ending>` beneath the data root, so that two runs at once both
    /// keep their output, and a repeated run overwrites its own. An xlsx sheet bears this name.
    #[serde(default = "default_dataset")]
    pub dataset_name: String,

    /// A file to write instead, relative to the data root: `reports/today.csv`. One that is there is replaced, once
    /// the new one is whole. Use it when two loads of one pipeline write the same data in the same form.
    #[serde(default)]
    pub path: Option<String>,

    /// How the file is compressed. csv, json, jsonl: `none` (default; `gzip` or `zstd` if `path` ends in `.gz` or
    /// `.zst`), `gzip`, `zstd`. parquet: `snappy` (default), `zstd`, `gzip`, `lz4`, `none`. arrow: `none` (default),
    /// `lz4`, `zstd`.
    #[serde(default)]
    pub compression: Option<Compression>,

    /// csv: the character between fields, `,` unless told: `";"`, `"\t"`, `"|"`.
    #[serde(default)]
    pub delimiter: Option<String>,

    /// csv, xlsx: whether the first line holds the names of the columns; it does unless told.
    #[serde(default)]
    pub header: Option<bool>,

    /// csv: how a null is written; nothing unless told (`NA` in a table of one column, where nothing would be a blank
    /// line). A text of the same spelling is quoted, and so is an empty one, so that neither reads as a null.
    #[serde(default)]
    pub null_value: Option<String>,
}

fn default_dataset() -> String {
    "dataset".to_owned()
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// One JSON array of records.
    Json,
    /// One JSON record per line.
    Jsonl,
    /// The same as `jsonl`.
    Ndjson,
    /// An Excel workbook of one sheet.
    Xlsx,
    /// The same as `xlsx`.
    Excel,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC file, also known as Feather.
    Arrow,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// Known everywhere, slow.
    Gzip,
    /// Small and fast.
    Zstd,
    /// Fast: what most Parquet files use.
    Snappy,
    /// Fastest to read.
    Lz4,
}
