//! JSON files: one array of records, or a record per line.

mod nested;
mod records;
mod string;

pub use records::{Layout, duplicate, refusal};

use crate::params::Compression;
use crate::plain::Plain;
use crate::sink::{Sink, TextSink, Trouble};
use crate::writer::{Memory, Writer};
use arrow::array::RecordBatch;
use flight_common::{Fault, Meter};
use records::Records;
use std::io;
use std::sync::Arc;

/// Writes a JSON file.
pub struct JsonWriter {
    sink: TextSink,
    trouble: Trouble,
    layout: Layout,
    /// Whether no record has been written yet.
    empty: bool,
    plain: Plain,
    memory: Memory,
    meter: Arc<Meter>,
}

impl JsonWriter {
    /// Begins the file. `meter` counts the numbers that JSON cannot hold.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn begin(
        sink: Sink,
        compression: Compression,
        layout: Layout,
        plain: Plain,
        meter: Arc<Meter>,
    ) -> Result<Self, Fault> {
        let trouble = sink.trouble();
        let sink = TextSink::new(sink, compression)?;
        Ok(Self { sink, trouble, layout, empty: true, plain, memory: Memory::default(), meter })
    }

    /// Each record of an array brings the comma that stands before it; the first has a bracket there instead.
    fn put(&mut self, records: &[u8]) -> io::Result<()> {
        if self.layout == Layout::Array && self.empty {
            self.sink.put(b"[")?;
            return self.sink.put(records.strip_prefix(b",").unwrap_or(records));
        }
        self.sink.put(records)
    }

    fn close(&mut self) -> io::Result<()> {
        match (self.layout, self.empty) {
            (Layout::Lines, _) => Ok(()),
            (Layout::Array, true) => self.sink.put(b"[]\n"),
            (Layout::Array, false) => self.sink.put(b"\n]\n"),
        }
    }
}

impl Writer for JsonWriter {
    type Piece = Records;

    fn prepare(&self) -> impl Fn(RecordBatch) -> Result<Records, Fault> + Clone + Send + Sync + 'static {
        let (plain, layout, memory) = (self.plain.clone(), self.layout, self.memory.clone());
        move |batch| Ok(records::records(&plain.apply(batch)?, layout, memory.take()))
    }

    fn append(&mut self, records: Records) -> Result<(), Fault> {
        self.put(&records.bytes).map_err(|error| self.trouble.fault(error))?;
        self.empty = self.empty && records.bytes.is_empty();
        if records.not_finite > 0 {
            self.meter.count("nan_written_as_null", records.not_finite);
        }
        self.memory.give(records.bytes);
        Ok(())
    }

    fn finish(mut self) -> Result<Sink, Fault> {
        let closed = self.close();
        let Self { sink, trouble, .. } = self;
        closed.and_then(|()| sink.finish()).map_err(|error| trouble.fault(error))
    }
}
