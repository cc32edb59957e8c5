//! The knobs of `extract-file`.

use flight_common::columns::ColumnList;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reads Parquet, JSON, Arrow and Avro files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The file, relative to the data root: `sales/2024.parquet`; or, with `*` or `?` in it, a pattern of files, which are
    /// read in the order of their paths: `sales/year=*/*.parquet`, `sales/**/*.parquet`. `*` and `?` stand for what lies
    /// within a folder, `**` for any folders, `[ab]` for one of these characters.
    pub file_path: String,

    /// What the files are; else what their names end with says. JSON may be compressed with gzip or zstd, whatever its name.
    /// Example: `format: ndjson`.
    #[serde(default)]
    pub format: Option<Format>,

    /// The columns to read, in this order; all unless told. Others are not decoded. Example: `select: [id, amount]`.
    #[serde(default)]
    pub select: Option<ColumnList>,

    /// A condition in SQL: the rows for which it holds are read, and all without it. Example: `year >= 2024 AND amount > 100`.
    #[serde(default, rename = "where")]
    pub condition: Option<String>,

    /// The types of the columns that folders such as `year=2024` make, where they are not to be guessed:
    /// `{zip: string, day: date}`.
    #[serde(default)]
    pub partition_types: BTreeMap<String, PartitionType>,

    /// The types of columns of JSON, for those that should not be guessed: `{id: string, amount: "decimal(18,2)"}`. There
    /// are `string`, `int64` (and `int8` … `int32`, `uint8` … `uint64`), `float64`, `float32`, `boolean`, `date`, `time`,
    /// `timestamp`, `timestamp[unit, zone]` (`timestamp[us, UTC]`, `timestamp[ms, Europe/Berlin]`; units `s`, `ms`, `us`,
    /// `ns`) and `decimal(precision,scale)`.
    #[serde(default)]
    pub types: BTreeMap<String, String>,

    /// The rows at the start of each JSON file that its columns and their types are found from.
    #[serde(default = "sample_rows")]
    #[schemars(range(min = 1))]
    pub sample_rows: usize,

    /// What to do about a field of a later JSON record that is not among the columns: `refuse` it, or `ignore` it.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
}

/// What to do about a field that is not among the columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    /// It is an error.
    #[default]
    Refuse,
    /// It is left out.
    Ignore,
}

fn sample_rows() -> usize {
    10_000
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Apache Parquet: `.parquet`, `.pq`.
    Parquet,
    /// JSON: a list of records, or records one after the other: `.json`, also `.json.gz` and `.json.zst`.
    Json,
    /// A JSON record on each line: `.ndjson`, `.jsonl`, also with `.gz` or `.zst` behind it.
    Ndjson,
    /// Arrow IPC, as a file or as a stream: `.arrow`, `.arrows`, `.ipc`, `.feather`.
    Arrow,
    /// Avro object container files: `.avro`.
    Avro,
}

impl Format {
    /// What the end of a file's name says. Of the formats that are text the name may say that it is compressed.
    pub fn of_name(path: &str) -> Option<Self> {
        let name = path.to_ascii_lowercase();
        match name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")) {
            Some(inner) => Self::of_plain(inner).filter(|format| matches!(format, Self::Json | Self::Ndjson)),
            None => Self::of_plain(&name),
        }
    }

    fn of_plain(name: &str) -> Option<Self> {
        let (_, end) = name.rsplit_once('.')?;
        Some(match end {
            "parquet" | "pq" => Self::Parquet,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            "arrow" | "arrows" | "ipc" | "feather" => Self::Arrow,
            "avro" => Self::Avro,
            _ => return None,
        })
    }
}

/// The type of a column that folders make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartitionType {
    /// Text.
    String,
    /// Whole numbers.
    Int64,
    /// Days: `2024-02-29`.
    Date,
}
