//! Cells put together as rows: those of the range, blank ones between others too, merged cells filled if they are to be.

use crate::area::{Address, Area, COLUMNS, ROWS};
use crate::book::Book;
use crate::value::Cell;
use calamine::Dimensions;
use flight_common::Fault;
use std::collections::VecDeque;

/// Takes rows.
pub trait Sink {
    /// Takes the next row, its cells in the order of columns, and says whether more are wanted.
    ///
    /// # Errors
    /// What is wrong with it.
    fn row(&mut self, number: u32, cells: &[(u32, Cell)]) -> Result<bool, Fault>;
}

/// Shows the rows of an area, from its first one to the last with a value.
///
/// # Errors
/// Those of reading, and those of `sink`.
pub fn each_row(
    book: &mut Book,
    sheet: &str,
    area: Area,
    merged: Vec<Dimensions>,
    sink: &mut dyn Sink,
) -> Result<(), Fault> {
    let mut rows =
        Rows { sink, area, next: area.rows.0, row: None, cells: Vec::new(), merged: Merged::new(merged), done: false };
    book.each_cell(sheet, &mut |at, cell| rows.take(at, cell))?;
    rows.finish()
}

struct Rows<'a> {
    sink: &'a mut dyn Sink,
    area: Area,
    /// The next row to show.
    next: u32,
    /// The row that is put together.
    row: Option<u32>,
    cells: Vec<(u32, Cell)>,
    merged: Merged,
    done: bool,
}

impl Rows<'_> {
    fn take(&mut self, at: Address, cell: Cell) -> Result<bool, Fault> {
        if at.row >= ROWS || at.column >= COLUMNS {
            return Err(Fault::bad_data(format!("cell {at} lies beyond the end of any sheet"))
                .help("open and save the workbook in a spreadsheet program"));
        }
        if at.row > self.area.rows.1 {
            return Ok(false);
        }
        if self.row != Some(at.row) {
            self.check_order(self.row.map(|row| Address { row, column: 0 }), at)?;
            self.end_row()?;
            self.row = Some(at.row);
        } else {
            let last = self.cells.last().map(|(column, _)| Address { row: at.row, column: *column });
            self.check_order(last, at)?;
        }
        // A value may stand beside the area and yet be that of merged cells which reach into it.
        self.merged.note(at, &cell);
        if self.area.has_row(at.row) && self.area.has_column(at.column) {
            self.cells.push((at.column, cell));
        }
        Ok(!self.done)
    }

    fn check_order(&self, last: Option<Address>, at: Address) -> Result<(), Fault> {
        match last {
            Some(last) if last >= at => {
                Err(Fault::bad_data(format!("cell {at} comes after cell {last}: the sheet is not in order"))
                    .help("open and save the workbook in a spreadsheet program"))
            }
            _ => Ok(()),
        }
    }

    /// Shows the row that is put together, and those without a cell before it.
    fn end_row(&mut self) -> Result<(), Fault> {
        let Some(row) = self.row.take() else { return Ok(()) };
        if !self.area.has_row(row) || self.cells.is_empty() {
            return Ok(());
        }
        let cells = std::mem::take(&mut self.cells);
        self.show_blank(row)?;
        self.show(row, cells)
    }

    /// Shows rows without a cell of their own, up to one.
    fn show_blank(&mut self, end: u32) -> Result<(), Fault> {
        while self.next < end && !self.done {
            self.show(self.next, Vec::new())?;
        }
        Ok(())
    }

    fn show(&mut self, row: u32, mut cells: Vec<(u32, Cell)>) -> Result<(), Fault> {
        self.merged.fill(row, &self.area, &mut cells);
        if !self.done {
            self.done = !self.sink.row(row, &cells)?;
        }
        self.next = row + 1;
        cells.clear();
        self.cells = cells;
        Ok(())
    }

    fn finish(mut self) -> Result<(), Fault> {
        self.end_row()?;
        let end = self.merged.end().min(self.area.rows.1.saturating_add(1));
        self.show_blank(end)
    }
}

/// Merged cells, and the values of those that reach the row that is read.
struct Merged {
    /// In the order of their first rows.
    waiting: VecDeque<Dimensions>,
    open: Vec<(Dimensions, Cell)>,
}

impl Merged {
    fn new(mut areas: Vec<Dimensions>) -> Self {
        areas.sort_unstable_by_key(|area| area.start);
        Self { waiting: areas.into(), open: Vec::new() }
    }

    /// Notes a cell that is the first one of merged cells.
    fn note(&mut self, at: Address, cell: &Cell) {
        let place = (at.row, at.column);
        while let Some(area) = self.waiting.front().copied().filter(|area| area.start <= place) {
            self.waiting.pop_front();
            if area.start == place {
                self.open.push((area, cell.clone()));
            }
        }
    }

    /// Fills a row.
    fn fill(&mut self, row: u32, area: &Area, cells: &mut Vec<(u32, Cell)>) {
        self.open.retain(|(merged, _)| merged.end.0 >= row);
        for (merged, cell) in self.open.iter().filter(|(merged, _)| merged.start.0 <= row) {
            let columns = merged.start.1.max(area.columns.0)..=merged.end.1.min(area.columns.1);
            for column in columns {
                if let Err(place) = cells.binary_search_by_key(&column, |(column, _)| *column) {
                    cells.insert(place, (column, cell.clone()));
                }
            }
        }
    }

    /// The row after the last one that is filled.
    fn end(&self) -> u32 {
        self.open.iter().map(|(merged, _)| merged.end.0.saturating_add(1)).max().unwrap_or_default()
    }
}
