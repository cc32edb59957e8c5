//! A folder with one CSV file in it, and the step run on that.

use extract_csv::ExtractCsv;
use flight_common::testing::{Bench, Ran};
use flight_common::{Fault, FaultKind};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// The file of most tests.
pub const FILE: &str = "in.csv";

/// A data root with `content` in its file.
pub fn folder(content: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(FILE), content).expect("written");
    folder
}

/// Runs the step in this folder. `params` come on top of the path.
pub async fn run_in(folder: &TempDir, params: Value) -> Result<Ran, Fault> {
    let mut all = json!({"file_path": FILE});
    let (Some(all_params), Some(more)) = (all.as_object_mut(), params.as_object()) else { panic!("params are a map") };
    all_params.extend(more.clone());
    Bench::at(folder.path()).run(ExtractCsv, all, &[]).await
}

/// Reads this content.
pub async fn read(content: impl AsRef<[u8]>, params: Value) -> Result<Ran, Fault> {
    run_in(&folder(content), params).await
}

/// The rows as text, `∅` for null, and the types.
pub fn shown(ran: &Ran) -> (Vec<String>, Vec<Vec<String>>) {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let rows = ran.rows();
    let options = FormatOptions::default().with_null("∅");
    let columns: Vec<_> =
        rows.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("shown")).collect();
    let cells =
        (0..rows.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()).collect();
    let types = ran.schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    (types, cells)
}

/// The fault that this content is refused with: of this kind, with these words in message or help.
pub async fn refused(content: impl AsRef<[u8]>, params: Value, words: &[&str]) -> Fault {
    let fault = read(content, params).await.expect_err("refused");
    assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
    let said = format!("{} | {}", fault.message(), fault.help_text().expect("there is help"));
    for word in words {
        assert!(said.contains(word), "\"{word}\" in: {said}");
    }
    fault
}
