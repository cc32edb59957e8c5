//! A JSON record per line.

use super::cut_short;
use super::gathered::Gathered;
use crate::failure::Failure;
use flight_common::Fault;
use memchr::memchr;
use serde::de::IgnoredAny;

/// Cuts at line breaks: JSON has none within a record. Blank lines are no records.
#[derive(Default)]
pub struct LineSplitter {
    /// What was found.
    pub gathered: Gathered,
    begun: bool,
}

/// What some servers begin with.
const MARK: &[u8] = "\u{feff}".as_bytes();

impl LineSplitter {
    /// Takes the next piece.
    ///
    /// # Errors
    /// A line that is too long.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let mut rest = piece;
        while let Some(end) = memchr(b'\n', rest) {
            self.gathered.bytes().extend_from_slice(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.gathered.bytes().extend_from_slice(rest);
        self.gathered.check_length()
    }

    fn end_line(&mut self) {
        let line = self.gathered.begun();
        let first = !std::mem::replace(&mut self.begun, true);
        let blank = line.trim_ascii().is_empty() || (first && line.trim_ascii() == MARK);
        if blank {
            return self.gathered.forget();
        }
        if first && line.starts_with(MARK) {
            let line = line[MARK.len()..].to_vec();
            self.gathered.forget();
            self.gathered.bytes().extend_from_slice(&line);
        }
        self.gathered.end_value();
        self.gathered.end_record();
    }

    /// Ends the page. The last line needs no line break, but it must be whole.
    ///
    /// # Errors
    /// A record that was cut.
    pub fn end(&mut self) -> Result<(), Failure> {
        let last = self.gathered.begun().trim_ascii();
        if serde_json::from_slice::<IgnoredAny>(last).is_err_and(|error| error.is_eof() && !last.is_empty()) {
            return Err(cut_short());
        }
        if !last.is_empty() {
            self.end_line();
        }
        self.gathered.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Result<Vec<String>, Failure> {
        let mut splitter = LineSplitter::default();
        for piece in pieces {
            splitter.push(piece)?;
        }
        splitter.end()?;
        let records = splitter.gathered.take().unwrap_or_default();
        Ok(records.values().map(|value| String::from_utf8_lossy(value).into_owned()).collect())
    }

    #[test]
    fn lines_are_found_across_pieces() {
        let whole = b"{\"a\":1}\r\n\n  \n{\"a\":2}\n3";
        for cut in 0..whole.len() {
            let found = lines(&[&whole[..cut], &whole[cut..]]).expect("good");
            assert_eq!(found, ["{\"a\":1}\r", "{\"a\":2}", "3"]);
        }
        assert!(lines(&[b"\n \n"]).expect("good").is_empty());
        assert_eq!(lines(&["\u{feff}[1]\n".as_bytes()]).expect("good"), ["[1]"]);
    }

    #[test]
    fn a_last_line_that_was_cut_is_no_record() {
        for cut in ["{\"a\":1}\n{\"a\":", "{\"a\":1}\n{\"a\":\"x", "[1"] {
            let failure = lines(&[cut.as_bytes()]).expect_err("cut");
            assert_eq!(failure.again, crate::failure::Again::Soon, "{cut}");
        }
    }
}
