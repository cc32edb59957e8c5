//! Parquet files.
//!
//! A row group is held in memory, encoded, until it is whole; here it is whole when it takes its share of the memory
//! budget, and sooner when others need theirs, so that a service of any size can write files of any size, and many at once. The Arrow schema is stored too, and readers that
//! know it get the same types back.

use crate::params::Compression;
use crate::sink::{Sink, Trouble};
use crate::writer::Writer;
use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use flight_common::{Fault, MemoryBudget, Reservation};
use formats::Plain;

/// What a row group takes at most, and at least before it is worth being one.
const ROW_GROUP: std::ops::RangeInclusive<usize> = (4 << 20)..=(64 << 20);

/// What the dictionary of a column takes before it holds a value: Arrow's writer makes its table for 4096 of them.
const EMPTY_DICTIONARY: usize = 74 << 10;

/// Writes a Parquet file.
pub struct ParquetWriter {
    writer: ArrowWriter<Sink>,
    trouble: Trouble,
    plain: Plain,
    held: Reservation,
    /// What a row group takes that is worth being written.
    worth: usize,
    /// What a row group takes at most.
    limit: usize,
}

impl ParquetWriter {
    /// Begins the file.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn begin(sink: Sink, compression: Compression, plain: Plain, budget: &MemoryBudget) -> Result<Self, Fault> {
        let trouble = sink.trouble();
        let schema: SchemaRef = plain.schema().clone();
        let limit = (budget.limit() / 4).clamp(*ROW_GROUP.start(), *ROW_GROUP.end());
        // Of very many columns the empty dictionaries alone would take more than the rows may.
        let dictionaries = leaves(&schema).saturating_mul(EMPTY_DICTIONARY);
        let with_dictionaries = dictionaries <= limit;
        let properties = WriterProperties::builder()
            .set_compression(codec(compression))
            .set_dictionary_enabled(with_dictionaries)
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties);
        let writer = ArrowWriter::try_new_with_options(sink, schema, options).map_err(|error| trouble.fault(error))?;
        let worth = *ROW_GROUP.start() + if with_dictionaries { dictionaries } else { 0 };
        Ok(Self { writer, trouble, plain, held: budget.reservation(), worth, limit: limit.max(worth) })
    }

    /// Books what the row group takes now, and says whether there is memory for it.
    fn book(&mut self) -> bool {
        let now = self.writer.memory_size();
        self.held.shrink(self.held.bytes().saturating_sub(now));
        let more = now.saturating_sub(self.held.bytes());
        let room = self.held.try_grow(more);
        if !room {
            self.held.grow(more);
        }
        room
    }
}

impl Writer for ParquetWriter {
    type Piece = RecordBatch;

    fn prepare(&self) -> impl Fn(RecordBatch) -> Result<RecordBatch, Fault> + Clone + Send + Sync + 'static {
        let plain = self.plain.clone();
        move |batch| plain.apply(batch)
    }

    fn append(&mut self, batch: RecordBatch) -> Result<(), Fault> {
        self.writer.write(&batch).map_err(|error| self.trouble.fault(error))?;
        let room = self.book();
        if self.held.bytes() >= if room { self.limit } else { self.worth } {
            self.writer.flush().map_err(|error| self.trouble.fault(error))?;
            self.book();
        }
        Ok(())
    }

    fn finish(self) -> Result<Sink, Fault> {
        self.writer.into_inner().map_err(|error| self.trouble.fault(error))
    }
}

/// The columns that Parquet makes of these, in which each field of a struct is one.
fn leaves(schema: &Schema) -> usize {
    schema.flattened_fields().iter().filter(|field| !field.data_type().is_nested()).count()
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::UNCOMPRESSED,
        Compression::Gzip => Codec::GZIP(GzipLevel::default()),
        Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
        Compression::Snappy => Codec::SNAPPY,
        Compression::Lz4 => Codec::LZ4_RAW,
    }
}
