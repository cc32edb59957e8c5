//! Rows of cells as record batches.

use crate::area::Address;
use crate::column::ColumnPlan;
use crate::layout::Layout;
use crate::params::ErrorCells;
use crate::rows::Sink;
use crate::trouble::{beside, no_value, wrong_type};
use crate::value::Cell;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use flight_common::values::{Column, Forms, NullWords, column};
use flight_common::{BATCH_ROWS, Fault};
use std::sync::Arc;

/// Bytes of cells after which a batch is full, however few its rows.
const BATCH_BYTES: usize = 4 << 20;

/// How cells are taken.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What messages begin with: the file and its sheet.
    pub place: String,
    /// Whether there is a row with names.
    pub header: bool,
    /// What to do about errors.
    pub errors: ErrorCells,
    /// Texts that are nulls.
    pub nulls: Arc<NullWords>,
}

/// Takes a batch, and says whether more are wanted.
pub type Emit<'a> = dyn FnMut(RecordBatch) -> Result<bool, Fault> + 'a;

/// Fills batches.
pub struct Fill<'a> {
    layout: &'a Layout,
    rules: &'a Rules,
    emit: &'a mut Emit<'a>,
    /// Rows to take, at most.
    most: u64,
    columns: Vec<Box<dyn Column>>,
    rows: u64,
    /// Rows and bytes of the batch.
    here: usize,
    bytes: usize,
    scratch: String,
}

impl<'a> Fill<'a> {
    /// Fills batches of that layout.
    pub fn new(layout: &'a Layout, rules: &'a Rules, most: u64, emit: &'a mut Emit<'a>) -> Self {
        let forms = Arc::new(Forms::default());
        let columns = layout.columns.iter().map(|plan| column(&plan.data_type, plan.given, &forms)).collect();
        Self { layout, rules, emit, most, columns, rows: 0, here: 0, bytes: 0, scratch: String::new() }
    }

    /// Hands over the rows that are left.
    ///
    /// # Errors
    /// Those of handing over.
    pub fn finish(mut self) -> Result<(), Fault> {
        if self.here > 0 { self.flush().map(drop) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        let arrays = self.columns.iter_mut().map(|column| column.finish()).collect();
        (self.here, self.bytes) = (0, 0);
        (self.emit)(RecordBatch::try_new(self.layout.schema.clone(), arrays)?)
    }

    fn push(&mut self, place: usize, at: Address, cell: &Cell) -> Result<(), Fault> {
        let (plan, column) = (&self.layout.columns[place], self.columns[place].as_mut());
        let zero;
        let cell = match cell {
            Cell::Zero { from_1904 } => {
                zero = plan.zero(*from_1904);
                &zero
            }
            other => other,
        };
        let taken = match cell {
            Cell::Error(_) | Cell::Uncalculated if self.rules.errors == ErrorCells::Null => {
                column.push_null();
                true
            }
            Cell::Error(_) | Cell::Uncalculated | Cell::NoDate(_) | Cell::NoNumber(_) => {
                let fault = no_value(&self.rules.place, at, cell);
                return Err(fault.column(&plan.name).row(self.rows + 1));
            }
            Cell::Text(text) => push_text(column, plan, &self.rules.nulls, text),
            _ => {
                self.scratch.clear();
                match plan.data_type {
                    DataType::Decimal128(..) => cell.write_decimal(&mut self.scratch),
                    _ => cell.write(&mut self.scratch),
                }
                column.push(&self.scratch)
            }
        };
        match taken {
            true => Ok(()),
            false => {
                let fault = wrong_type(&self.rules.place, at, plan, cell);
                Err(fault.column(&plan.name).row(self.rows + 1))
            }
        }
    }
}

/// Takes a text. A text that looks like a number is none unless the user says so.
fn push_text(column: &mut dyn Column, plan: &ColumnPlan, nulls: &NullWords, text: &str) -> bool {
    let trimmed = text.trim();
    let is_text = plan.data_type == DataType::Utf8;
    if nulls.contain(trimmed.as_bytes()) || (!is_text && trimmed.is_empty()) {
        column.push_null();
        return true;
    }
    let may = is_text || plan.given || matches!(plan.data_type, DataType::Date32 | DataType::Timestamp(..));
    may && column.push(if is_text { text } else { trimmed })
}

impl Sink for Fill<'_> {
    fn row(&mut self, number: u32, cells: &[(u32, Cell)]) -> Result<bool, Fault> {
        if number < self.layout.body {
            return Ok(true);
        }
        let mut next = 0;
        for (column, cell) in cells {
            let at = Address { row: number, column: *column };
            if !(self.layout.first..=self.layout.last()).contains(column) {
                let fault = beside(&self.rules.place, at, cell, &self.layout.range(), self.rules.header);
                return Err(fault.row(self.rows + 1));
            }
            let place = (column - self.layout.first) as usize;
            self.columns[next..place].iter_mut().for_each(|column| column.push_null());
            self.push(place, at, cell)?;
            self.bytes += cell.heap();
            next = place + 1;
        }
        self.columns[next..].iter_mut().for_each(|column| column.push_null());
        self.bytes += 8 * self.columns.len();
        self.rows += 1;
        self.here += 1;
        let more = if self.here >= BATCH_ROWS || self.bytes >= BATCH_BYTES { self.flush()? } else { true };
        Ok(more && self.rows < self.most)
    }
}
