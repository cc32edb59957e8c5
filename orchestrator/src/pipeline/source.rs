//! The text of a pipeline, and places in it.

use flight_common::TextPlace;
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

    /// The place of these bytes of a text.
    fn of(text: &str, bytes: Range<usize>) -> Self {
        let TextPlace { line, column } = TextPlace::of(text, bytes.start);
        Self { line: line as usize, column: column as usize, bytes }
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
        let span = Span::of(&text, at..at + char::REPLACEMENT_CHARACTER.len_utf8());
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

    /// The place of a word within a value that is a text, where the value was written from `written` on. It is followed
    /// through line breaks and indentation, quotes, and values that were filled in. Nothing if it cannot be followed.
    pub fn word_within(&self, written: &Span, value: &str, place: TextPlace) -> Option<Span> {
        let source = self.text.get(written.bytes.start..)?;
        let target = offset_of(value, place)?;
        let quoted = || followed(source.strip_prefix(['"', '\''])?, source.chars().next(), value, target);
        let source = followed(source, None, value, target).or_else(quoted)?;
        let start = self.text.len() - source.len();
        let word = source.find(|it: char| !(it.is_alphanumeric() || it == '_')).unwrap_or(source.len());
        let first = source.chars().next().map_or(0, char::len_utf8);
        Some(Span::of(&self.text, start..start + word.max(first)))
    }
}

/// The rest of a source from where it writes the byte of the value that is looked for.
fn followed<'a>(mut source: &'a str, quote: Option<char>, value: &str, target: usize) -> Option<&'a str> {
    let mut rest = value;
    loop {
        (source, rest) = (source.trim_start(), rest.trim_start());
        if value.len() - rest.len() >= target {
            return Some(source);
        }
        if source.starts_with("{{") {
            let (behind, value_behind) = behind_filled(source, rest)?;
            if value.len() - value_behind.len() > target {
                return Some(source);
            }
            (source, rest) = (behind, value_behind);
            continue;
        }
        let escape = match quote {
            Some('"') => "\\",
            Some(_) if source.starts_with("''") => "'",
            _ => "",
        };
        source = source.strip_prefix(escape).unwrap_or(source);
        let next = rest.chars().next()?;
        (source, rest) = (source.strip_prefix(next)?, &rest[next.len_utf8()..]);
    }
}

/// Where that character of a text begins, in bytes. Its end is that of what goes on behind it.
fn offset_of(text: &str, place: TextPlace) -> Option<usize> {
    let line = text.split_inclusive('\n').nth(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
    let before = usize::try_from(place.column).ok()?.checked_sub(1)?;
    let within = line.char_indices().nth(before).map_or(line.trim_end().len(), |(at, _)| at);
    Some(line.as_ptr() as usize - text.as_ptr() as usize + within)
}

/// What follows a `{{ name }}` in the source, and the same in the value that it was filled into.
fn behind_filled<'a, 'b>(source: &'a str, value: &'b str) -> Option<(&'a str, &'b str)> {
    let (_, source) = source.split_once("}}")?;
    let line = source.lines().next().unwrap_or_default();
    let known = line.split("{{").next().unwrap_or_default().trim();
    let at = if known.is_empty() { value.find('\n')? } else { value.find(known)? };
    Some((source, &value[at..]))
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

    /// What is marked where this word of the value stands.
    fn marked(text: &str, value: &str, line: u64, column: u64) -> Option<(usize, usize, String)> {
        let source = Source::new("test", text);
        let start = text.find("q: ").expect("a key") + 3;
        let content = start + text[start..].find(|it: char| !it.is_whitespace() && it != '|').unwrap_or_default();
        let span = source.word_within(&Span::of(text, content..content), value, TextPlace { line, column })?;
        Some((span.line, span.column, text[span.bytes].to_owned()))
    }

    #[test]
    fn a_word_of_a_value_is_found_where_it_was_written() {
        let found = |line, column, word: &str| Some((line, column, word.to_owned()));
        let block = "a: 1\nq: |\n    SELECT ä, nmae\n      FROM t\nb: 2\n";
        let value = "SELECT ä, nmae\n  FROM t\n";
        assert_eq!(marked(block, value, 1, 11), found(3, 15, "nmae"));
        assert_eq!(marked(block, value, 2, 8), found(4, 12, "t"));
        assert_eq!(marked(block, value, 2, 9), found(5, 1, "b"));
        assert_eq!(marked("q: SELECT a,\n  b FROM t", "SELECT a, b FROM t", 1, 11), found(2, 3, "b"));
        assert_eq!(marked("q: 'it''s b'", "it's b", 1, 6), found(1, 11, "b"));
        assert_eq!(marked(r#"q: "\"A\" b""#, r#""A" b"#, 1, 5), found(1, 11, "b"));
    }

    #[test]
    fn a_word_is_followed_through_what_was_filled_in() {
        let found = |line, column, word: &str| Some((line, column, word.to_owned()));
        let text = "q: |\n  SELECT '{{ day }}', {{ n }}\n  FROM t WHERE x\n";
        let value = "SELECT '2024-01-01', 12\nFROM t WHERE x\n";
        assert_eq!(marked(text, value, 1, 9), found(2, 11, "{"));
        assert_eq!(marked(text, value, 2, 14), found(3, 16, "x"));
        assert_eq!(marked("q: other", value, 2, 14), None);
        assert_eq!(marked(text, value, 9, 1), None);
    }

    #[test]
    fn a_line_is_found_by_any_byte_of_it() {
        let source = Source::new("test", "a: 1\n\nb: ä");
        for (byte, line) in [(0, "a: 1"), (3, "a: 1"), (4, "a: 1"), (5, ""), (6, "b: ä"), (99, "b: ä")] {
            assert_eq!(source.line_at(byte), line, "{byte}");
        }
    }
}
