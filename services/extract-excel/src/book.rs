//! A workbook of any format: its sheets, and the cells of one of them in the order of rows.
//!
//! Sheets of .xlsx and .xlsb are read cell by cell. Those of .xls and .ods are in memory as a whole, and so weighed
//! before. A damaged workbook may make the reader of its format panic; that is a fault like others.

use crate::area::Address;
use crate::guard::{self, Form, too_large};
use crate::options::Options;
use crate::params::{MergedCells, SheetChoice};
use crate::trouble::damaged;
use crate::value::Cell;
use crate::{biff, odf};
use calamine::{
    Data, Dimensions, Ods, Range, Reader, Sheet, SheetType, SheetVisible, Xls, Xlsb, XlsbError, Xlsx, XlsxError,
};
use flight_common::params::did_you_mean;
use flight_common::{Fault, MemoryBudget, Reservation, panics};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};

type Source = BufReader<File>;

/// An open workbook.
pub struct Book {
    path: String,
    kind: Kind,
    /// The merged cells of sheets whose reader does not tell them.
    merged: HashMap<String, Vec<Dimensions>>,
    /// The cells of sheets that show an error, where the reader does not tell them.
    errors: HashMap<String, Vec<(Dimensions, String)>>,
    /// Whether formulas whose result is an empty text were never calculated.
    is_uncalculated: bool,
    /// The memory that it takes.
    _held: Reservation,
}

enum Kind {
    Xlsx(Box<Xlsx<Source>>),
    Xlsb(Box<Xlsb<Source>>),
    Xls(Box<Xls<Source>>),
    Ods(Box<Ods<Source>>),
}

/// Takes a cell, and says whether more are wanted.
pub type Visit<'a> = dyn FnMut(Address, Cell) -> Result<bool, Fault> + 'a;

impl Book {
    /// Weighs and opens the workbook in a file.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] if it is none, or too large for the memory.
    pub fn open(file: &File, options: &Options, budget: &MemoryBudget) -> Result<Self, Fault> {
        let path = &*options.path;
        let magic = magic(file, path)?;
        let (mut merged, mut errors, mut is_uncalculated) = (HashMap::new(), HashMap::new(), false);
        let (form, held) = match magic.as_slice() {
            [b'P', b'K', ..] => {
                let weight = guard::weigh(file, path, options.max_bytes)?;
                if weight.form == Form::Ods {
                    let found = guarded(path, || odf::weigh(file, path))?;
                    (merged, errors) = (found.merged, found.errors);
                    (Form::Ods, usize::try_from(found.held).unwrap_or(usize::MAX))
                } else {
                    (weight.form, weight.held)
                }
            }
            [0xd0, 0xcf, 0x11, 0xe0, ..] => {
                let found = guarded(path, || weigh_xls(file, options))?;
                is_uncalculated = found.is_uncalculated;
                (Form::Xls, found.held)
            }
            _ => return Err(damaged(path, &"it does not begin like one")),
        };
        let held = reserve(path, form, held, budget)?;
        let mut file = file.try_clone().map_err(|error| Fault::io(path, &error))?;
        file.rewind().map_err(|error| Fault::io(path, &error))?;
        let source = BufReader::new(file);
        let kind = guarded(path, || {
            Ok(match form {
                Form::Xlsx => Kind::Xlsx(Box::new(opened(path, Xlsx::new(source))?)),
                Form::Xlsb => Kind::Xlsb(Box::new(opened(path, Xlsb::new(source))?)),
                Form::Xls => Kind::Xls(Box::new(opened(path, Xls::new(source))?)),
                Form::Ods => Kind::Ods(Box::new(opened(path, Ods::new(source))?)),
            })
        })?;
        Ok(Self { path: path.to_owned(), kind, merged, errors, is_uncalculated, _held: held })
    }

    fn sheets(&self) -> Vec<Sheet> {
        let sheets = match &self.kind {
            Kind::Xlsx(book) => book.sheets_metadata(),
            Kind::Xlsb(book) => book.sheets_metadata(),
            Kind::Xls(book) => book.sheets_metadata(),
            Kind::Ods(book) => book.sheets_metadata(),
        };
        sheets.iter().filter(|sheet| sheet.typ == SheetType::WorkSheet).cloned().collect()
    }

    /// The name of the sheet that the user chose.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] if there is none such, with those there are.
    pub fn choose(&self, choice: Option<&SheetChoice>) -> Result<String, Fault> {
        let sheets = self.sheets();
        let names: Vec<&str> = sheets.iter().map(|sheet| sheet.name.as_str()).collect();
        let refused = |message: String, help: String| {
            Err(Fault::bad_params(message.clone()).violation("/sheet", message).help(help))
        };
        match choice {
            None => {
                let shown = sheets.iter().find(|sheet| sheet.visible == SheetVisible::Visible).or(sheets.first());
                shown.map(|sheet| sheet.name.clone()).ok_or_else(|| damaged(&self.path, &"it has no sheet of cells"))
            }
            Some(SheetChoice::Name(name)) if names.contains(&name.as_str()) => Ok(name.clone()),
            Some(SheetChoice::Name(name)) => {
                let message = format!("{} has no sheet \"{name}\"", self.path);
                refused(message, did_you_mean(name, names.iter().copied()))
            }
            Some(SheetChoice::Place(place)) => match names.get((*place as usize).wrapping_sub(1)) {
                Some(name) => Ok((*name).to_owned()),
                None => {
                    let message = format!("{} has no sheet {place}, but {}", self.path, names.len());
                    refused(message, format!("its sheets are {names:?}"))
                }
            },
        }
    }

    /// The merged cells of a sheet, if each of them is to hold their value.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for a format whose merged cells are not known.
    pub fn merged(&mut self, sheet: &str, wanted: MergedCells) -> Result<Vec<Dimensions>, Fault> {
        if wanted == MergedCells::First {
            return Ok(Vec::new());
        }
        let path = &self.path;
        match &mut self.kind {
            Kind::Xlsx(book) => guarded(path, || opened(path, book.merge_cells_by_sheet_name(sheet))),
            Kind::Xls(book) => guarded(path, || opened(path, book.merge_cells_by_sheet_name(sheet))),
            Kind::Ods(_) => Ok(self.merged.remove(sheet).unwrap_or_default()),
            Kind::Xlsb(_) => {
                let message = "merged_cells: in .xlsb workbooks they are not known";
                Err(Fault::bad_params(message).violation("/merged_cells", message).help("save it as .xlsx"))
            }
        }
    }

    /// Shows the cells of a sheet that hold something, until no more are wanted.
    ///
    /// # Errors
    /// What cannot be read, with the cell before it; and those of `visit`.
    pub fn each_cell(&mut self, sheet: &str, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let path = &self.path;
        let mut last = None;
        guarded(path, || match &mut self.kind {
            Kind::Xlsx(book) => each_of_xlsx(path, book, sheet, &mut last, visit),
            Kind::Xlsb(book) => each_of_xlsb(path, book, sheet, &mut last, visit),
            Kind::Xls(book) => {
                let values = opened(path, book.worksheet_range(sheet))?;
                let bare = if self.is_uncalculated { Some(opened(path, book.worksheet_formula(sheet))?) } else { None };
                let is_bare = |at: Address| {
                    let formula = bare.as_ref().and_then(|formulas| formulas.get_value((at.row, at.column)));
                    formula.is_some_and(|formula| !formula.is_empty())
                };
                each_of_range(&values, |at| is_bare(at).then_some(Cell::Uncalculated), visit)
            }
            Kind::Ods(book) => {
                let mut errors = odf::Errors::new(self.errors.get(sheet).cloned().unwrap_or_default());
                let values = opened(path, book.worksheet_range(sheet))?;
                each_of_range(&values, |at| errors.at(at).map(|error| Cell::Error(error.to_owned())), visit)
            }
        })
    }
}

fn each_of_xlsx(
    path: &str,
    book: &mut Xlsx<Source>,
    sheet: &str,
    last: &mut Option<Address>,
    visit: &mut Visit<'_>,
) -> Result<(), Fault> {
    let mut cells = opened(path, book.worksheet_cells_reader(sheet))?;
    let next = || {
        let Some(record) = cells.next_cell_with_formula_metadata()? else { return Ok(None) };
        let bare = record.formula.is_some().then_some(Cell::Uncalculated);
        Ok(Some((record.pos, Cell::of_ref(record.value).or(bare))))
    };
    each(next, last, visit, |last, error: XlsxError| broken_after(path, sheet, last, &error))
}

fn each_of_xlsb(
    path: &str,
    book: &mut Xlsb<Source>,
    sheet: &str,
    last: &mut Option<Address>,
    visit: &mut Visit<'_>,
) -> Result<(), Fault> {
    let mut cells = opened(path, book.worksheet_cells_reader(sheet))?;
    let next = || Ok(cells.next_cell()?.map(|found| (found.get_position(), Cell::of_ref(found.get_value().clone()))));
    each(next, last, visit, |last, error: XlsbError| broken_after(path, sheet, last, &error))
}

/// A cell and its row and column; none that is worth a visit has no cell.
type Found = Option<((u32, u32), Option<Cell>)>;

/// Visits the cells that `next` gives, until it gives none or the visitor has enough.
fn each<E>(
    mut next: impl FnMut() -> Result<Found, E>,
    last: &mut Option<Address>,
    visit: &mut Visit<'_>,
    broken: impl Fn(Option<Address>, E) -> Fault,
) -> Result<(), Fault> {
    while let Some(((row, column), cell)) = next().map_err(|error| broken(*last, error))? {
        let Some(cell) = cell else { continue };
        let at = Address { row, column };
        *last = Some(at);
        if !visit(at, cell)? {
            break;
        }
    }
    Ok(())
}

/// Visits the cells of a sheet in memory. `instead` is what a cell holds that the reader does not tell.
fn each_of_range(
    range: &Range<Data>,
    mut instead: impl FnMut(Address) -> Option<Cell>,
    visit: &mut Visit<'_>,
) -> Result<(), Fault> {
    let Some((top, left)) = range.start() else { return Ok(()) };
    for (row, column, value) in range.used_cells() {
        let at = Address { row: top + row as u32, column: left + column as u32 };
        let Some(cell) = Cell::of(value) else { continue };
        if !visit(at, instead(at).unwrap_or(cell))? {
            return Ok(());
        }
    }
    Ok(())
}

fn weigh_xls(file: &File, options: &Options) -> Result<biff::Found, Fault> {
    let path = &*options.path;
    let size = file.metadata().map_err(|error| Fault::io(path, &error))?.len();
    if size > options.max_bytes {
        return Err(too_large(path, &format!("{size} bytes"), options.max_bytes));
    }
    biff::weigh(file, path)
}

/// Books the memory of a workbook. One that no memory of this process could hold is refused.
fn reserve(path: &str, form: Form, bytes: usize, budget: &MemoryBudget) -> Result<Reservation, Fault> {
    if bytes > budget.limit() {
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        let message = format!("{path} takes {} MiB of memory to read, of {} MiB", mib(bytes), mib(budget.limit()));
        return Err(Fault::bad_data(message).help(match form {
            Form::Xls | Form::Ods => "save it as .xlsx, which is read row by row, or allow more memory",
            Form::Xlsx | Form::Xlsb => "its texts are too many: split it, or allow more memory",
        }));
    }
    let mut held = budget.reservation();
    held.grow(bytes);
    Ok(held)
}

fn magic(file: &File, path: &str) -> Result<Vec<u8>, Fault> {
    let failed = |error| Fault::io(path, &error);
    let mut file = file.try_clone().map_err(failed)?;
    file.rewind().map_err(failed)?;
    let mut magic = Vec::new();
    file.take(8).read_to_end(&mut magic).map_err(failed)?;
    Ok(magic)
}

fn opened<T, E: std::fmt::Display>(path: &str, result: Result<T, E>) -> Result<T, Fault> {
    result.map_err(|error| damaged(path, &error))
}

fn broken_after(path: &str, sheet: &str, last: Option<Address>, error: &dyn std::fmt::Display) -> Fault {
    let place = last.map_or_else(|| "before its first cell".to_owned(), |at| format!("after cell {at}"));
    damaged(path, &format!("sheet \"{sheet}\", {place}: {error}"))
}

/// Runs what reads bytes that somebody else has written. That it panics means that they are damaged.
fn guarded<T>(path: &str, read: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    panics::caught(read).unwrap_or_else(|_| Err(damaged(path, &"its content is damaged")))
}
