//! Cells of .xlsx sheets whose numbers are no plain texts.
//!
//! The reader of such sheets takes the first text of a value and passes over what else there is: of `1&x;2` it gives 1, of
//! `&x;` nothing, of a shared text whose number is none the first text, and `12,5` is a text. So what looks like that is
//! found while the sheet is measured, by a look at the bytes, and only a sheet in which something does is gone through by
//! its tags.

use crate::area::Address;
use memchr::{memchr, memmem, memrchr};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::io::BufRead;

/// Looks at the bytes of a sheet, piece by piece.
#[derive(Debug, Default)]
pub struct Glance {
    /// What the piece before has left: a tag, and the text behind it.
    open: Vec<u8>,
    /// Whether something is there that is to be looked at.
    pub is_odd: bool,
}

impl Glance {
    /// Takes the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        let (Some(first), Some(last)) = (memchr(b'<', piece), memrchr(b'<', piece)) else {
            self.open.extend_from_slice(piece);
            return;
        };
        self.open.extend_from_slice(&piece[..first]);
        self.is_odd = self.is_odd || is_odd(&self.open) || is_odd(&piece[first..last]);
        self.open.clear();
        self.open.extend_from_slice(&piece[last..]);
    }
}

/// Whether in these tags, and the texts behind them, something may be more than a number in a value. Most of a sheet are other
/// tags, which are passed over.
fn is_odd(tags: &[u8]) -> bool {
    let values = memmem::find_iter(tags, b"<v").any(|at| is_odd_value(&tags[at + 2..]));
    // Names with a prefix are rare: `<x:v>`.
    values || memmem::find(tags, b"<!").is_some() || memmem::find(tags, b":v>").is_some()
}

/// Whether behind the `<v` of a tag there is more than a number.
fn is_odd_value(rest: &[u8]) -> bool {
    if !rest.first().is_some_and(|byte| *byte == b'>' || byte.is_ascii_whitespace()) {
        return false;
    }
    let Some(end) = memchr(b'>', rest) else { return false };
    let is_number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'E' | b'e' | b' ');
    rest[end + 1..].iter().find(|byte| !is_number(byte)).is_some_and(|byte| *byte != b'<')
}

/// The first cell whose number is no plain text, and what is wrong with it.
pub fn odd_cell(sheet: impl BufRead) -> Option<(String, &'static str)> {
    let mut reader = Reader::from_reader(sheet);
    reader.config_mut().check_end_names = false;
    let mut walk = Walk::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        // What is no XML is told when the sheet is read.
        let wrong = match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(tag) => walk.open(&tag),
            Event::Empty(tag) => walk.open(&tag).or_else(|| walk.close(tag.local_name().as_ref())),
            Event::End(tag) => walk.close(tag.local_name().as_ref()),
            Event::Text(text) => walk.text(text.as_ref()),
            Event::Eof => return None,
            _ => walk.other(),
        };
        if let Some(wrong) = wrong {
            return Some((walk.cell(), wrong));
        }
    }
}

/// Where a walk through a sheet is.
#[derive(Default)]
struct Walk {
    at: Address,
    /// The cell as it calls itself.
    name: Option<String>,
    /// Its type.
    kind: String,
    /// Within a value whose text is a number: whether its text was there.
    value: Option<bool>,
}

impl Walk {
    fn open(&mut self, tag: &BytesStart<'_>) -> Option<&'static str> {
        if self.value.is_some() {
            return Some("a tag");
        }
        match tag.local_name().as_ref() {
            "row" => {
                let row = attribute(tag, "r").and_then(|row| row.parse::<u32>().ok());
                self.at.row = row.map_or(self.at.row, |row| row.saturating_sub(1));
            }
            "c" => {
                self.name = attribute(tag, "r");
                self.kind = attribute(tag, "t").unwrap_or_default();
            }
            "v" if matches!(self.kind.as_str(), "" | "n" | "s" | "b" | "e") => self.value = Some(false),
            _ => {}
        }
        None
    }

    fn close(&mut self, name: &str) -> Option<&'static str> {
        match name {
            "v" => self.value = None,
            "c" => {
                self.at.column += 1;
                self.kind.clear();
            }
            "row" => self.at = Address { row: self.at.row + 1, column: 0 },
            _ => {}
        }
        None
    }

    fn text(&mut self, text: &str) -> Option<&'static str> {
        match self.value.replace(true) {
            None => self.value = None,
            Some(true) => return Some("something between two texts"),
            Some(false) if self.kind == "s" && text.parse::<usize>().is_err() => {
                return Some("no number of a shared text");
            }
            Some(false) if matches!(self.kind.as_str(), "" | "n") && is_text(text.trim()) => return Some("a text"),
            Some(false) => {}
        }
        None
    }

    fn other(&self) -> Option<&'static str> {
        self.value.map(|_| "an entity, a comment or the like")
    }

    fn cell(self) -> String {
        self.name.unwrap_or_else(|| self.at.to_string())
    }
}

fn is_text(value: &str) -> bool {
    !value.is_empty() && value.parse::<f64>().is_err()
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.local_name().as_ref() == name)?;
    Some(found.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_odd(text: &str, piece: usize) -> bool {
        let mut glance = Glance::default();
        text.as_bytes().chunks(piece).for_each(|piece| glance.take(piece));
        glance.is_odd
    }

    #[test]
    fn what_may_be_more_than_a_number_is_seen_whatever_the_pieces() {
        for piece in 1..9 {
            for text in ["<v>1&x;</v>", "<v>x</v>", "<v a='b'>&x;</v>", "<v><!-- x -->1</v>", "<x:v>1</x:v>"] {
                assert!(is_odd(text, piece), "{text} {piece}");
            }
            for text in ["<?xml?><c r='1'><v>-1.5E+3</v></c>", "<t>x &amp; y</t><v>1</v>", "<vx>&x;</vx>", "<v", "<v/>"]
            {
                assert!(!is_odd(text, piece), "{text} {piece}");
            }
        }
    }

    #[test]
    fn a_cell_without_an_address_is_found_by_its_place() {
        let sheet = r#"<row r="3"><c><v>1</v></c><c/><c><v>&x;</v></c></row>"#;
        let (cell, _) = odd_cell(sheet.as_bytes()).expect("it is odd");
        assert_eq!(cell, "C3");
        assert_eq!(odd_cell(r#"<c t="str"><v>a&amp;b</v></c><is><t>&lt;</t></is>"#.as_bytes()), None);
    }
}
