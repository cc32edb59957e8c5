//! The text of a pipeline, and places in it.

use std::ops::Range;

/// A pipeline's text under the name by which errors call it.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    /// The first byte that is no text, and its place.
    no_text: Option<(Span, u8)>,
}

/// A place in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes of the text.
    pub bytes: Range<usize>,
}

impl Span {
    /// The start of the text: the place of what has none of its own.
    pub fn start() -> Self {
        Self { line: 1, column: 1, bytes: 0..0 }
    }
}

impl Source {
    /// A text with a name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), no_text: None }
    }

    /// A file with a name. One that is no UTF-8 is shown as far as it is text, and is no pipeline.
    pub fn of_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => return Self::new(name, text),
            Err(error) => error,
        };
        let at = bytes.utf8_error().valid_up_to();
        let byte = bytes.as_bytes()[at];
        let text = String::from_utf8_lossy(bytes.as_bytes()).into_owned();
        let before = &text[..at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let span = Span {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            bytes: at..at + char::REPLACEMENT_CHARACTER.len_utf8(),
        };
        Self { no_text: Some((span, byte)), ..Self::new(name, text) }
    }

    /// The first byte that is no text, and its place, if there is one.
    pub fn no_text(&self) -> Option<(&Span, u8)> {
        self.no_text.as_ref().map(|(span, byte)| (span, *byte))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line that holds this byte of it.
    pub fn line_at(&self, byte: usize) -> &str {
        let (before, after) = self.text.split_at_checked(byte).unwrap_or((&self.text, ""));
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        let end = after.find('\n').map_or(self.text.len(), |end| before.len() + end);
        &self.text[begin..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_no_text_has_its_place() {
        let source = Source::of_bytes("test", b"a: 1\nb: \xc3\xa4\xe4 \xff\n".to_vec());
        let (span, byte) = source.no_text().expect("it is no text");
        assert_eq!((span.line, span.column, byte), (2, 5, 0xe4));
        assert_eq!(&source.text()[span.bytes.clone()], "\u{fffd}");
        assert!(Source::of_bytes("test", "ä".into()).no_text().is_none());
    }

    #[test]
    fn a_line_is_found_by_any_byte_of_it() {
        let source = Source::new("test", "a: 1\n\nb: ä");
        for (byte, line) in [(0, "a: 1"), (3, "a: 1"), (4, "a: 1"), (5, ""), (6, "b: ä"), (99, "b: ä")] {
            assert_eq!(source.line_at(byte), line, "{byte}");
        }
    }
}
