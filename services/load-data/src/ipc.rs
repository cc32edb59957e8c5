//! Arrow IPC files, also known as Feather: the batches as they are in memory.

use crate::params::Compression;
use crate::sink::{Sink, Trouble};
use crate::writer::Writer;
use arrow::array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use flight_common::Fault;
use formats::Plain;
use std::io::BufWriter;

/// Writes an Arrow IPC file.
pub struct IpcWriter {
    writer: FileWriter<BufWriter<Sink>>,
    trouble: Trouble,
    plain: Plain,
}

impl IpcWriter {
    /// Begins the file.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn begin(sink: Sink, compression: Compression, plain: Plain) -> Result<Self, Fault> {
        let trouble = sink.trouble();
        let codec = match compression {
            Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
            Compression::Zstd => Some(CompressionType::ZSTD),
            Compression::None | Compression::Gzip | Compression::Snappy => None,
        };
        let options = IpcWriteOptions::default().try_with_compression(codec)?;
        let writer = FileWriter::try_new_with_options(BufWriter::new(sink), plain.schema(), options)
            .map_err(|error| trouble.fault(error))?;
        Ok(Self { writer, trouble, plain })
    }
}

impl Writer for IpcWriter {
    type Piece = RecordBatch;

    fn prepare(&self) -> impl Fn(RecordBatch) -> Result<RecordBatch, Fault> + Clone + Send + Sync + 'static {
        let plain = self.plain.clone();
        move |batch| plain.apply(batch)
    }

    fn append(&mut self, batch: RecordBatch) -> Result<(), Fault> {
        self.writer.write(&batch).map_err(|error| self.trouble.fault(error))
    }

    fn finish(mut self) -> Result<Sink, Fault> {
        self.writer.finish().map_err(|error| self.trouble.fault(error))?;
        let buffered = self.writer.into_inner().map_err(|error| self.trouble.fault(error))?;
        buffered.into_inner().map_err(|error| self.trouble.fault(error))
    }
}
