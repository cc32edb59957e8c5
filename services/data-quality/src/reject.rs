//! Rows that do not pass, each with the reason.

use arrow::array::{BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use flight_common::spool::{SpillSender, spill_queue};
use flight_common::{BatchStream, Fault, SpillSpace};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The column that holds the reason.
pub const REASON: &str = "reject_reason";

/// Why rows of a batch do not pass.
#[derive(Default)]
pub struct Reasons(BTreeMap<usize, String>);

impl Reasons {
    /// Notes one more reason for a row.
    pub fn add(&mut self, row: usize, reason: impl FnOnce() -> String) {
        let told = self.0.entry(row).or_default();
        if !told.is_empty() {
            told.push_str("; ");
        }
        told.push_str(&reason());
    }

    /// The rows that pass, and the others with their reasons.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if the rows do not fit the planned columns.
    pub fn divide(
        self,
        batch: &RecordBatch,
        rejected: &SchemaRef,
    ) -> Result<(RecordBatch, Option<RecordBatch>), Fault> {
        if self.0.is_empty() {
            return Ok((batch.clone(), None));
        }
        let passes = BooleanBuffer::collect_bool(batch.num_rows(), |row| !self.0.contains_key(&row));
        let fails = filter_record_batch(batch, &BooleanArray::new(!&passes, None))?;
        let mut columns = fails.columns().to_vec();
        columns.push(Arc::new(StringArray::from_iter_values(self.0.values())));
        let kept = filter_record_batch(batch, &BooleanArray::new(passes, None))?;
        Ok((kept, Some(RecordBatch::try_new(rejected.clone(), columns)?)))
    }
}

/// The output of rejected rows, and where to put them. What its reader has not read yet waits, on disk if it must: rows
/// that pass never wait for the reader of those that do not.
pub fn output(space: &SpillSpace, schema: SchemaRef) -> (SpillSender<RecordBatch>, BatchStream) {
    let (sender, receiver) = spill_queue(space, schema);
    (sender, receiver.into_stream())
}
