//! What a workbook weighs, found before it is read: an archive that becomes far larger than it looks is refused.
//!
//! An archive says how large its parts become, and may lie. So it is measured: each part is unpacked once, to nowhere,
//! and measuring stops where a part becomes larger than it said; what all of them say may not be too
//! much. What is read
//! later is the same open file.

use crate::plain::{Glance, odd_cell};
use crate::records::Lengths;
use crate::trouble::damaged;
use flight_common::Fault;
use memchr::{memchr_iter, memrchr};
use std::fs::File;
use std::io::{BufReader, Read};
use zip::ZipArchive;

/// Bytes to unpack at once.
const PIECE: usize = 64 << 10;
/// Bytes between two marks of XML, at most: a reader of XML holds them all.
const LONGEST: usize = 16 << 20;
/// Parts of an archive, at most. A workbook has a few for each sheet.
const PARTS: usize = 65_535;

/// The formats of workbooks, as their content tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// .xlsx and .xlsm.
    Xlsx,
    /// .xlsb.
    Xlsb,
    /// .xls.
    Xls,
    /// .ods.
    Ods,
}

/// What an archive is, and what it weighs.
#[derive(Debug)]
pub struct Weight {
    /// Its format.
    pub form: Form,
    /// Bytes of memory that its parts take while a sheet is read, apart from its rows.
    pub held: usize,
}

/// Weighs the archive in a file, of which no more than `max_bytes` may come.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for one that is too large, or that lies, or that is none.
pub fn weigh(file: &File, path: &str, max_bytes: u64) -> Result<Weight, Fault> {
    let file = file.try_clone().map_err(|error| Fault::io(path, &error))?;
    let broken = |error: zip::result::ZipError| damaged(path, &error);
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    if archive.len() > PARTS {
        return Err(Fault::bad_data(format!("{path} has {} parts, which no workbook has", archive.len())));
    }
    let (mut form, mut held, mut declared) = (Form::Xlsx, 0, 0u64);
    for index in 0..archive.len() {
        let part = archive.by_index_raw(index).map_err(broken)?;
        declared = declared.saturating_add(part.size());
    }
    if declared > max_bytes {
        return Err(too_large(path, &format!("{declared} bytes uncompressed"), max_bytes));
    }
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).map_err(broken)?;
        // Readers look for parts whatever the case of their names.
        let name = part.name().map_err(broken)?.to_lowercase();
        match name.as_str() {
            "mimetype" => form = Form::Ods,
            _ if name.ends_with("workbook.bin") => form = Form::Xlsb,
            _ => {}
        }
        let said = part.size();
        let Some(measured) = measure(&mut part, said, Inside::of(&name)).map_err(|error| damaged(path, &error))? else {
            let message = format!("{path}: its part {name} becomes larger than the {said} bytes it says");
            return Err(Fault::bad_data(message)
                .help("this is no workbook that a spreadsheet program has written: have it sent again"));
        };
        if is_xml(&name) && measured.longest > LONGEST {
            return Err(Fault::bad_data(format!("{path}: a text in its part {name} is longer than 16 MiB")));
        }
        if measured.record > LONGEST {
            return Err(damaged(
                path,
                &format!("a record of its part {name} says that it has {} bytes", measured.record),
            ));
        }
        held = usize::saturating_add(held, measured.held(&name));
        drop(part);
        if measured.is_odd {
            let sheet = archive.by_index(index).map_err(broken)?;
            if let Some((cell, what)) = odd_cell(BufReader::new(sheet)) {
                let message =
                    format!("{path}, part {name}, cell {cell}: its value holds {what}, and not just a number");
                return Err(Fault::bad_data(message).help("open and save the workbook in a spreadsheet program"));
            }
        }
    }
    Ok(Weight { form, held })
}

/// The fault for a workbook that is too large.
pub fn too_large(path: &str, size: &str, max_bytes: u64) -> Fault {
    Fault::bad_data(format!("{path} is larger than it may be: {size}, of {max_bytes}"))
        .help("raise `max_bytes` if you trust the file, or split it")
}

fn is_xml(name: &str) -> bool {
    [".xml", ".rels", ".vml"].iter().any(|end| name.ends_with(end))
}

/// What is looked at in a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Nothing but its size and its tags.
    Nothing,
    /// The lengths of records of .xlsb.
    Records,
    /// Whether the values of a sheet of .xlsx are plain.
    Values,
}

impl Inside {
    fn of(name: &str) -> Self {
        match name {
            _ if has_records(name) => Self::Records,
            _ if name.contains("/worksheets/") && name.ends_with(".xml") => Self::Values,
            _ => Self::Nothing,
        }
    }
}

/// Whether records of .xlsb are read from it.
fn has_records(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    name.ends_with(".bin")
        && (name.contains("/worksheets/") || ["workbook.bin", "styles.bin", "sharedstrings.bin"].contains(&last))
}

/// What was found in a part.
#[derive(Debug, Default)]
struct Measured {
    bytes: u64,
    /// Tags that open something.
    tags: u64,
    /// The most bytes between two tags.
    longest: usize,
    /// The most bytes that a record says it has, in a part of records.
    record: usize,
    /// Whether the values of a sheet are to be looked at.
    is_odd: bool,
}

impl Measured {
    /// Memory that the part takes once it is read.
    fn held(&self, name: &str) -> usize {
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let tags = usize::try_from(self.tags).unwrap_or(usize::MAX);
        let last = name.rsplit('/').next().unwrap_or(name);
        match last {
            // A string and its place in the table: `<si><t>…</t></si>`.
            "sharedstrings.xml" => bytes.saturating_add(tags.saturating_mul(24)),
            "sharedstrings.bin" => bytes.saturating_mul(4),
            "styles.xml" => tags.saturating_mul(512),
            "workbook.xml" | "workbook.xml.rels" | "workbook.bin" => bytes.saturating_mul(4),
            _ => 0,
        }
    }
}

/// Unpacks a part to nowhere; nothing if it becomes larger than `most`.
fn measure(part: &mut impl Read, most: u64, inside: Inside) -> std::io::Result<Option<Measured>> {
    let mut piece = vec![0; PIECE];
    let (mut measured, mut since) = (Measured::default(), 0);
    let (mut opens, mut records, mut glance) = (false, Lengths::default(), Glance::default());
    loop {
        let length = part.read(&mut piece)?;
        if length == 0 {
            measured.longest = measured.longest.max(since);
            measured.record = records.longest;
            measured.is_odd = glance.is_odd;
            return Ok(Some(measured));
        }
        measured.bytes += length as u64;
        if measured.bytes > most {
            return Ok(None);
        }
        let piece = &piece[..length];
        match inside {
            Inside::Records => records.take(piece),
            // A text without end is refused, however long it is.
            Inside::Values if measured.longest.max(since) <= LONGEST => glance.take(piece),
            Inside::Values | Inside::Nothing => {}
        }
        // The first byte belongs to a tag that the piece before ended with.
        measured.tags += u64::from(opens && piece[0] != b'/');
        for at in memchr_iter(b'<', piece) {
            since += at.saturating_sub(memrchr(b'<', &piece[..at]).unwrap_or_default());
            measured.longest = measured.longest.max(since);
            since = 0;
            measured.tags += u64::from(piece.get(at + 1).is_some_and(|&next| next != b'/'));
        }
        since += length - memrchr(b'<', piece).unwrap_or_default();
        opens = piece[length - 1] == b'<';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_the_longest_text_are_found_whatever_the_pieces() {
        let text = format!("<a><b>{}</b><c/></a>", "x".repeat(3 * PIECE));
        for skip in 0..4 {
            let text = &format!("{}{text}", " ".repeat(PIECE - 2 - skip));
            let measured =
                measure(&mut text.as_bytes(), u64::MAX, Inside::Nothing).expect("reads").expect("small enough");
            assert_eq!((measured.tags, measured.bytes), (3, text.len() as u64), "{skip}");
            assert!((3 * PIECE..3 * PIECE + 8).contains(&measured.longest), "{}", measured.longest);
        }
        assert!(measure(&mut text.as_bytes(), 1000, Inside::Nothing).expect("reads").is_none());
    }
}
