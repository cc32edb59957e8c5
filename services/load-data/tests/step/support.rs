//! What the tests of `load-data` share: a data root of their own, and ways to look into files.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use flight_common::testing::{Bench, Ran, slices};
use flight_common::{BatchStream, Fault};
use load_data::LoadData;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A data root that goes away with the test.
pub struct Root(pub tempfile::TempDir);

/// What a load said of its file.
#[derive(Debug, PartialEq)]
pub struct Receipt {
    pub path: String,
    pub format: String,
    pub rows: i64,
    pub bytes: i64,
}

impl Root {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn bench(&self) -> Bench {
        Bench::at(self.0.path())
    }

    /// Loads a batch and gives the file's path.
    pub async fn load(&self, params: Value, batch: &RecordBatch) -> Result<PathBuf, Fault> {
        let ran = self.bench().run(LoadData, params, std::slice::from_ref(batch)).await?;
        Ok(self.0.path().join(receipt(&ran).path))
    }

    /// Loads a batch cut into batches of `rows` rows, and gives the bytes of the file.
    pub async fn bytes(&self, params: Value, batch: &RecordBatch, rows: usize) -> Vec<u8> {
        let ran = self.bench().run_streams(LoadData, params, vec![slices(batch, rows)]).await.expect("loads");
        fs::read(self.0.path().join(receipt(&ran).path)).expect("the file of the receipt")
    }

    /// As [`Root::bytes`], as text.
    pub async fn text(&self, params: Value, batch: &RecordBatch) -> String {
        String::from_utf8(self.bytes(params, batch, usize::MAX).await).expect("text")
    }

    pub async fn load_stream(&self, params: Value, input: BatchStream) -> Result<Ran, Fault> {
        self.bench().run_streams(LoadData, params, vec![input]).await
    }

    /// All files beneath the root.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(self.0.path(), self.0.path(), &mut found);
        found.sort();
        found
    }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).expect("beneath it").display().to_string());
        }
    }
}

pub fn receipt(ran: &Ran) -> Receipt {
    let rows = ran.rows();
    assert_eq!(rows.num_rows(), 1);
    Receipt {
        path: rows["path"].as_string::<i32>().value(0).to_owned(),
        format: rows["format"].as_string::<i32>().value(0).to_owned(),
        rows: rows["rows"].as_primitive::<Int64Type>().value(0),
        bytes: rows["bytes"].as_primitive::<Int64Type>().value(0),
    }
}

pub fn read_parquet(path: &Path) -> RecordBatch {
    let file = File::open(path).expect("the file");
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).expect("parquet");
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().expect("a reader").map(|batch| batch.expect("rows")).collect();
    concat_batches(&schema, &batches).expect("one schema")
}

pub fn read_arrow(path: &Path) -> RecordBatch {
    let reader = arrow_ipc::reader::FileReader::try_new(File::open(path).expect("the file"), None).expect("arrow");
    let schema = reader.schema();
    let batches: Vec<_> = reader.map(|batch| batch.expect("rows")).collect();
    concat_batches(&schema, &batches).expect("one schema")
}

/// The XML of the only sheet. A zip's central directory tells where it lies: see APPNOTE.TXT, 4.3.12.
pub fn sheet_xml(path: &Path) -> String {
    zip_entry(path, "xl/worksheets/sheet1.xml")
}

pub fn zip_entry(path: &Path, name: &str) -> String {
    let zip = fs::read(path).expect("the file");
    let at = |place: usize, length: usize| {
        zip[place..place + length].iter().rev().fold(0usize, |number, &byte| number << 8 | usize::from(byte))
    };
    let mut entries = (0..zip.len() - 46).filter(|&place| zip[place..].starts_with(b"PK\x01\x02"));
    let entry = entries.find(|&place| zip[place + 46..].starts_with(name.as_bytes())).expect("the entry");
    let (method, packed, local) = (at(entry + 10, 2), at(entry + 20, 4), at(entry + 42, 4));
    let start = local + 30 + at(local + 26, 2) + at(local + 28, 2);
    let body = &zip[start..start + packed];
    let mut text = String::new();
    match method {
        0 => text = String::from_utf8(body.to_vec()).expect("text"),
        _ => {
            flate2::read::DeflateDecoder::new(body).read_to_string(&mut text).expect("deflated text");
        }
    }
    text
}
