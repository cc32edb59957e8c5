//! A piece of the file as record batches. This is the work that goes on in parallel.

use crate::column::{self, BadField, Column};
use crate::field::Rules;
use crate::forms::Forms;
use crate::layout::Layout;
use crate::rows::{Block, Rows};
use crate::text::Text;
use crate::trouble::Trouble;
use arrow::array::{RecordBatch, RecordBatchOptions};
use flight_common::{BATCH_ROWS, Fault};
use std::sync::Arc;

/// Reads pieces.
#[derive(Clone, Debug)]
pub struct Reader {
    /// How fields are read.
    pub rules: Arc<Rules>,
    /// How dates and timestamps are written.
    pub forms: Arc<Forms>,
    /// What the file holds.
    pub layout: Arc<Layout>,
}

/// What a piece held.
pub struct Parsed {
    /// Its rows.
    pub batches: Vec<RecordBatch>,
    /// Their number.
    pub rows: u64,
    /// Its lines.
    pub lines: u64,
}

/// Why a piece cannot be read.
pub enum PieceError {
    /// The text is wrong.
    Trouble(Trouble),
    /// Something else is.
    Fault(Fault),
}

impl From<Trouble> for PieceError {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Reader {
    /// Reads a piece.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(&self, piece: &Text) -> Result<Parsed, PieceError> {
        let view = piece.view();
        let mut rows = Rows::new(view, self.layout.columns.len(), self.rules.dialect);
        let mut batch = Batch::new(self, view.text());
        let mut batches = Vec::new();
        loop {
            match rows.next_block() {
                Ok(Some(block)) => batch.append(&block)?,
                Ok(None) => break,
                Err(ragged) => return Err(Trouble::ragged(view.text(), batch.rows_in_all(), ragged).into()),
            }
            if batch.starts.len() >= BATCH_ROWS {
                batches.push(batch.finish()?);
            }
        }
        if !batch.starts.is_empty() {
            batches.push(batch.finish()?);
        }
        Ok(Parsed { batches, rows: batch.finished as u64, lines: rows.lines() })
    }
}

/// A batch being filled.
struct Batch<'a> {
    reader: &'a Reader,
    text: &'a [u8],
    columns: Vec<Box<dyn Column>>,
    /// Where each of its rows begins.
    starts: Vec<u32>,
    /// Rows of the batches before it.
    finished: usize,
    /// As many rows are expected in the piece.
    expected: usize,
}

impl<'a> Batch<'a> {
    fn new(reader: &'a Reader, text: &'a [u8]) -> Self {
        // A few more than by their average length, so that there is seldom too little room.
        let expected = text.len() / reader.layout.row_bytes.max(1) * 17 / 16;
        let columns = reader.layout.columns.iter();
        let columns = columns.map(|plan| column::new(plan, &reader.rules, &reader.forms)).collect();
        Self { reader, text, columns, starts: Vec::new(), finished: 0, expected }
    }

    fn rows_in_all(&self) -> usize {
        self.finished + self.starts.len()
    }

    fn append(&mut self, block: &Block<'_>) -> Result<(), Trouble> {
        if self.starts.is_empty() {
            // A batch is closed by the block that fills it.
            let expected = self.expected.saturating_sub(self.finished).min(BATCH_ROWS) + block.rows();
            self.starts.reserve(expected);
            self.columns.iter_mut().for_each(|column| column.reserve(expected));
        }
        self.starts.extend(block.starts());
        let read = |(place, column): (usize, &mut Box<dyn Column>)| Some((column.append(block, place).err()?, place));
        // All columns are read, and of what is wrong the first row is told, so that it is the same however the file is
        // cut.
        let wrong = self.columns.iter_mut().enumerate().filter_map(read).min_by_key(|(bad, place)| (bad.row, *place));
        wrong.map_or(Ok(()), |(bad, place)| Err(self.trouble(bad, place)))
    }

    fn finish(&mut self) -> Result<RecordBatch, PieceError> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for place in 0..self.columns.len() {
            arrays.push(self.columns[place].finish().map_err(|bad| self.trouble(bad, place))?);
        }
        self.finished += self.starts.len();
        let options = RecordBatchOptions::new().with_row_count(Some(self.starts.len()));
        self.starts.clear();
        let batch = RecordBatch::try_new_with_options(self.reader.layout.schema.clone(), arrays, &options);
        batch.map_err(|error| PieceError::Fault(error.into()))
    }

    fn trouble(&self, bad: BadField, place: usize) -> Trouble {
        let start = self.starts[bad.row] as usize;
        Trouble::field(self.text, start, self.finished + bad.row, place, bad)
    }
}
