//! Excel workbooks of one sheet.
//!
//! Rows go to a temporary file in the spill folder as they come and are zipped at the end, so that memory stays small.

mod cell;

use crate::sink::{Sink, Trouble};
use crate::writer::Writer;
use arrow::array::RecordBatch;
use arrow::datatypes::Field;
use cell::{Cell, CellColumn, Kind};
use flight_common::{Fault, SpillSpace, panics};
use formats::Plain;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};
use std::path::PathBuf;

const MAX_ROWS: u32 = 1_048_576;
/// The longest text of a cell, in UTF-16 units.
const MAX_TEXT: usize = 32_767;
/// The longest name of a sheet.
const MAX_NAME: usize = 31;
/// The longest part of a zip whose lengths have 32 bits. Not every reader knows those that have 64.
const MAX_PART: u64 = u32::MAX as u64;

/// Writes an Excel workbook.
pub struct XlsxWriter {
    workbook: Workbook,
    sink: Sink,
    trouble: Trouble,
    temporary: PathBuf,
    plain: Plain,
    header: bool,
    next_row: u32,
    /// The sheet has no more bytes of XML than this.
    most: u64,
    /// How cells of each [`Kind`] are shown.
    formats: [Format; Kind::COUNT],
}

impl XlsxWriter {
    /// Begins the file, with a line of names if `header` says so.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn begin(sink: Sink, dataset: &str, header: bool, plain: Plain, space: &SpillSpace) -> Result<Self, Fault> {
        let mut workbook = Workbook::new();
        // The same rows make the same bytes, whenever they are written.
        let epoch = ExcelDateTime::from_timestamp(0).map_err(Fault::internal)?;
        workbook.set_properties(&DocProperties::new().set_creation_datetime(&epoch));
        let temporary = space.dir().to_owned();
        let trouble = sink.trouble();
        workbook.set_tempdir(&temporary).map_err(|error| temporary_failed(&temporary, error))?;
        let sheet = workbook.add_worksheet_with_constant_memory();
        let sheet = sheet.map_err(|error| temporary_failed(&temporary, error))?;
        sheet.set_name(sheet_name(dataset)).map_err(Fault::internal)?;
        let formats = Kind::ALL.map(|kind| Format::new().set_num_format(kind.pattern()));
        let mut begun = Self { workbook, sink, trouble, temporary, plain, header, next_row: 0, most: 0, formats };
        if header {
            begun.put_names()?;
        }
        Ok(begun)
    }

    fn put_names(&mut self) -> Result<(), Fault> {
        let schema = self.plain.schema().clone();
        self.guarded(|this| {
            let sheet = this.workbook.worksheet_from_index(0).map_err(Fault::internal)?;
            for (place, field) in schema.fields().iter().enumerate() {
                check_length(field.name(), field, None)?;
                this.most += Cell::Text(field.name().into()).most_xml();
                sheet.write_string(0, place as u16, field.name()).map_err(Fault::internal)?;
            }
            Ok(())
        })?;
        self.next_row = 1;
        Ok(())
    }

    /// The library panics when it cannot write to its temporary file: the one thing that can go wrong there.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let done = panics::caught(|| work(self));
        done.unwrap_or_else(|_| Err(temporary_failed(&self.temporary, "it could not be written")))
    }

    fn put_rows(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        let sheet = self.workbook.worksheet_from_index(0).map_err(Fault::internal)?;
        let fields = batch.schema_ref().fields();
        let columns: Vec<CellColumn<'_>> = batch.columns().iter().map(|array| cell::column(array)).collect();
        for row in 0..batch.num_rows() {
            for (place, (column, field)) in columns.iter().zip(fields).enumerate() {
                let Some(cell) = column(row) else { continue };
                self.most += cell.most_xml();
                if let Cell::Text(text) = &cell {
                    check_length(text, field, Some(u64::from(self.next_row) + 1 - u64::from(self.header)))?;
                }
                put(sheet, self.next_row, place as u16, &cell, &self.formats).map_err(Fault::internal)?;
            }
            self.next_row += 1;
            self.most += cell::MARKUP;
        }
        Ok(())
    }

    fn check_room(&self, rows: usize) -> Result<(), Fault> {
        let room = (MAX_ROWS - self.next_row) as usize;
        if rows <= room {
            return Ok(());
        }
        let most = MAX_ROWS - u32::from(self.header);
        Err(Fault::bad_data(format!("more rows than an xlsx sheet can hold, which is {most}"))
            .row(u64::from(most) + 1)
            .help("write csv, parquet or arrow, or fewer rows"))
    }
}

impl Writer for XlsxWriter {
    type Piece = RecordBatch;

    fn prepare(&self) -> impl Fn(RecordBatch) -> Result<RecordBatch, Fault> + Clone + Send + Sync + 'static {
        let plain = self.plain.clone();
        move |batch| plain.apply(batch)
    }

    fn append(&mut self, batch: RecordBatch) -> Result<(), Fault> {
        self.check_room(batch.num_rows())?;
        self.guarded(|this| this.put_rows(&batch))
    }

    fn finish(mut self) -> Result<Sink, Fault> {
        self.workbook.use_zip_large_file(self.most > MAX_PART);
        self.guarded(|this| {
            let saved = this.workbook.save_to_writer(&mut this.sink);
            saved.map_err(|error| this.trouble.fault(error))
        })?;
        Ok(self.sink)
    }
}

fn put(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    cell: &Cell<'_>,
    formats: &[Format; Kind::COUNT],
) -> Result<(), XlsxError> {
    match cell {
        Cell::Text(text) => sheet.write_string(row, column, text.as_ref())?,
        Cell::Boolean(value) => sheet.write_boolean(row, column, *value)?,
        Cell::Number(number) => sheet.write_number(row, column, *number)?,
        Cell::Time(number, kind) => sheet.write_number_with_format(row, column, *number, &formats[*kind as usize])?,
    };
    Ok(())
}

fn check_length(text: &str, field: &Field, row: Option<u64>) -> Result<(), Fault> {
    // A UTF-16 unit is at least one byte of UTF-8, so that short texts need no counting.
    if text.len() <= MAX_TEXT || text.encode_utf16().count() <= MAX_TEXT {
        return Ok(());
    }
    let fault = Fault::bad_data(format!(
        "a text in column \"{}\" is longer than an Excel cell, which holds {MAX_TEXT} characters",
        cell::shortened(field.name())
    ));
    let fault = fault.column(cell::shortened(field.name())).help("write csv, json, parquet or arrow");
    Err(match row {
        Some(row) => fault.row(row),
        None => fault,
    })
}

/// Excel allows 31 characters, and keeps one name for itself.
fn sheet_name(dataset: &str) -> String {
    let name: String = dataset.chars().take(MAX_NAME).collect();
    if name.eq_ignore_ascii_case("history") { format!("{name}_") } else { name }
}

fn temporary_failed(dir: &std::path::Path, error: impl std::fmt::Display) -> Fault {
    Fault::busy(format!("a temporary file in {}: {error}", dir.display()))
        .help("free disk space, or set another folder for spill files")
}
