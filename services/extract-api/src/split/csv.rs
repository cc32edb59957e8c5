//! Rows of fields, the first of which holds the names.

use super::gathered::{Gathered, RECORD_LIMIT, too_long};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use flight_common::Fault;
use flight_common::values::check_commas;
use std::collections::HashSet;

/// Cuts CSV into fields, without their quotes. Blank lines are no rows.
pub struct CsvSplitter {
    /// What was found.
    pub gathered: Gathered,
    reader: Reader,
    /// The row that has begun: its fields, and where they end.
    fields: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
    width: usize,
    rows: u64,
    /// Whether fields end at commas because nobody has said where they do.
    supposed: bool,
}

impl CsvSplitter {
    /// With this character between fields, or commas.
    pub fn new(delimiter: Option<u8>) -> Self {
        Self {
            gathered: Gathered::default(),
            reader: ReaderBuilder::new().delimiter(delimiter.unwrap_or(b',')).build(),
            fields: vec![0; 1024],
            filled: 0,
            ends: vec![0; 64],
            ended: 0,
            width: 0,
            rows: 0,
            supposed: delimiter.is_none(),
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// A header with two equal names, or that is most likely meant to be cut elsewhere; a row with too many or too few fields, one that is too long.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Fault> {
        // Nothing would say that the text has ended.
        if piece.is_empty() { Ok(()) } else { self.read(piece) }
    }

    /// Ends the page.
    ///
    /// # Errors
    /// As [`CsvSplitter::push`].
    pub fn end(&mut self) -> Result<(), Fault> {
        // The end of a line ends a row, but not within quotes.
        self.read(b"\n")?;
        if self.filled > 0 || self.ended > 0 {
            return Err(Fault::bad_data(format!("row {}: a quote is never closed", self.rows + 1))
                .help("the answer was cut short, or `delimiter` is another one"));
        }
        self.read(&[])?;
        self.gathered.end();
        if self.width == 0 {
            return Err(
                Fault::bad_data("the answer is empty").help("CSV has at least a line with the names of its columns")
            );
        }
        Ok(())
    }

    /// Bytes that it holds.
    pub fn kept(&self) -> usize {
        self.gathered.kept() + self.fields.len()
    }

    fn read(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let mut rest = piece;
        loop {
            let (fields, ends) = (&mut self.fields[self.filled..], &mut self.ends[self.ended..]);
            let (result, read, filled, ended) = self.reader.read_record(rest, fields, ends);
            rest = &rest[read..];
            self.filled += filled;
            self.ended += ended;
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return Ok(()),
                ReadRecordResult::OutputFull if self.fields.len() > RECORD_LIMIT => return Err(too_long()),
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => self.end_row()?,
            }
        }
    }

    fn end_row(&mut self) -> Result<(), Fault> {
        let (filled, ended) = (std::mem::take(&mut self.filled), std::mem::take(&mut self.ended));
        if self.width == 0 {
            return self.begin(filled, ended);
        }
        self.rows += 1;
        if ended != self.width {
            let message = format!("row {} has {ended} fields, and the first line {}", self.rows, self.width);
            return Err(Fault::bad_data(message).help("set `delimiter`, or correct the row"));
        }
        let base = self.gathered.bytes().len();
        self.gathered.bytes().extend_from_slice(&self.fields[..filled]);
        self.gathered.end_values(self.ends[..ended].iter().map(|end| base + end));
        self.gathered.end_record();
        Ok(())
    }

    /// Reads the names.
    fn begin(&mut self, filled: usize, ended: usize) -> Result<(), Fault> {
        let text =
            std::str::from_utf8(&self.fields[..filled]).map_err(|_| Fault::bad_data("the header is not UTF-8"))?;
        let starts = std::iter::once(0).chain(self.ends[..ended].iter().copied());
        let name =
            |(place, (start, &end)): (usize, (usize, &usize))| match text[start..end].trim_start_matches('\u{feff}') {
                "" => format!("column_{}", place + 1),
                name => name.to_owned(),
            };
        let names: Vec<String> = starts.zip(&self.ends[..ended]).enumerate().map(name).collect();
        if self.supposed {
            check_commas(&names, "the answer")?;
        }
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(Fault::bad_data(format!("two columns are called \"{twice}\"")).column(twice));
        }
        self.width = names.len();
        self.gathered.name(names.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pieces: &[&[u8]]) -> Result<(Vec<String>, Vec<String>), Fault> {
        let mut splitter = CsvSplitter::new(None);
        for piece in pieces {
            splitter.push(piece)?;
        }
        splitter.end()?;
        let names = splitter.gathered.names();
        let records = splitter.gathered.take().unwrap_or_default();
        Ok((names, records.values().map(|value| String::from_utf8_lossy(value).into_owned()).collect()))
    }

    #[test]
    fn fields_are_found_across_pieces() {
        let whole = b"\xef\xbb\xbfa,\"b \"\"x\"\"\",\r\n1,\"two, and\nmore\",\r\n\r\n,2,3";
        for cut in 0..whole.len() {
            let (names, fields) = rows(&[&whole[..cut], &whole[cut..]]).expect("good");
            assert_eq!(names, ["a", "b \"x\"", "column_3"]);
            assert_eq!(fields, ["1", "two, and\nmore", "", "", "2", "3"]);
        }
        let long = format!("a\n{}\n", "x".repeat(100_000));
        assert_eq!(rows(&[long.as_bytes()]).expect("good").1[0].len(), 100_000);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for wrong in ["", "a,a\n1,2\n", "a,b\n1\n", "a\n1,2\n", "a,b\n1,\"x", "a,b\n1,\"", "a,\"b", "a\n\"x\"\"\n"] {
            assert!(rows(&[wrong.as_bytes()]).is_err(), "{wrong}");
        }
        assert_eq!(rows(&[b"a,b\n"]).expect("no rows").1.len(), 0);
        for whole in ["a\n\"x\"", "a\n\"x\"\r", "a\nx", "a\n\"x\"\n\n"] {
            assert_eq!(rows(&[whole.as_bytes()]).expect("good").1, ["x"], "{whole}");
        }
    }
}
