//! Rows as PostgreSQL sends them, cut into pieces and read into batches.
//!
//! A row is its number of fields and, for each field, its length (−1 for a null) and its bytes: the rows of `COPY … WITH
//! (FORMAT binary)`, and what is made of the rows of a query with parameters, so that one reader serves both.

use super::cells::Cells;
use super::types::Form;
use crate::trouble::{Trouble, Wrong};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flight_common::{BATCH_ROWS, Fault, MemoryBudget, Reservation};

/// Bytes that make a piece, if rows do not.
const BYTES: usize = 2 << 20;

/// What the rows are read as.
#[derive(Debug)]
pub struct Layout {
    /// The schema.
    pub schema: SchemaRef,
    /// How the fields of each column are read.
    pub forms: Vec<Form>,
}

/// Whole rows.
pub struct Piece {
    bytes: Vec<u8>,
    rows: usize,
    booked: Reservation,
}

impl Piece {
    /// An empty piece.
    pub fn new(budget: &MemoryBudget) -> Self {
        Self { bytes: Vec::new(), rows: 0, booked: budget.reservation() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: &[u8]) {
        let before = self.bytes.capacity();
        self.bytes.extend_from_slice(row);
        self.booked.grow(self.bytes.capacity() - before);
        self.rows += 1;
    }

    /// Adds a row of these fields.
    pub fn push_fields<'a>(&mut self, fields: impl ExactSizeIterator<Item = Option<&'a [u8]>>) {
        let before = self.bytes.capacity();
        let length = |length: usize| i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes();
        self.bytes.extend_from_slice(&i16::try_from(fields.len()).unwrap_or(i16::MAX).to_be_bytes());
        for field in fields {
            self.bytes.extend_from_slice(&field.map_or((-1i32).to_be_bytes(), |field| length(field.len())));
            self.bytes.extend_from_slice(field.unwrap_or_default());
        }
        self.booked.grow(self.bytes.capacity() - before);
        self.rows += 1;
    }

    /// Its rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether it makes a batch.
    pub fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes.len() >= BYTES
    }

    /// Its rows as a batch.
    ///
    /// # Errors
    /// A value that cannot be taken.
    pub fn read(&self, layout: &Layout) -> Result<RecordBatch, PieceError> {
        let mut columns: Vec<Cells> = layout.forms.iter().map(Cells::new).collect();
        let mut rest = &self.bytes[..];
        for row in 0..self.rows as u64 {
            let trouble = |column: usize, wrong: Wrong| {
                PieceError::Trouble(Trouble { row, column: layout.schema.field(column).name().clone(), wrong })
            };
            let count = take(&mut rest).map(i16::from_be_bytes);
            if count.map(usize::try_from) != Some(Ok(columns.len())) {
                return Err(PieceError::Fault(Fault::upstream(
                    "the database sent a row with other columns than planned",
                )));
            }
            for (place, cells) in columns.iter_mut().enumerate() {
                let length = take(&mut rest).map(i32::from_be_bytes).ok_or_else(cut_short)?;
                let Ok(length) = usize::try_from(length) else {
                    cells.push_null();
                    continue;
                };
                let (field, after) = rest.split_at_checked(length).ok_or_else(cut_short)?;
                cells.push(field).map_err(|wrong| trouble(place, wrong))?;
                rest = after;
            }
        }
        let columns =
            columns.into_iter().map(Cells::finish).collect::<Result<Vec<_>, Fault>>().map_err(PieceError::Fault)?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(layout.schema.clone(), columns, &options)
            .map_err(|error| PieceError::Fault(error.into()))
    }
}

/// Why a piece cannot be read.
#[derive(Debug)]
pub enum PieceError {
    /// A value, whose row is known once the rows before the piece are counted.
    Trouble(Trouble),
    /// Something else.
    Fault(Fault),
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

fn cut_short() -> PieceError {
    PieceError::Fault(Fault::upstream("the database sent a row that is cut short"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};
    use std::sync::Arc;

    fn layout() -> Layout {
        let fields = vec![Field::new("n", DataType::Int32, true), Field::new("s", DataType::Utf8, true)];
        Layout { schema: Arc::new(Schema::new(fields)), forms: vec![Form::Int4, Form::Text] }
    }

    #[test]
    fn rows_become_columns() {
        let mut piece = Piece::new(&MemoryBudget::default());
        piece.push_fields([Some(&7i32.to_be_bytes()[..]), Some("ü".as_bytes())].into_iter());
        piece.push(b"\0\x02\xff\xff\xff\xff\0\0\0\0");
        let batch = piece.read(&layout()).expect("read");
        assert_eq!(batch["n"].as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(7), None]);
        assert_eq!((batch["s"].as_string::<i32>().value(0), batch["s"].as_string::<i32>().value(1)), ("ü", ""));
        assert_eq!(batch["s"].null_count(), 0);
    }

    #[test]
    fn a_bad_value_tells_its_place() {
        let mut piece = Piece::new(&MemoryBudget::default());
        piece.push_fields([None, Some("a".as_bytes())].into_iter());
        piece.push_fields([None, Some(&b"\xff"[..])].into_iter());
        match piece.read(&layout()).expect_err("no UTF-8") {
            PieceError::Trouble(trouble) => {
                assert_eq!((trouble.row, trouble.column.as_str()), (1, "s"));
                assert_eq!(trouble.fault(10).row_number(), Some(12));
            }
            PieceError::Fault(fault) => panic!("{fault:?}"),
        }
    }
}
