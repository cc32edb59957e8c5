//! The text of a pipeline, and places in it.

use std::ops::Range;

/// A pipeline's text under the name by which errors call it.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
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
        Self { name: name.into(), text: text.into() }
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
    fn a_line_is_found_by_any_byte_of_it() {
        let source = Source::new("test", "a: 1\n\nb: ä");
        for (byte, line) in [(0, "a: 1"), (3, "a: 1"), (4, "a: 1"), (5, ""), (6, "b: ä"), (99, "b: ä")] {
            assert_eq!(source.line_at(byte), line, "{byte}");
        }
    }
}
