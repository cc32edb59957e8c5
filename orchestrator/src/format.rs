//! Rows in a format, for downloads and uploads: the same bytes that the step `load-data` writes.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamWriter;
use flight_common::Fault;
use flight_common::wire::split;
use formats::csv::{self, Dialect};
use formats::json::{self, Layout};
use formats::{Form, Plain, fitted};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use serde::Deserialize;
use std::io::{self, Write};
use utoipa::ToSchema;

/// Bytes of arrays that are made text at once.
const TEXT_PIECE: usize = 1 << 20;
/// Bytes of a row group of Parquet that are kept in memory.
const ROW_GROUP: usize = 64 << 20;

/// A format of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values with a header; nulls are empty, and empty texts are quoted.
    #[default]
    Csv,
    /// One JSON array of objects.
    Json,
    /// A JSON object on each line.
    #[serde(alias = "ndjson")]
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

/// Writes rows in a format.
pub struct RowWriter<W: Write + Send> {
    /// What is written, for messages.
    what: &'static str,
    plain: Plain,
    sink: Sink<W>,
}

enum Sink<W: Write + Send> {
    Text { out: W, text: Text, memory: Vec<u8> },
    Arrow(Box<StreamWriter<W>>),
    Parquet(Box<ArrowWriter<W>>),
}

enum Text {
    Csv(Dialect),
    Json { layout: Layout, empty: bool },
}

impl<W: Write + Send> RowWriter<W> {
    /// Begins to write rows of this schema. `what` is what they are written into, for messages.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] for columns that the format cannot hold.
    pub fn begin(format: Format, schema: &Schema, out: W, what: &'static str) -> Result<Self, Fault> {
        let plain = fitted(schema, format.into())?;
        let text = |out, text| Sink::Text { out, text, memory: Vec::new() };
        let sink = match format {
            Format::Csv => text(out, Text::Csv(Dialect::of(plain.schema()))),
            Format::Json => text(out, Text::Json { layout: Layout::Array, empty: true }),
            Format::Jsonl => text(out, Text::Json { layout: Layout::Lines, empty: true }),
            Format::Arrow => Sink::Arrow(Box::new(StreamWriter::try_new(out, plain.schema())?)),
            Format::Parquet => {
                let zstd = parquet::basic::Compression::ZSTD(parquet::basic::ZstdLevel::default());
                let properties = parquet::file::properties::WriterProperties::builder().set_compression(zstd).build();
                let writer = ArrowWriter::try_new(out, plain.schema().clone(), Some(properties));
                Sink::Parquet(Box::new(writer.map_err(|error| unfit(error, what))?))
            }
        };
        let mut writer = Self { what, plain, sink };
        if let Sink::Text { out, text: Text::Csv(dialect), .. } = &mut writer.sink {
            put(out, &csv::header(writer.plain.schema(), dialect), what)?;
        }
        Ok(writer)
    }

    /// Writes rows.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for a value that the format cannot hold, and why nothing more can be written.
    pub fn write(&mut self, batch: RecordBatch) -> Result<(), Fault> {
        // Small enough that their text is.
        split(batch, TEXT_PIECE).into_iter().try_for_each(|part| self.write_part(part))
    }

    fn write_part(&mut self, part: RecordBatch) -> Result<(), Fault> {
        let (part, what) = (self.plain.apply(part)?, self.what);
        match &mut self.sink {
            Sink::Text { out, text: Text::Csv(dialect), memory } => {
                *memory = csv::rows(&part, dialect, std::mem::take(memory));
                put(out, memory, what)
            }
            Sink::Text { out, text: Text::Json { layout, empty }, memory } => {
                *memory = json::records(&part, *layout, std::mem::take(memory)).bytes;
                layout.framed(memory, *empty).into_iter().try_for_each(|piece| put(out, piece, what))?;
                *empty = *empty && memory.is_empty();
                Ok(())
            }
            Sink::Arrow(writer) => Ok(writer.write(&part)?),
            Sink::Parquet(writer) => {
                writer.write(&part).map_err(|error| unfit(error, what))?;
                if writer.in_progress_size() > ROW_GROUP {
                    writer.flush().map_err(|error| unfit(error, what))?;
                }
                Ok(())
            }
        }
    }

    /// Writes what comes after the last row. Returns what was written into.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn finish(self) -> Result<W, Fault> {
        let what = self.what;
        let mut out = match self.sink {
            Sink::Text { out, text: Text::Csv(_), .. } => out,
            Sink::Text { mut out, text: Text::Json { layout, empty }, .. } => {
                put(&mut out, layout.end(empty), what)?;
                out
            }
            Sink::Arrow(writer) => writer.into_inner()?,
            Sink::Parquet(writer) => writer.into_inner().map_err(|error| unfit(error, what))?,
        };
        out.flush().map_err(|error| Fault::io(what, &error))?;
        Ok(out)
    }
}

fn put(out: &mut impl Write, bytes: &[u8], what: &str) -> Result<(), Fault> {
    out.write_all(bytes).map_err(|error| Fault::io(what, &error))
}

/// Why Parquet was not written: for want of a place, or of a way to hold it.
fn unfit(error: ParquetError, what: &str) -> Fault {
    match error {
        ParquetError::External(error) if error.is::<io::Error>() => match error.downcast::<io::Error>() {
            Ok(error) => Fault::io(what, &error),
            Err(error) => Fault::internal(error),
        },
        error => Fault::bad_data(format!("Parquet cannot hold it: {error}")),
    }
}
