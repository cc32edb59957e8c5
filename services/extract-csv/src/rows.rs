//! Text as rows of fields: where each field begins and ends, some thousands at a time.
//!
//! Fields are not copied here, and not looked into: each column reads its own out of a [`Block`], one column after the
//! other, while the text is still in the processor's cache. In a table of several columns a blank line is no row; in a
//! table of one column it is a row without a value.

use crate::dialect::Dialect;
use crate::mask::LANES;
use crate::scan::Scanner;
use crate::text::View;

/// Fields to find before the columns read them: their text and places fit the processor's nearest caches.
const BLOCK_FIELDS: usize = 4 * 1024;

/// Bytes that a block most likely spans.
const AHEAD: usize = 24 * 1024;

/// Reads rows out of a text that holds whole records.
pub struct Rows<'a> {
    text: View<'a>,
    scanner: Scanner,
    width: usize,
    /// What has been scanned.
    scanned: usize,
    /// Where fields end. `marks[from]` is the byte before the next row, `marks[to]` the end of the last field found.
    marks: Vec<u32>,
    from: usize,
    to: usize,
    /// How many of the fields between them end a record.
    records: usize,
    /// Line breaks in what has been scanned.
    lines: u64,
}

/// A row with too many or too few fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ragged {
    /// Where it begins in the text.
    pub start: usize,
    /// How many fields it has.
    pub fields: usize,
}

/// Some rows, one right behind the other.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    text: &'a [u8],
    /// The byte before the first row, and then where each field ends: a field begins behind the end of the last one.
    marks: &'a [u32],
    width: usize,
}

impl<'a> Rows<'a> {
    /// The rows of `text`, which holds whole records of `width` fields. It is shorter than 4 GiB.
    pub fn new(text: View<'a>, width: usize, dialect: Dialect) -> Self {
        let mut marks = vec![0; BLOCK_FIELDS + 2 * LANES];
        marks[0] = BEFORE_TEXT;
        Self { text, scanner: Scanner::new(dialect), width, scanned: 0, marks, from: 0, to: 0, records: 0, lines: 0 }
    }

    /// The next rows, or nothing at the end.
    ///
    /// # Errors
    /// The first row that has not as many fields as the others. The rows before it have been returned before.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, Ragged> {
        loop {
            if self.records == 0 {
                self.scan();
            }
            if self.from == self.to {
                return Ok(None);
            }
            let rows = self.regular_rows();
            if rows > 0 {
                let begin = self.from;
                self.from += rows * self.width;
                self.records -= rows;
                let marks = &self.marks[begin..=self.from];
                return Ok(Some(Block { text: self.text.with_slack(), marks, width: self.width }));
            }
            self.skip_blank_line()?;
        }
    }

    /// Lines in what has been looked at; after the last block, those of the text.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Finds more fields: enough for a block, and at least one record.
    fn scan(&mut self) {
        self.marks.copy_within(self.from..=self.to, 0);
        self.to -= self.from;
        self.from = 0;
        let len = self.text.text().len();
        touch(&self.text.text()[self.scanned.min(len)..(self.scanned + AHEAD).min(len)]);
        while self.scanned < len && (self.to < BLOCK_FIELDS || self.records == 0) {
            if self.marks.len() <= self.to + LANES {
                self.marks.resize(2 * self.marks.len(), 0);
            }
            let (word, count) = self.text.word(self.scanned);
            let ends = self.scanner.step(word, count);
            self.mark(ends.fields);
            self.records += ends.records.count_ones() as usize;
            self.lines += u64::from(ends.lines.count_ones());
            self.scanned += LANES;
        }
    }

    /// Notes the fields that end in a word. Eight are written whether there are as many or not: that costs less than
    /// to guess their number wrong.
    #[inline]
    fn mark(&mut self, mut fields: u64) {
        let base = self.scanned as u32;
        let count = fields.count_ones() as usize;
        let (eights, _) = self.marks[self.to + 1..=self.to + LANES].as_chunks_mut::<8>();
        for eight in eights.iter_mut().take(count.div_ceil(8)) {
            for mark in eight {
                *mark = base.wrapping_add(fields.trailing_zeros());
                fields &= fields.wrapping_sub(1);
            }
        }
        self.to += count;
    }

    fn ends_record(&self, mark: usize) -> bool {
        self.text.with_slack()[self.marks[mark] as usize] == b'\n'
    }

    /// How many of the next rows have as many fields as they should. Mostly all have, which is told without looking at
    /// each field.
    fn regular_rows(&self) -> usize {
        let (width, fields) = (self.width, self.to - self.from);
        let rows = fields / width;
        if self.records == rows && (1..=rows).all(|row| self.ends_record(self.from + row * width)) {
            return rows;
        }
        let regular = |row: &usize| {
            let last = self.from + row * width;
            last <= self.to && self.ends_record(last) && !(last - width + 1..last).any(|mark| self.ends_record(mark))
        };
        (1..=rows).take_while(regular).count()
    }

    /// Goes past a record that is a blank line, or fails with one that is not.
    fn skip_blank_line(&mut self) -> Result<(), Ragged> {
        let start = self.marks[self.from].wrapping_add(1) as usize;
        let fields = (1..=self.to - self.from).find(|field| self.ends_record(self.from + field)).unwrap_or_default();
        let end = self.marks[self.from + fields] as usize;
        if fields != 1 || !matches!(&self.text.with_slack()[start..end], b"" | b"\r") {
            return Err(Ragged { start, fields });
        }
        self.from += 1;
        self.records -= 1;
        Ok(())
    }
}

/// Brings a text near to the processor, all of it at once. The scan itself would ask for one line of memory after the
/// other, since it has to know what is in one before it goes on: this made it twice as fast.
fn touch(text: &[u8]) {
    let sum = text.iter().step_by(LANES).fold(0, |sum, byte| sum ^ byte);
    std::hint::black_box(sum);
}

/// The place before the first byte: the next one is 0.
const BEFORE_TEXT: u32 = u32::MAX;

impl<'a> Block<'a> {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        (self.marks.len() - 1) / self.width
    }

    /// Where each row begins in the text.
    pub fn starts(&self) -> impl Iterator<Item = u32> {
        self.marks.iter().step_by(self.width).take(self.rows()).map(|mark| mark.wrapping_add(1))
    }

    /// Where the last row ends in the text.
    pub fn end(&self) -> usize {
        self.marks[self.marks.len() - 1] as usize + 1
    }

    /// The text and the slack behind it.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The first rows of it.
    pub fn first(&self, rows: usize) -> Self {
        Self { marks: &self.marks[..=rows.min(self.rows()) * self.width], ..*self }
    }

    /// Where each field of a column begins and ends.
    #[inline]
    pub fn column(&self, place: usize) -> impl Iterator<Item = (usize, usize)> {
        let (text, marks, width) = (self.text, self.marks, self.width);
        let is_last = place + 1 == width;
        (0..self.rows()).map(move |row| {
            let before = row * width + place;
            let (start, mut end) = (marks[before].wrapping_add(1) as usize, marks[before + 1] as usize);
            // A line may end with `\r\n`.
            if is_last && end > start && text[end - 1] == b'\r' {
                end -= 1;
            }
            (start, end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Shelf;

    fn rows(text: &str, width: usize) -> Result<Vec<Vec<String>>, Ragged> {
        let shelf = Shelf::new(0);
        let piece = shelf.text(text.as_bytes().to_vec(), text.len());
        let mut rows = Rows::new(piece.view(), width, Dialect::default());
        let mut found = Vec::new();
        while let Some(block) = rows.next_block()? {
            let columns: Vec<Vec<String>> = (0..width)
                .map(|place| block.column(place).map(|(start, end)| text[start..end].to_owned()).collect())
                .collect();
            assert!(columns.iter().all(|column| column.len() == block.rows()));
            assert_eq!(block.starts().count(), block.rows());
            found.extend((0..block.rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
        }
        Ok(found)
    }

    #[test]
    fn rows_are_found_whatever_ends_their_lines() {
        let wanted = [["a", "b"], ["", "\"c,\n\""], ["d", ""]];
        assert_eq!(rows("a,b\n,\"c,\n\"\nd,\n", 2).expect("regular"), wanted);
        assert_eq!(rows("a,b\r\n,\"c,\n\"\r\nd,\r\n", 2).expect("regular"), wanted);
    }

    #[test]
    fn a_blank_line_is_a_row_only_in_a_table_of_one_column() {
        assert_eq!(rows("\n\na,b\n\n\r\nc,d\n\n", 2).expect("regular"), [["a", "b"], ["c", "d"]]);
        assert_eq!(rows("a\n\r\n\nb\n", 1).expect("regular"), [["a"], [""], [""], ["b"]]);
        assert!(rows("\n\n", 2).expect("regular").is_empty());
    }

    #[test]
    fn a_ragged_row_is_told_after_those_before_it() {
        assert_eq!(rows("a,b\nc\nd,e,f\n", 2), Err(Ragged { start: 4, fields: 1 }));
        assert_eq!(rows("a,b\nd,e,f\nc\n", 2), Err(Ragged { start: 4, fields: 3 }));
        assert_eq!(rows("a,b\n \n", 2), Err(Ragged { start: 4, fields: 1 }));
        let text = format!("{}1,2,3\n", "a,b\n".repeat(20_000));
        assert_eq!(rows(&text, 2), Err(Ragged { start: 80_000, fields: 3 }));
    }

    #[test]
    fn a_row_may_be_wider_than_a_block() {
        let width = 3 * BLOCK_FIELDS + 5;
        let text = format!("{}\n", vec!["x"; width].join(",")).repeat(3);
        assert_eq!(rows(&text, width).expect("regular").len(), 3);
    }
}
