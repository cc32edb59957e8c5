//! The text cut into pieces of whole records, to be read in parallel.
//!
//! A piece ends after a line break outside of quotes. Pieces hold about as many bytes as were asked for; one record
//! that is longer makes its piece grow, up to a limit. Lines are not counted here, since that would cost this one
//! thread time: each piece counts its own, and whoever puts them in order adds up.

use crate::dialect::Dialect;
use crate::mask::LANES;
use crate::scan::{Scanner, open_quote};
use crate::text::{SLACK, Shelf, Text};
use crate::trouble::{Trouble, What};
use memchr::{memchr, memchr_iter, memrchr};
use std::io::{self, ErrorKind, Read};

/// How long a record may be.
pub const RECORD_LIMIT: usize = 256 << 20;

/// Bytes that are read at first.
const FIRST: usize = 64 << 10;

// Places in a text are kept in 32 bits, and in 31 in a column of text.
const _: () = assert!(RECORD_LIMIT < (i32::MAX as usize) / 4);

/// Cuts text into pieces.
pub struct Cutter<R> {
    source: R,
    dialect: Dialect,
    target: usize,
    limit: usize,
    shelf: Shelf,
    /// What has been read and not handed out, in its first `filled` bytes.
    buffer: Vec<u8>,
    filled: usize,
    ended: bool,
}

/// Why there is no next piece.
#[derive(Debug)]
pub enum CutError {
    /// The text is not CSV.
    Trouble(Trouble),
    /// It cannot be read.
    Io(io::Error),
}

impl<R: Read> Cutter<R> {
    /// Cuts `source` into pieces of about `target` bytes, and none larger than `limit`.
    pub fn new(source: R, dialect: Dialect, target: usize, limit: usize) -> Self {
        let shelf = Shelf::new(target);
        let buffer = shelf.take();
        Self { source, dialect, target, limit, shelf, buffer, filled: 0, ended: false }
    }

    /// Leaves out this many bytes. Only before the first piece.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn skip_bytes(&mut self, bytes: u64) -> io::Result<()> {
        io::copy(&mut self.source.by_ref().take(bytes), &mut io::sink()).map(drop)
    }

    /// Leaves out this many lines, whatever is in them, and says how many bytes they had. Only before the first piece.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn skip_lines(&mut self, lines: u64) -> io::Result<u64> {
        let (mut bytes, mut left) = (0, lines);
        while left > 0 {
            self.fill(self.target)?;
            let end = memchr(b'\n', &self.buffer[..self.filled]).map(|at| at + 1);
            let line = end.unwrap_or(self.filled);
            self.buffer.copy_within(line..self.filled, 0);
            self.filled -= line;
            bytes += line as u64;
            left -= u64::from(end.is_some());
            if line == 0 {
                break;
            }
        }
        Ok(bytes)
    }

    /// The next piece, or nothing at the end.
    ///
    /// # Errors
    /// A quoted field that does not end, a record that is too long, or a source that cannot be read.
    pub fn next_piece(&mut self) -> Result<Option<Text>, CutError> {
        let mut scan = Search { scanner: Scanner::new(self.dialect), quote: self.dialect.quote, scanned: 0, cut: None };
        let mut goal = self.target;
        loop {
            if let Err(error) = self.fill(goal) {
                return Err(self.explain(error));
            }
            if self.ended {
                return self.last_piece(&mut scan);
            }
            scan.search(&self.buffer[..self.filled / LANES * LANES]);
            if let Some(cut) = scan.cut {
                return Ok(Some(self.hand_out(cut)));
            }
            if self.filled >= self.limit {
                return Err(CutError::Trouble(self.endless()));
            }
            goal = (2 * self.filled).min(self.limit);
        }
    }

    /// Reads until there are `goal` bytes, or the source ends. The buffer grows with what comes: a small file takes little.
    fn fill(&mut self, goal: usize) -> io::Result<()> {
        self.hold(self.filled);
        while self.filled < goal && !self.ended {
            if self.filled + SLACK == self.buffer.len() {
                self.hold((2 * self.filled).clamp(FIRST.min(goal), goal));
            }
            let room = goal.min(self.buffer.len() - SLACK);
            match self.source.read(&mut self.buffer[self.filled..room]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes room for so many bytes of text.
    fn hold(&mut self, bytes: usize) {
        if self.buffer.len() < bytes + SLACK {
            self.buffer.resize(bytes + SLACK, 0);
        }
    }

    /// All the rest, with a line break at its end.
    fn last_piece(&mut self, scan: &mut Search) -> Result<Option<Text>, CutError> {
        if self.filled == 0 {
            return Ok(None);
        }
        scan.search(&self.buffer[..self.filled / LANES * LANES]);
        let (word, rest) = (self.filled / LANES * LANES, self.filled % LANES);
        if let Some(tail) = self.buffer[word..].first_chunk() {
            scan.scanner.step(tail, rest);
        }
        if scan.scanner.is_within_quotes() {
            return Err(CutError::Trouble(self.unclosed()));
        }
        if self.buffer[self.filled - 1] != b'\n' {
            self.buffer[self.filled] = b'\n';
            self.filled += 1;
        }
        Ok(Some(self.hand_out(self.filled)))
    }

    /// The first `cut` bytes as a piece; the rest begins the next one.
    fn hand_out(&mut self, cut: usize) -> Text {
        let mut next = self.shelf.take();
        let rest = &self.buffer[cut..self.filled];
        if next.len() < rest.len() {
            next.resize(rest.len(), 0);
        }
        next[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
        self.shelf.text(std::mem::replace(&mut self.buffer, next), cut)
    }

    fn line_of(&self, at: usize) -> u64 {
        memchr_iter(b'\n', &self.buffer[..at]).count() as u64
    }

    fn unclosed(&self) -> Trouble {
        let at = open_quote(&self.buffer[..self.filled], self.dialect).unwrap_or_default();
        Trouble { line: self.line_of(at), row: None, what: What::Unclosed }
    }

    fn endless(&self) -> Trouble {
        match open_quote(&self.buffer[..self.filled], self.dialect) {
            Some(at) => Trouble { line: self.line_of(at), row: None, what: What::LongQuote { limit: self.limit } },
            None => Trouble { line: 0, row: None, what: What::LongLine { limit: self.limit } },
        }
    }

    fn explain(&self, error: io::Error) -> CutError {
        match error.get_ref().and_then(|source| source.downcast_ref::<crate::decode::NotText>()) {
            Some(crate::decode::NotText(encoding)) => {
                let line = self.line_of(self.filled);
                CutError::Trouble(Trouble { line, row: None, what: What::Undecodable { encoding } })
            }
            _ => CutError::Io(error),
        }
    }
}

/// The search for the last line break outside of quotes.
struct Search {
    scanner: Scanner,
    quote: Option<u8>,
    scanned: usize,
    cut: Option<usize>,
}

impl Search {
    /// Goes on to the end of `text`, whole words of it. Where no quote is near, it only looks for a line break.
    fn search(&mut self, text: &[u8]) {
        let fresh = &text[self.scanned..];
        let Some(&last) = fresh.last() else { return };
        let plain = !self.scanner.is_within_quotes() && self.quote.is_none_or(|quote| memchr(quote, fresh).is_none());
        if plain {
            self.cut = memrchr(b'\n', fresh).map(|at| self.scanned + at + 1).or(self.cut);
            self.scanner.pass(last);
        } else {
            let (words, _) = fresh.as_chunks::<LANES>();
            for (place, word) in words.iter().enumerate() {
                let records = self.scanner.step(word, LANES).records;
                if records != 0 {
                    self.cut = Some(self.scanned + place * LANES + LANES - records.leading_zeros() as usize);
                }
            }
        }
        self.scanned = text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(text: &[u8], target: usize, limit: usize) -> Result<Vec<Vec<u8>>, CutError> {
        let mut cutter = Cutter::new(text, Dialect::default(), target, limit);
        let mut pieces = Vec::new();
        while let Some(piece) = cutter.next_piece()? {
            pieces.push(piece.view().text().to_vec());
        }
        Ok(pieces)
    }

    fn trouble(text: &[u8], limit: usize) -> Trouble {
        match pieces(text, 64, limit) {
            Err(CutError::Trouble(trouble)) => trouble,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn pieces_are_whole_records_and_nothing_is_lost(
            records in prop::collection::vec(r#"([ab]{0,40}|"(["]{2}|[ab,\n]){0,90}"),[ab]{0,9}"#, 0..60),
            target in 1usize..400,
        ) {
            let text = records.iter().map(|record| format!("{record}\n")).collect::<String>();
            let pieces = pieces(text.as_bytes(), target, 1 << 20).expect("good text");
            prop_assert_eq!(pieces.concat(), text.as_bytes());
            let ends: Vec<usize> = records.iter().scan(0, |at, record| { *at += record.len() + 1; Some(*at) }).collect();
            let mut at = 0;
            for piece in pieces {
                at += piece.len();
                prop_assert!(ends.contains(&at));
            }
        }
    }

    #[test]
    fn the_last_line_gets_its_break() {
        assert_eq!(pieces(b"a\nb", 1000, 1000).expect("good text").concat(), b"a\nb\n");
        assert!(pieces(b"", 1000, 1000).expect("good text").is_empty());
    }

    #[test]
    fn a_quote_that_is_never_closed_is_found_where_it_opens() {
        let text = format!("a,b\n1,\"x\ny\"\n2,\"{}", "z\n".repeat(300));
        let found = trouble(text.as_bytes(), 1 << 20);
        assert_eq!((found.line, found.what), (0, What::Unclosed), "the lines before it are in pieces of their own");
        let found = trouble(b"a,b\n\"\"\"c\n\n", 1 << 20);
        assert_eq!((found.line, found.what), (1, What::Unclosed));
    }

    #[test]
    fn a_quote_opens_nothing_because_a_word_begins_with_it() {
        let text = format!("{}\" pipe\n", "5".repeat(LANES));
        assert_eq!(pieces(text.as_bytes(), 1000, 1000).expect("good text").concat(), text.as_bytes());
    }

    #[test]
    fn a_record_has_a_limit() {
        let line = trouble(&[b'x'; 5000], 1024);
        assert_eq!(line.what, What::LongLine { limit: 1024 });
        let quoted = format!("\"{}\"\n", "x\n".repeat(5000));
        assert_eq!(trouble(quoted.as_bytes(), 1024).what, What::LongQuote { limit: 1024 });
        assert_eq!(pieces(quoted.as_bytes(), 64, 1 << 20).expect("short enough").len(), 1);
    }

    #[test]
    fn lines_are_left_out_whatever_is_in_them() {
        let mut cutter = Cutter::new(&b"a title \"\n\nx,y\n"[..], Dialect::default(), 4, 100);
        assert_eq!(cutter.skip_lines(2).expect("readable"), 11);
        assert_eq!(cutter.next_piece().expect("good").expect("there").view().text(), b"x,y\n");
        let mut short = Cutter::new(&b"a\nb"[..], Dialect::default(), 4, 100);
        assert_eq!(short.skip_lines(5).expect("readable"), 3);
        assert!(short.next_piece().expect("good").is_none());
    }
}
