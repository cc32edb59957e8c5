//! Rows of an Arrow IPC stream as files of other formats, made while they are sent: the same bytes that the step
//! `load-data` writes.

use super::seats::Seat;
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use axum::body::Body;
use bytes::Bytes;
use flight_common::Fault;
use flight_common::wire::split;
use formats::csv::{self, Dialect};
use formats::json::{self, Layout};
use formats::{Form, Plain, fitted};
use futures::stream;
use parquet::arrow::ArrowWriter;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use utoipa::ToSchema;

/// Bytes handed on at a time, and how many such pieces wait for a slow reader.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 16;
/// Bytes of arrays that are made text at once.
const TEXT_PIECE: usize = 1 << 20;
/// How long a reader that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A format to download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values with a header; nulls are empty, and empty texts are quoted.
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
        Some(match Form::from_ending(name.rsplit_once('.')?.1)? {
            Form::Csv => Self::Csv,
            Form::Json => Self::Json,
            Form::Jsonl => Self::Jsonl,
            Form::Arrow => Self::Arrow,
            Form::Parquet => Self::Parquet,
            Form::Xlsx => return None,
        })
    }

    /// The end of a file's name.
    pub fn extension(self) -> &'static str {
        Form::from(self).name()
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

impl From<Format> for Form {
    fn from(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv,
            Format::Json => Self::Json,
            Format::Jsonl => Self::Jsonl,
            Format::Arrow => Self::Arrow,
            Format::Parquet => Self::Parquet,
        }
    }
}

/// Whether the columns of a stream fit into a format. Returns the stream, at its beginning.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] when they do not.
pub fn fits(file: File, format: Format) -> Result<File, Fault> {
    let mut again = file.try_clone().map_err(|error| Fault::io("a kept output", &error))?;
    let schema = reader(file)?.schema();
    if format != Format::Arrow {
        fitted(&schema, format.into())?;
    }
    again.rewind().map_err(|error| Fault::io("a kept output", &error))?;
    Ok(again)
}

/// The batches of a stream.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] when it is none.
pub fn reader(file: File) -> Result<StreamReader<BufReader<File>>, Fault> {
    StreamReader::try_new(BufReader::with_capacity(PIECE, file), None).map_err(spoilt)
}

/// What is told of a stream that breaks off.
pub fn spoilt(error: ArrowError) -> Fault {
    Fault::bad_data(format!("what was kept cannot be read: {error}")).help("resume the run; it is made again")
}

/// A body that is made while it is sent, and cut off, not ended, when that fails. The seat is given up at its end.
pub fn streamed(file: File, format: Format, seat: Seat) -> Body {
    let (sender, pieces) = mpsc::channel(WAITING);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _seat = seat;
        let mut out = Pieces { sender: sender.clone(), handle: handle.clone(), piece: Vec::with_capacity(PIECE) };
        let written = write(file, format, &mut out).and_then(|()| out.flush().map_err(|error| broken(&error)));
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
    let layout = match format {
        Format::Arrow => return io::copy(&mut file, out).map(drop).map_err(|error| broken(&error)),
        Format::Parquet => return write_parquet(file, out),
        Format::Csv => None,
        Format::Json => Some(Layout::Array),
        Format::Jsonl => Some(Layout::Lines),
    };
    let batches = reader(file)?;
    let plain = fitted(&batches.schema(), format.into())?;
    let dialect = Dialect::of(plain.schema());
    if layout.is_none() {
        out.put(&csv::header(plain.schema(), &dialect))?;
    }
    let (mut text, mut empty) = (Vec::new(), true);
    for part in parts(batches, &plain) {
        let part = part?;
        text = match layout {
            None => csv::rows(&part, &dialect, text),
            Some(layout) => json::records(&part, layout, text).bytes,
        };
        match layout {
            None => out.put(&text)?,
            Some(layout) => layout.framed(&text, empty).into_iter().try_for_each(|piece| out.put(piece))?,
        }
        empty = empty && text.is_empty();
    }
    layout.map_or(Ok(()), |layout| out.put(layout.end(empty)))
}

/// Batches in plain types, small enough that their text is.
fn parts(
    batches: StreamReader<BufReader<File>>,
    plain: &Plain,
) -> impl Iterator<Item = Result<RecordBatch, Fault>> + '_ {
    batches.flat_map(|batch| match batch.map_err(spoilt) {
        Ok(batch) => split(batch, TEXT_PIECE).into_iter().map(|part| plain.apply(part)).collect(),
        Err(fault) => vec![Err(fault)],
    })
}

fn write_parquet(file: File, out: &mut Pieces) -> Result<(), Fault> {
    let batches = reader(file)?;
    let plain = fitted(&batches.schema(), Form::Parquet)?;
    let zstd = parquet::basic::Compression::ZSTD(parquet::basic::ZstdLevel::default());
    let properties = parquet::file::properties::WriterProperties::builder().set_compression(zstd).build();
    let failed = |error: parquet::errors::ParquetError| Fault::bad_data(format!("Parquet cannot hold it: {error}"));
    let mut writer = ArrowWriter::try_new(out, plain.schema().clone(), Some(properties)).map_err(failed)?;
    for part in parts(batches, &plain) {
        writer.write(&part?).map_err(failed)?;
        if writer.in_progress_size() > 64 << 20 {
            writer.flush().map_err(failed)?;
        }
    }
    writer.close().map(drop).map_err(failed)
}

fn broken(error: &io::Error) -> Fault {
    Fault::io("the download", error)
}

/// Writes into a channel, piece by piece, from a thread that may wait.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    handle: Handle,
    piece: Vec<u8>,
}

impl Pieces {
    fn put(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.write_all(text).map_err(|error| broken(&error))
    }
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
