//! CSV files.

use crate::params::Compression;
use crate::sink::{Sink, TextSink, Trouble};
use crate::writer::{Memory, Writer};
use arrow::array::RecordBatch;
use flight_common::Fault;
use formats::Plain;
use formats::csv::{Dialect, header, rows};
use std::sync::Arc;

/// Writes a CSV file.
pub struct CsvWriter {
    sink: TextSink,
    trouble: Trouble,
    dialect: Arc<Dialect>,
    plain: Plain,
    memory: Memory,
}

impl CsvWriter {
    /// Begins the file, with a line of names if the dialect has one.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn begin(sink: Sink, compression: Compression, dialect: Dialect, plain: Plain) -> Result<Self, Fault> {
        let trouble = sink.trouble();
        let mut sink = TextSink::new(sink, compression)?;
        if dialect.header {
            sink.put(&header(plain.schema(), &dialect)).map_err(|error| trouble.fault(error))?;
        }
        Ok(Self { sink, trouble, dialect: Arc::new(dialect), plain, memory: Memory::default() })
    }
}

impl Writer for CsvWriter {
    type Piece = Vec<u8>;

    fn prepare(&self) -> impl Fn(RecordBatch) -> Result<Vec<u8>, Fault> + Clone + Send + Sync + 'static {
        let (plain, dialect, memory) = (self.plain.clone(), self.dialect.clone(), self.memory.clone());
        move |batch| Ok(rows(&plain.apply(batch)?, &dialect, memory.take()))
    }

    fn append(&mut self, text: Vec<u8>) -> Result<(), Fault> {
        self.sink.put(&text).map_err(|error| self.trouble.fault(error))?;
        self.memory.give(text);
        Ok(())
    }

    fn finish(self) -> Result<Sink, Fault> {
        self.sink.finish().map_err(|error| self.trouble.fault(error))
    }
}
