//! What an .ods workbook takes in memory, found before it is read, and where its merged cells are.
//!
//! Such a workbook is read whole. A row or a cell may say that it is repeated, a million times over in a few bytes. So the
//! tags are gone through once, counting what they stand for.

use crate::area::{COLUMNS, ROWS};
use crate::trouble::damaged;
use calamine::Dimensions;
use flight_common::Fault;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::collections::HashMap;
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
}

impl Found {
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
            Event::Text(text) => found.hold(2 * text.len() as u64, place.copies),
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
                // Each of them holds the texts that the tag has.
                place.copies = cells.saturating_mul(place.rows);
                found.hold(tag.len() as u64, place.copies);
            }
            merge(tag, place, found);
            place.column = end;
        }
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
        _ => {}
    }
}

/// Notes the cells that this one is merged with.
fn merge(tag: &BytesStart<'_>, place: &Place, found: &mut Found) {
    let (columns, rows) = (number(tag, "number-columns-spanned"), number(tag, "number-rows-spanned"));
    if columns.max(rows) <= 1 {
        return;
    }
    let at = |from: u64, more: u64| u32::try_from(from.saturating_add(more.max(1) - 1)).unwrap_or(u32::MAX);
    let area =
        Dimensions::new((at(place.row, 1), at(place.column, 1)), (at(place.row, rows), at(place.column, columns)));
    found.merged.entry(place.sheet.clone()).or_default().push(area);
}

fn number(tag: &BytesStart<'_>, name: &str) -> u64 {
    text(tag, name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn text(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.attributes().flatten().find(|attribute| attribute.key.local_name().as_ref() == name)?;
    Some(attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}
