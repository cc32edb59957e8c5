//! JSON files: one array of records, or a record per line.

use crate::params::Compression;
use crate::sink::{Sink, TextSink, Trouble};
use crate::writer::{Memory, Writer};
use arrow::array::RecordBatch;
use flight_common::{Fault, Meter};
use formats::Plain;
use formats::json::{Layout, Records, records};
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
}

impl Writer for JsonWriter {
    type Piece = Records;

    fn prepare(&self) -> impl Fn(RecordBatch) -> Result<Records, Fault> + Clone + Send + Sync + 'static {
        let (plain, layout, memory) = (self.plain.clone(), self.layout, self.memory.clone());
        move |batch| Ok(records(&plain.apply(batch)?, layout, memory.take()))
    }

    fn append(&mut self, records: Records) -> Result<(), Fault> {
        for piece in self.layout.framed(&records.bytes, self.empty) {
            self.sink.put(piece).map_err(|error| self.trouble.fault(error))?;
        }
        self.empty = self.empty && records.bytes.is_empty();
        if records.not_finite > 0 {
            self.meter.count("nan_written_as_null", records.not_finite);
        }
        self.memory.give(records.bytes);
        Ok(())
    }

    fn finish(mut self) -> Result<Sink, Fault> {
        let ended = self.sink.put(self.layout.end(self.empty));
        let Self { sink, trouble, .. } = self;
        ended.and_then(|()| sink.finish()).map_err(|error| trouble.fault(error))
    }
}
