//! Workbooks as tests want them, also such as no spreadsheet program would write.

use extract_excel::ExtractExcel;
use flight_common::Fault;
use flight_common::testing::{Bench, Ran};
use rust_xlsxwriter::{Workbook, Worksheet};
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use std::path::Path;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A folder with one file in it.
pub fn folder(name: &str, content: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(name), content).expect("written");
    folder
}

/// A workbook with one sheet, `Sheet1`.
pub fn workbook(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut book = Workbook::new();
    fill(book.add_worksheet());
    book.save_to_buffer().expect("a workbook")
}

/// An archive of these parts.
pub fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).expect("begun");
        zip.write_all(content).expect("written");
    }
    zip.finish().expect("an archive").into_inner()
}

const TYPES: &str =
    r#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;
const RELS: &str = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const BOOK: &str = r#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
const BOOK_RELS: &str = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;

/// Style 1 shows dates, and style 2 times of day.
const STYLES: &str = r#"<?xml version="1.0"?><styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy-mm-dd"/></numFmts><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="20"/></cellXfs></styleSheet>"#;

/// A workbook whose sheet has this XML for its rows.
pub fn raw(rows: &str) -> Vec<u8> {
    raw_in(BOOK, rows)
}

/// The same in a workbook that counts days from 1904.
pub fn raw_since_1904(rows: &str) -> Vec<u8> {
    raw_in(&BOOK.replace("<sheets>", r#"<workbookPr date1904="1"/><sheets>"#), rows)
}

fn raw_in(book: &str, rows: &str) -> Vec<u8> {
    let sheet = format!(
        r#"<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#
    );
    archive(&[
        ("[Content_Types].xml", TYPES.as_bytes()),
        ("_rels/.rels", RELS.as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", BOOK_RELS.as_bytes()),
        ("xl/styles.xml", STYLES.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ])
}

/// A record of an .xlsb workbook: its kind and its length in seven bits a byte, and its data.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let seven = |mut number: usize| {
        let mut bytes = Vec::new();
        while number > 0x7f {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    [seven(usize::from(kind)), seven(data.len()), data.to_vec()].concat()
}

/// A text of an .xlsb workbook.
fn wide(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [&(text.encode_utf16().count() as u32).to_le_bytes()[..], &units].concat()
}

/// An .xlsb workbook with the columns `id`, `name` and `ok`.
pub fn xlsb(rows: &[(f64, &str, bool)]) -> Vec<u8> {
    const RELS: &str = r#"<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.bin"/></Relationships>"#;
    let sheet = [vec![0; 4], 1u32.to_le_bytes().to_vec(), wide("rId1"), wide("Sheet1")].concat();
    let book = [record(0x9c, &sheet), record(0x90, &[]), record(0x84, &[])].concat();
    let cell = |kind, column: u32, value: &[u8]| record(kind, &[&column.to_le_bytes()[..], &[0; 4], value].concat());
    let row = |number: u32| record(0, &[&number.to_le_bytes()[..], &[0; 13]].concat());
    let mut cells = [record(0x94, &[0; 16]), record(0x91, &[]), row(0)].concat();
    for (column, name) in (0..).zip(["id", "name", "ok"]) {
        cells.extend(cell(6, column, &wide(name)));
    }
    for (number, (id, name, ok)) in (1..).zip(rows) {
        let filled =
            [row(number), cell(5, 0, &id.to_le_bytes()), cell(6, 1, &wide(name)), cell(4, 2, &[u8::from(*ok)])];
        cells.extend(filled.concat());
    }
    cells.extend(record(0x92, &[]));
    archive(&[
        ("xl/workbook.bin", &book),
        ("xl/_rels/workbook.bin.rels", RELS.as_bytes()),
        ("xl/worksheets/sheet1.bin", &cells),
    ])
}

/// An .ods workbook whose only sheet has this XML for its rows.
pub fn ods(rows: &str) -> Vec<u8> {
    let content = format!(
        r#"<?xml version="1.0"?><office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x"><office:body><office:spreadsheet><table:table table:name="Sheet1">{rows}</table:table></office:spreadsheet></office:body></office:document-content>"#
    );
    archive(&[
        ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"),
        ("META-INF/manifest.xml", br#"<manifest:manifest xmlns:manifest="m"/>"#),
        ("content.xml", content.as_bytes()),
    ])
}

/// Runs the step on a file of a folder, with these parameters too.
pub async fn read_at(folder: &Path, name: &str, more: Value) -> Result<Ran, Fault> {
    read_within(Bench::at(folder), name, more).await
}

/// The same in other surroundings.
pub async fn read_within(bench: Bench, name: &str, more: Value) -> Result<Ran, Fault> {
    let mut params = json!({"file_path": name});
    params.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    bench.run(ExtractExcel, params, &[]).await
}

/// Runs the step on this workbook.
pub async fn read(content: impl AsRef<[u8]>, more: Value) -> Result<Ran, Fault> {
    read_at(folder("a.xlsx", content).path(), "a.xlsx", more).await
}
