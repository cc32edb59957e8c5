//! What the sheets of an .xls workbook take in memory, found before they are read, and whether its formulas were ever
//! calculated.
//!
//! Such a workbook is read whole, and each sheet of it as one block from its first to its last cell: two cells far apart
//! take what sixteen million would. So the records are gone through once, looking at places, and at results of formulas.
//!
//! A library that writes formulas and does not calculate them (xlwt) leaves an empty text as the result of each, which is
//! also what a formula says whose result is one. What tells them apart is the workbook as a whole: none of its formulas has
//! another result, and no spreadsheet program has left the mark of its last calculation.

use crate::trouble::damaged;
use flight_common::Fault;
use std::fs::File;
use std::io::{BufReader, Read};

/// Begins a stream, or a chart within a sheet.
const BEGIN: u16 = 0x0809;
/// Records of one cell: its row and column come first.
const CELLS: [u16; 9] = [0x0006, 0x0201, 0x0203, 0x0204, 0x0205, 0x027e, 0x00fd, 0x00d6, 0x0207];
/// A run of numbers in a row: the last column comes last.
const RUN: u16 = 0x00bd;
/// Where the sheet says that its cells are.
const DIMENSIONS: u16 = 0x0200;
/// A formula: place, format, result, flags, a place in the chain of calculation, and itself.
const FORMULA: u16 = 0x0006;
/// Which version of a spreadsheet program has last calculated the workbook.
const CALCULATED: u16 = 0x01c1;

/// Memory of a cell in a block: its value, its formula, and a copy of the value for the sheet that is read.
const BLOCK_CELL: usize = 96;
/// Memory of a cell before the block is made.
const LOOSE_CELL: usize = 64;

/// What was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Bytes of memory that reading the workbook takes.
    pub held: usize,
    /// Whether the workbook has formulas, and none of them was ever calculated.
    pub is_uncalculated: bool,
}

/// Goes through the workbook in a file.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] if it is none.
pub fn weigh(file: &File, path: &str) -> Result<Found, Fault> {
    let file = file.try_clone().map_err(|error| Fault::io(path, &error))?;
    let broken = |error: std::io::Error| damaged(path, &error);
    let mut compound = cfb::CompoundFile::open(BufReader::new(file)).map_err(broken)?;
    if compound.exists("/EncryptedPackage") {
        return Err(Fault::bad_data(format!("{path} is protected by a password")).help("save it without one"));
    }
    let name = if compound.exists("/Workbook") { "/Workbook" } else { "/Book" };
    let stream = compound.open_stream(name).map_err(broken)?;
    let mut records = Records { source: BufReader::new(stream), data: Vec::new() };
    let (mut sum, mut sheet, mut formulas) = (Sum::default(), Block::default(), Formulas::default());
    while let Some(kind) = records.next().map_err(broken)? {
        sum.bytes = sum.bytes.saturating_add(4 + records.data.len());
        formulas.take(kind, &records.data);
        match kind {
            BEGIN => sum.add(std::mem::take(&mut sheet)),
            _ => sheet.take(kind, &records.data),
        }
    }
    sum.add(sheet);
    // The stream itself, and its strings as they are and as they are taken into cells.
    let held = sum.memory.saturating_add(sum.bytes.saturating_mul(4));
    Ok(Found { held, is_uncalculated: formulas.are_uncalculated() })
}

/// What is known of the formulas of a workbook.
#[derive(Default)]
struct Formulas {
    bare: usize,
    calculated: bool,
}

impl Formulas {
    fn take(&mut self, kind: u16, data: &[u8]) {
        match kind {
            CALCULATED => self.calculated = true,
            FORMULA if is_bare(data) => self.bare += 1,
            FORMULA => self.calculated = true,
            _ => {}
        }
    }

    fn are_uncalculated(&self) -> bool {
        self.bare > 0 && !self.calculated
    }
}

/// Whether a formula's result is an empty text, and it has no place in a chain of calculation.
fn is_bare(formula: &[u8]) -> bool {
    matches!(formula.get(6..20), Some([3, _, _, _, _, _, 0xff, 0xff, _, _, 0, 0, 0, 0]))
}

/// Records, one after the other.
struct Records<R> {
    source: R,
    data: Vec<u8>,
}

impl<R: Read> Records<R> {
    /// The kind of the next one; its data are in `data`.
    fn next(&mut self) -> std::io::Result<Option<u16>> {
        let mut head = [0; 4];
        let mut got = 0;
        while got < head.len() {
            match self.source.read(&mut head[got..])? {
                0 => return Ok(None),
                more => got += more,
            }
        }
        let [kind_low, kind_high, length_low, length_high] = head;
        self.data.resize(usize::from(u16::from_le_bytes([length_low, length_high])), 0);
        match self.source.read_exact(&mut self.data) {
            // Padding at the end of the stream is no record.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            read => read.map(|()| Some(u16::from_le_bytes([kind_low, kind_high]))),
        }
    }
}

#[derive(Default)]
struct Sum {
    memory: usize,
    bytes: usize,
}

impl Sum {
    fn add(&mut self, block: Block) {
        self.memory = self.memory.saturating_add(block.memory());
    }
}

/// The cells between the beginnings of two streams.
#[derive(Default)]
struct Block {
    cells: usize,
    reserved: usize,
    /// First and last row, first and last column.
    corners: Option<(u16, u16, u16, u16)>,
}

impl Block {
    fn take(&mut self, kind: u16, data: &[u8]) {
        let word = |at: usize| data.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]));
        let (Some(row), Some(column)) = (word(0), word(2)) else { return };
        match kind {
            RUN => {
                let last = word(data.len().saturating_sub(2)).unwrap_or(column).max(column);
                self.reach(row, column);
                self.reach(row, last);
                self.cells += data.len() / 6;
            }
            DIMENSIONS => {
                let of = |at: usize| usize::from(word(at).unwrap_or_default());
                // The form of the later versions: rows in four bytes each.
                let (rows, columns) = match data.len() {
                    14 => (of(4), of(10)),
                    _ => (of(2), of(6)),
                };
                self.reserved = self.reserved.max(rows.saturating_mul(columns).saturating_mul(LOOSE_CELL));
            }
            _ if CELLS.contains(&kind) => {
                self.reach(row, column);
                self.cells += 1;
            }
            _ => {}
        }
    }

    fn reach(&mut self, row: u16, column: u16) {
        let (top, bottom, left, right) = self.corners.unwrap_or((row, row, column, column));
        self.corners = Some((top.min(row), bottom.max(row), left.min(column), right.max(column)));
    }

    fn memory(&self) -> usize {
        let Some((top, bottom, left, right)) = self.corners else { return 0 };
        let area = (usize::from(bottom - top) + 1) * (usize::from(right - left) + 1);
        area.saturating_mul(BLOCK_CELL).saturating_add(self.cells.saturating_mul(LOOSE_CELL).max(self.reserved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cells_far_apart_weigh_what_lies_between_them() {
        let cell = |row: u16, column: u16| [row.to_le_bytes(), column.to_le_bytes()].concat();
        let mut block = Block::default();
        block.take(0x0203, &cell(0, 0));
        assert!(block.memory() < 1000);
        block.take(0x00fd, &cell(65_535, 255));
        assert!(block.memory() > 1 << 30);
        let mut run = Block::default();
        run.take(RUN, &[cell(0, 0), vec![0; 6], 9u16.to_le_bytes().to_vec()].concat());
        assert_eq!(run.corners, Some((0, 0, 0, 9)));
    }

    #[test]
    fn formulas_are_uncalculated_if_all_are_bare_and_nothing_has_calculated_them() {
        let formula = |result: [u8; 8], chain: u32| [&[0; 6][..], &result, &[0; 2], &chain.to_le_bytes()].concat();
        let (empty, number) = ([3, 0, 0, 0, 0, 0, 0xff, 0xff], 4.0f64.to_le_bytes());
        let of = |records: &[(u16, Vec<u8>)]| {
            let mut formulas = Formulas::default();
            records.iter().for_each(|(kind, data)| formulas.take(*kind, data));
            formulas.are_uncalculated()
        };
        assert!(of(&[(FORMULA, formula(empty, 0)), (FORMULA, formula(empty, 0))]));
        assert!(!of(&[]));
        assert!(!of(&[(FORMULA, formula(empty, 0)), (FORMULA, formula(number, 0))]));
        assert!(!of(&[(FORMULA, formula(empty, 7))]));
        assert!(!of(&[(CALCULATED, vec![0; 8]), (FORMULA, formula(empty, 0))]));
    }
}
