//! Rows of an Arrow IPC stream as JSON, and as files of other formats, made while they are sent.

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::json::{ArrayWriter, LineDelimitedWriter, WriterBuilder};
use axum::body::Body;
use bytes::Bytes;
use flight_common::Fault;
use futures::stream;
use parquet::arrow::ArrowWriter;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use utoipa::ToSchema;

/// Bytes handed on at a time, and how many such pieces wait for a slow reader.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 16;
/// How long a reader that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A format to download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values with a header; nulls are empty.
    #[default]
    Csv,
    /// One JSON array of objects.
    Json,
    /// A JSON object on each line.
    Jsonl,
    /// An Arrow IPC stream, as it was kept.
    Arrow,
    /// Parquet, compressed by zstd.
    Parquet,
}

impl Format {
    /// The format that a file's name speaks of.
    pub fn of(name: &str) -> Option<Self> {
        let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
        Some(match extension.as_str() {
            "csv" => Self::Csv,
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::Jsonl,
            "arrow" | "feather" | "ipc" => Self::Arrow,
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }

    /// The end of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Jsonl => "application/x-ndjson",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// A column, as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it may hold nulls.
    pub nullable: bool,
}

/// The columns of a schema.
pub fn columns(schema: &Schema) -> Vec<Column> {
    let column = |field: &arrow::datatypes::FieldRef| Column {
        name: field.name().clone(),
        kind: field.data_type().to_string(),
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}

/// The first rows of an output.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// Its columns.
    columns: Vec<Column>,
    /// Its rows, each with its values by column; nulls are written out.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Value>,
    /// The rows it has in all, where that is known.
    total_rows: Option<u64>,
}

/// Reads the first rows of a stream.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] when it is no whole stream.
pub fn preview(file: File, limit: usize, total_rows: Option<u64>) -> Result<Preview, Fault> {
    let reader = reader(file)?;
    let schema = reader.schema();
    let mut writer =
        WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::JsonArray>(Vec::new());
    let mut left = limit;
    for batch in reader {
        if left == 0 {
            break;
        }
        let batch = batch.map_err(spoilt)?;
        let part = batch.slice(0, batch.num_rows().min(left));
        left -= part.num_rows();
        writer.write(&part)?;
    }
    writer.finish()?;
    let text = writer.into_inner();
    let rows = if text.is_empty() { Vec::new() } else { serde_json::from_slice(&text).map_err(Fault::internal)? };
    Ok(Preview { columns: columns(&schema), rows, total_rows })
}

/// Whether the columns of a stream fit into a format. Returns the stream, at its beginning.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] when they do not.
pub fn fits(file: File, format: Format) -> Result<File, Fault> {
    let mut again = file.try_clone().map_err(|error| Fault::io("a kept output", &error))?;
    let schema = reader(file)?.schema();
    if format == Format::Csv
        && let Some(nested) = schema.fields().iter().find(|field| is_nested(field.data_type()))
    {
        let why = format!("CSV cannot hold the column {} of type {}", nested.name(), nested.data_type());
        return Err(Fault::bad_schema(why).column(nested.name()).help("take json, arrow or parquet"));
    }
    again.rewind().map_err(|error| Fault::io("a kept output", &error))?;
    Ok(again)
}

fn is_nested(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_nested(values),
        kind => kind.is_nested() || matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView),
    }
}

fn reader(file: File) -> Result<StreamReader<BufReader<File>>, Fault> {
    StreamReader::try_new(BufReader::with_capacity(PIECE, file), None).map_err(spoilt)
}

fn spoilt(error: arrow::error::ArrowError) -> Fault {
    Fault::bad_data(format!("what was kept cannot be read: {error}")).help("resume the run; it is made again")
}

/// A body that is made while it is sent, and cut off, not ended, when that fails. The seat is given up at its end.
pub fn streamed(file: File, format: Format, seat: OwnedSemaphorePermit) -> Body {
    let (sender, pieces) = mpsc::channel(WAITING);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _seat = seat;
        let mut out = Pieces { sender: sender.clone(), handle: handle.clone(), piece: Vec::with_capacity(PIECE) };
        let written = write(file, format, &mut out).and_then(|()| out.flush().map_err(|error| Fault::io("it", &error)));
        if let Err(fault) = written {
            tracing::info!(fault = %fault, "a download was cut off");
            // Nobody may be left to be told.
            let _ = handle.block_on(sender.send_timeout(Err(io::Error::other("cut off")), PATIENCE));
        }
    });
    Body::from_stream(stream::unfold(pieces, |mut pieces| async move {
        pieces.recv().await.map(|piece: io::Result<Bytes>| (piece, pieces))
    }))
}

fn write(mut file: File, format: Format, out: &mut Pieces) -> Result<(), Fault> {
    if format == Format::Arrow {
        let mut piece = vec![0; PIECE];
        loop {
            let length = file.read(&mut piece).map_err(|error| Fault::io("a kept output", &error))?;
            if length == 0 {
                return Ok(());
            }
            out.write_all(&piece[..length]).map_err(|error| Fault::io("the reader", &error))?;
        }
    }
    let batches = reader(file)?;
    let schema = batches.schema();
    let batches = batches.map(|batch| batch.map_err(spoilt));
    match format {
        Format::Arrow => Ok(()),
        Format::Csv => write_csv(batches, &schema, out),
        Format::Json => {
            let mut writer = ArrayWriter::new(out);
            each(batches, |batch| Ok(writer.write(batch)?))?;
            Ok(writer.finish()?)
        }
        Format::Jsonl => {
            let mut writer = LineDelimitedWriter::new(out);
            each(batches, |batch| Ok(writer.write(batch)?))?;
            Ok(writer.finish()?)
        }
        Format::Parquet => write_parquet(batches, schema, out),
    }
}

fn each(
    batches: impl Iterator<Item = Result<RecordBatch, Fault>>,
    mut write: impl FnMut(&RecordBatch) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for batch in batches {
        write(&batch?)?;
    }
    Ok(())
}

fn write_csv(
    batches: impl Iterator<Item = Result<RecordBatch, Fault>>,
    schema: &SchemaRef,
    out: &mut Pieces,
) -> Result<(), Fault> {
    let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
    // The header is there also without any row.
    writer.write(&RecordBatch::new_empty(schema.clone()))?;
    each(batches, |batch| Ok(writer.write(batch)?))
}

fn write_parquet(
    batches: impl Iterator<Item = Result<RecordBatch, Fault>>,
    schema: SchemaRef,
    out: &mut Pieces,
) -> Result<(), Fault> {
    let zstd = parquet::basic::Compression::ZSTD(parquet::basic::ZstdLevel::default());
    let properties = parquet::file::properties::WriterProperties::builder().set_compression(zstd).build();
    let failed = |error: parquet::errors::ParquetError| Fault::bad_data(format!("Parquet cannot hold it: {error}"));
    let mut writer = ArrowWriter::try_new(out, schema, Some(properties)).map_err(failed)?;
    each(batches, |batch| {
        writer.write(batch).map_err(failed)?;
        if writer.in_progress_size() > 64 << 20 {
            writer.flush().map_err(failed)?;
        }
        Ok(())
    })?;
    writer.close().map(drop).map_err(failed)
}

/// Writes into a channel, piece by piece, from a thread that may wait.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    handle: Handle,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let sent = self.handle.block_on(self.sender.send_timeout(Ok(piece.into()), PATIENCE));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader is gone, or takes nothing"))
    }
}

/// The columns of a file, and its rows where it says so. No more than its beginning is read, unless the rows are to be
/// counted: then text is read as a whole.
///
/// # Errors
/// That it is no such file.
pub fn describe(file: File, format: Format, count: bool) -> Result<(Vec<Column>, Option<u64>), Fault> {
    let sample = if count { None } else { Some(1000) };
    let counted = |rows: usize| u64::try_from(rows).ok().filter(|_| count);
    let wrong = |error: &dyn std::fmt::Display| Fault::bad_data(format!("it cannot be read: {error}"));
    match format {
        Format::Parquet => {
            let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
                .map_err(|error| wrong(&error))?;
            let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
            Ok((columns(builder.schema()), rows))
        }
        Format::Arrow => {
            let mut again = file.try_clone().map_err(|error| Fault::io("it", &error))?;
            match arrow::ipc::reader::FileReader::try_new(file, None) {
                Ok(reader) => Ok((columns(&reader.schema()), None)),
                Err(_) => {
                    again.rewind().map_err(|error| Fault::io("it", &error))?;
                    Ok((columns(&reader(again)?.schema()), None))
                }
            }
        }
        Format::Csv => {
            let format = csv::reader::Format::default().with_header(true);
            let (schema, rows) = format.infer_schema(BufReader::new(file), sample).map_err(|error| wrong(&error))?;
            Ok((columns(&schema), counted(rows)))
        }
        Format::Jsonl => {
            let (schema, rows) =
                arrow::json::reader::infer_json_schema(BufReader::new(file), sample).map_err(|error| wrong(&error))?;
            Ok((columns(&schema), counted(rows)))
        }
        // An array has to be read as a whole.
        Format::Json => Ok((Vec::new(), None)),
    }
}
