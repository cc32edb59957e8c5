//! What an .ods workbook takes in memory, found before it is read, and what its reader does not tell: where its merged cells
//! are, and which cells show an error.
//!
//! Such a workbook is read whole. A row or a cell may say that it is repeated, a million times over in a few bytes. So the
//! tags are gone through once, counting what they stand for.

use crate::area::{Address, COLUMNS, ROWS};
use crate::trouble::damaged;
use calamine::Dimensions;
use flight_common::Fault;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader};
use zip::ZipArchive;

/// Memory of a cell: its value and its formula, twice while a sheet is made, and a copy of the value of the sheet that is
/// read.
const CELL: u64 = 144;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Bytes of memory that reading the workbook takes.
    pub held: u64,
    /// The merged cells of each sheet.
    pub merged: HashMap<String, Vec<Dimensions>>,
    /// The cells of each sheet whose result is an error, as it is shown: `#DIV/0!`.
    pub errors: HashMap<String, Vec<(Dimensions, String)>>,
}

impl Found {
    fn note_error(&mut self, sheet: &str, cells: Dimensions, shown: &str) {
        // Twice, as it is copied for each reading.
        self.hold(2 * (size_of::<(Dimensions, String)>() + shown.len()) as u64, 1);
        self.errors.entry(sheet.to_owned()).or_default().push((cells, shown.to_owned()));
    }

    fn hold(&mut self, bytes: u64, times: u64) {
        self.held = self.held.saturating_add(bytes.saturating_mul(times.max(1)));
    }
}

/// Goes through the workbook in a file.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] if it cannot be read.
pub fn weigh(file: &File, path: &str) -> Result<Found, Fault> {
    let file = file.try_clone().map_err(|error| Fault::io(path, &error))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(path, &error))?;
    let content = archive.by_name("content.xml").map_err(|error| damaged(path, &error))?;
    look(BufReader::new(content)).map_err(|error| damaged(path, &error))
}

/// The sheet, row and cells that are being counted.
#[derive(Default)]
struct Place {
    sheet: String,
    row: u64,
    rows: u64,
    column: u64,
    /// The widest row of the sheet, up to its last cell that is not empty.
    width: u64,
    /// Rows up to the last one that is not empty.
    height: u64,
    filled: u64,
    /// How often the cell that is being read is there.
    copies: u64,
    /// Where it is, if it holds something.
    cell: Option<Dimensions>,
    /// What says that its result is an error.
    error: ErrorMark,
    /// How many notes that somebody made on it have begun: their texts are not its own.
    notes: u32,
}

/// What says that the result of a formula is an error.
#[derive(Clone, Copy, Default, PartialEq)]
enum ErrorMark {
    /// Nothing.
    #[default]
    None,
    /// Its type: `calcext:value-type="error"`, as LibreOffice writes it beside a type of this standard.
    Type,
    /// Perhaps its text: to programs that know no other, it is a number, which is 0.
    Text,
}

fn look(content: impl BufRead) -> Result<Found, quick_xml::Error> {
    let mut reader = Reader::from_reader(content);
    let (mut found, mut place, mut buffer) = (Found::default(), Place::default(), Vec::new());
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer)? {
            Event::Start(tag) => open(&tag, &mut place, &mut found),
            Event::Empty(tag) => {
                open(&tag, &mut place, &mut found);
                close(tag.local_name().as_ref(), &mut place, &mut found);
            }
            Event::End(tag) => close(tag.local_name().as_ref(), &mut place, &mut found),
            Event::Text(text) => {
                found.hold(2 * text.len() as u64, place.copies);
                if place.notes > 0 {
                    continue;
                }
                let is_error = match place.error {
                    ErrorMark::None => false,
                    ErrorMark::Type => true,
                    ErrorMark::Text => shows_error(&text),
                };
                if let Some(cell) = place.cell.take_if(|_| is_error) {
                    found.note_error(&place.sheet, cell, &text);
                }
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

fn open(tag: &BytesStart<'_>, place: &mut Place, found: &mut Found) {
    match tag.local_name().as_ref() {
        "table" => *place = Place { sheet: text(tag, "name").unwrap_or_default(), ..Place::default() },
        "table-row" => {
            place.rows = number(tag, "number-rows-repeated").clamp(1, u64::from(ROWS));
            (place.column, place.filled) = (0, 0);
        }
        "table-cell" | "covered-table-cell" => {
            let cells = number(tag, "number-columns-repeated").clamp(1, u64::from(COLUMNS));
            let end = place.column.saturating_add(cells).min(u64::from(COLUMNS));
            if text(tag, "value-type").is_some() || text(tag, "formula").is_some() {
                place.filled = end;
                place.cell = Some(dimensions(place, place.rows, end - place.column));
                place.error = error_mark(tag);
                // Each of them holds the texts that the tag has.
                place.copies = cells.saturating_mul(place.rows);
                found.hold(tag.len() as u64, place.copies);
            }
            merge(tag, place, found);
            place.column = end;
        }
        "annotation" => place.notes += 1,
        // So many spaces.
        "s" => found.hold(2 * number(tag, "c"), place.copies),
        _ => {}
    }
}

fn close(name: &str, place: &mut Place, found: &mut Found) {
    match name {
        "table-row" => {
            place.row = place.row.saturating_add(place.rows);
            if place.filled > 0 {
                (place.width, place.height) = (place.width.max(place.filled), place.row);
            }
        }
        "table" => found.hold(CELL, place.width.saturating_mul(place.height)),
        "annotation" => place.notes = place.notes.saturating_sub(1),
        "table-cell" | "covered-table-cell" => {
            if let Some(cell) = place.cell.take().filter(|_| place.error == ErrorMark::Type) {
                found.note_error(&place.sheet, cell, "an error");
            }
        }
        _ => {}
    }
}

fn error_mark(tag: &BytesStart<'_>) -> ErrorMark {
    let types = tag.attributes().flatten().filter(|attribute| attribute.key.local_name().as_ref() == "value-type");
    let types: Vec<_> = types.filter_map(|it| it.normalized_value(XmlVersion::Implicit1_0).ok()).collect();
    match () {
        () if types.iter().any(|it| it == "error") => ErrorMark::Type,
        () if text(tag, "formula").is_some() && types.iter().any(|it| it == "float") => ErrorMark::Text,
        () => ErrorMark::None,
    }
}

/// Whether a text is how an error is shown.
fn shows_error(text: &str) -> bool {
    let text = text.trim();
    let code = text.strip_prefix("Err:").is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
    code || matches!(text, "#DIV/0!" | "#N/A" | "#NAME?" | "#NULL!" | "#NUM!" | "#REF!" | "#VALUE!")
}

/// Notes the cells that this one is merged with.
fn merge(tag: &BytesStart<'_>, place: &Place, found: &mut Found) {
    let (columns, rows) = (number(tag, "number-columns-spanned"), number(tag, "number-rows-spanned"));
    if columns.max(rows) <= 1 {
        return;
    }
    found.merged.entry(place.sheet.clone()).or_default().push(dimensions(place, rows, columns));
}

/// So many rows and columns from the place on.
fn dimensions(place: &Place, rows: u64, columns: u64) -> Dimensions {
    let at = |from: u64, more: u64| u32::try_from(from.saturating_add(more.max(1) - 1)).unwrap_or(u32::MAX);
    Dimensions::new((at(place.row, 1), at(place.column, 1)), (at(place.row, rows), at(place.column, columns)))
}

/// The errors of a sheet, asked for cell by cell in the order of rows.
#[derive(Default)]
pub struct Errors {
    /// In the order of their first rows.
    waiting: VecDeque<(Dimensions, String)>,
    /// Those that reach the row that was asked for last, in the order of columns.
    open: Vec<(Dimensions, String)>,
    row: u32,
}

impl Errors {
    /// Those of a sheet.
    pub fn new(mut errors: Vec<(Dimensions, String)>) -> Self {
        errors.sort_by_key(|(cells, _)| cells.start);
        Self { waiting: errors.into(), ..Self::default() }
    }

    /// The error that a cell shows, if it does.
    pub fn at(&mut self, at: Address) -> Option<&str> {
        if self.row != at.row || self.open.is_empty() {
            self.row = at.row;
            self.open.retain(|(cells, _)| cells.end.0 >= at.row);
            while let Some(next) = self.waiting.pop_front_if(|(cells, _)| cells.start.0 <= at.row) {
                self.open.push(next);
            }
            self.open.sort_by_key(|(cells, _)| cells.start.1);
        }
        let next = self.open.partition_point(|(cells, _)| cells.start.1 <= at.column);
        let (cells, error) = self.open.get(next.checked_sub(1)?)?;
        cells.contains(at.row, at.column).then_some(error)
    }
}

fn number(tag: &BytesStart<'_>, name: &str) -> u64 {
    text(tag, name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn text(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.attributes().flatten().find(|attribute| attribute.key.local_name().as_ref() == name)?;
    Some(attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}
