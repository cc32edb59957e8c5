//! A batch under way, for databases that hand over value by value.

use crate::trouble::{Trouble, Wrong};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use flight_common::{BATCH_ROWS, Fault};

/// Bytes that make a batch, if rows do not.
const BYTES: usize = 2 << 20;

/// A column under way.
pub trait Cells {
    /// The column.
    fn finish(self) -> ArrayRef;
}

/// Rows that are not yet a batch.
pub struct Draft<C> {
    schema: SchemaRef,
    columns: Vec<C>,
    rows: usize,
    bytes: usize,
}

impl<C: Cells> Draft<C> {
    /// No rows yet; `columns` are empty.
    pub fn new(schema: SchemaRef, columns: Vec<C>) -> Self {
        Self { schema, columns, rows: 0, bytes: 0 }
    }

    /// Adds a row. `push` adds the value at a place to its column, and tells how many bytes it takes about.
    ///
    /// # Errors
    /// What `push` says; what is wrong with a value comes with its place, and with the row in this draft.
    pub fn push(&mut self, mut push: impl FnMut(usize, &mut C) -> Result<usize, CellError>) -> Result<(), RowError> {
        for (place, cells) in self.columns.iter_mut().enumerate() {
            self.bytes += push(place, cells).map_err(|error| match error {
                CellError::Fault(fault) => RowError::Fault(fault),
                CellError::Wrong(wrong) => {
                    let column = self.schema.field(place).name().clone();
                    RowError::Trouble(Trouble { row: self.rows as u64, column, wrong })
                }
            })?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Its rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes of its rows, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it makes a batch.
    pub fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BYTES
    }

    /// The batch.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if its columns do not fit the schema.
    pub fn finish(self) -> Result<RecordBatch, Fault> {
        let columns = self.columns.into_iter().map(Cells::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        Ok(RecordBatch::try_new_with_options(self.schema, columns, &options)?)
    }
}

/// Why a value cannot be added.
pub enum CellError {
    /// The value.
    Wrong(Wrong),
    /// Something else.
    Fault(Fault),
}

impl From<Wrong> for CellError {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

/// Why a row cannot be added.
pub enum RowError {
    /// A value.
    Trouble(Trouble),
    /// Something else.
    Fault(Fault),
}

impl RowError {
    /// The fault, with `before` rows before the draft.
    pub fn fault(self, before: u64) -> Fault {
        match self {
            Self::Trouble(trouble) => trouble.fault(before),
            Self::Fault(fault) => fault,
        }
    }
}
