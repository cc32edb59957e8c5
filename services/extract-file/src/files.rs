//! Files, opened.

use flight_common::params::did_you_mean;
use flight_common::{DataFile, DataRoot, Fault};

/// The parameter that names them.
pub const PARAM: &str = "file_path";

/// Opens a file beneath the data root.
///
/// # Errors
/// Why it cannot be.
pub fn open(root: &DataRoot, path: &str) -> Result<DataFile, Fault> {
    root.open_file(path, PARAM)
}

/// The fault for a file whose name does not say what it is.
pub fn of_no_format(path: &str) -> Fault {
    let message = format!("the name of {path} does not say what it is");
    let known = ["parquet", "json", "ndjson", "arrow", "avro"];
    let end = path.rsplit_once('.').map_or("", |(_, end)| end);
    let help = match end {
        "csv" | "tsv" | "txt" => "extract-csv reads text files".to_owned(),
        "xlsx" | "xls" | "ods" => "extract-excel reads workbooks".to_owned(),
        "gz" | "zst" => {
            "only JSON is read compressed: uncompress the file (Parquet and Arrow compress within)".to_owned()
        }
        "" => format!("set `format`; if it is a folder, write its files as {path}/**/*.parquet"),
        end => format!("set `format`; {}", did_you_mean(end, known)),
    };
    Fault::bad_params(message.clone()).help(help).violation(format!("/{PARAM}"), message)
}
