//! A data root with files in it, and the step run on that.

use arrow::array::RecordBatch;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::ipc::{CompressionType, MetadataVersion};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use extract_file::ExtractFile;
use flight_common::Fault;
use flight_common::testing::{Bench, Ran};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
    }

    pub async fn read(&self, params: Value) -> Result<Ran, Fault> {
        Bench::at(self.path()).run(ExtractFile, params, &[]).await
    }

    /// Reads, and fails the test if that fails.
    pub async fn rows(&self, params: Value) -> RecordBatch {
        match self.read(params.clone()).await {
            Ok(ran) => ran.rows(),
            Err(fault) => panic!("{params}: {fault:?}"),
        }
    }
}

/// A Parquet file with row groups of so many rows.
pub fn parquet_of(rows: &RecordBatch, group: usize) -> Vec<u8> {
    compressed_parquet_of(rows, group, Compression::UNCOMPRESSED)
}

/// The same, compressed.
pub fn compressed_parquet_of(rows: &RecordBatch, group: usize, codec: Compression) -> Vec<u8> {
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(group)).set_compression(codec).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).expect("a writer");
    writer.write(rows).expect("written");
    writer.close().expect("closed");
    bytes
}

/// An Arrow file.
pub fn file_of(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &rows.schema()).expect("a writer");
    writer.write(&rows.slice(0, rows.num_rows() / 2)).expect("written");
    writer.write(&rows.slice(rows.num_rows() / 2, rows.num_rows() - rows.num_rows() / 2)).expect("written");
    writer.into_inner().expect("finished")
}

/// An Arrow file, as other writers pad it.
pub fn tight_file_of(rows: &RecordBatch) -> Vec<u8> {
    let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5).expect("options");
    let mut writer =
        arrow::ipc::writer::FileWriter::try_new_with_options(Vec::new(), &rows.schema(), options).expect("a writer");
    writer.write(rows).expect("written");
    writer.into_inner().expect("finished")
}

/// An Arrow stream of compressed rows.
pub fn compressed_stream_of(rows: &RecordBatch, codec: CompressionType) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(Some(codec)).expect("options");
    let mut writer =
        arrow::ipc::writer::StreamWriter::try_new_with_options(Vec::new(), &rows.schema(), options).expect("a writer");
    writer.write(rows).expect("written");
    writer.into_inner().expect("finished")
}

/// An Arrow stream.
pub fn stream_of(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &rows.schema()).expect("a writer");
    writer.write(rows).expect("written");
    writer.into_inner().expect("finished")
}

/// An Avro file.
pub fn avro_of(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow_avro::writer::AvroWriter::new(Vec::new(), rows.schema().as_ref().clone()).expect("a writer");
    writer.write(rows).expect("written");
    writer.finish().expect("finished");
    writer.into_inner()
}

/// The rows as texts, `∅` for null.
pub fn shown(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let columns: Vec<_> =
        rows.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("shown")).collect();
    let line = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..rows.num_rows()).map(line).collect()
}
