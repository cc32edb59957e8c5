//! CSV in which the nulls are marked: `NA` is one, and `"NA"` is a text, as `extract-csv` reads them and `load-data` writes
//! them. The parser behind does not tell the two apart, and takes a quote that is never closed for the end of the file.

use flight_common::values::{NullWords, USUAL_NULLS};
use std::io::{self, Read};

/// What stands for a null.
pub const MARK: &str = "\u{0}\u{0}";

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// Text of CSV, with a header line, on its way to a parser.
pub struct Marked<R> {
    text: R,
    nulls: NullWords,
    place: Place,
    /// Whether no field of the row has ended.
    is_first: bool,
    is_header: bool,
    /// The line that is read, from 1, and the one in which the last quoted field began.
    line: u64,
    quote: u64,
    /// The field that has begun, if it is not quoted.
    field: Vec<u8>,
    ready: Vec<u8>,
    taken: usize,
    ended: bool,
}

/// Where in a field the text is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Before its first character.
    Begin,
    /// Within it.
    Plain,
    /// Within quotes.
    Quoted,
    /// Behind a quote, which may be the first of two.
    Behind,
}

impl<R: Read> Marked<R> {
    /// Marks the nulls of this text, but for its header.
    pub fn new(text: R) -> Self {
        Self {
            text,
            nulls: NullWords::new(USUAL_NULLS),
            place: Place::Begin,
            is_first: true,
            is_header: true,
            line: 1,
            quote: 0,
            field: Vec::new(),
            ready: Vec::new(),
            taken: 0,
            ended: false,
        }
    }

    fn add(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        match (self.place, byte) {
            (Place::Quoted, b'"') => self.place = Place::Behind,
            (Place::Quoted, _) => {}
            (Place::Behind, b'"') => self.place = Place::Quoted,
            (_, b',') => {
                self.end_field(false);
                self.is_first = false;
            }
            (_, b'\n' | b'\r') => {
                let is_blank = self.is_first && self.place == Place::Begin;
                self.end_field(is_blank);
                self.is_header &= is_blank;
                self.is_first = true;
            }
            (Place::Behind, _) => {}
            (Place::Begin, b'"') => (self.place, self.quote) = (Place::Quoted, self.line),
            (Place::Begin | Place::Plain, _) => {
                self.place = Place::Plain;
                self.field.push(byte);
                return;
            }
        }
        self.ready.push(byte);
    }

    /// Hands the field on, if it was not quoted, or its mark. A blank line has none.
    fn end_field(&mut self, is_blank: bool) {
        let is_plain = matches!(self.place, Place::Begin | Place::Plain);
        match is_plain && !is_blank && !self.is_header && self.nulls.contain(&self.field) {
            true => self.ready.extend_from_slice(MARK.as_bytes()),
            false => self.ready.extend_from_slice(&self.field),
        }
        self.field.clear();
        self.place = Place::Begin;
    }

    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        if self.place == Place::Quoted {
            let what = format!("line {}: the quote that begins there is never closed", self.quote);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.end_field(self.is_first && self.place == Place::Begin);
        Ok(())
    }
}

impl<R: Read> Read for Marked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut piece = [0; BUFFER];
        while self.taken == self.ready.len() && !self.ended {
            self.ready.clear();
            self.taken = 0;
            match self.text.read(&mut piece)? {
                0 => self.end()?,
                read => piece[..read].iter().for_each(|byte| self.add(*byte)),
            }
        }
        let read = (&self.ready[self.taken..]).read(buffer)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> io::Result<String> {
        let mut read = String::new();
        Marked::new(text.as_bytes()).read_to_string(&mut read)?;
        Ok(read.replace(MARK, "∅"))
    }

    #[test]
    fn nulls_are_marked_and_texts_in_quotes_stay() {
        for (text, shown) in [
            ("a,NA\n1,NA\n\"NA\",\"\"\n,\n", "a,NA\n1,∅\n\"NA\",\"\"\n∅,∅\n"),
            ("\na\r\nNA\r\n\r\n\"N\"\"A, NA\"\r\nNA", "\na\r\n∅\r\n\r\n\"N\"\"A, NA\"\r\n∅"),
            ("a,b\nx\"NA\",NA \n", "a,b\nx\"NA\",NA \n"),
            ("a,b\n1,", "a,b\n1,∅"),
            ("", ""),
        ] {
            assert_eq!(marked(text).expect("whole"), shown);
        }
        let cut = marked("a\nDE\n\"FR\nUS\n").expect_err("no end");
        assert!(cut.to_string().contains("line 3"), "{cut}");
    }
}
