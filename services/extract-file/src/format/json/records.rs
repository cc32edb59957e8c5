//! A text of records, cut into blocks of whole ones, so that a batch never holds more than fits, however long a record is.
//!
//! Commas and brackets between the records of a list are left out on the way; what is within a record is left as it is, but
//! for line breaks, which become spaces.

use super::BATCH_BYTES;
use std::io::BufRead;

/// Text that becomes a batch.
const BLOCK: usize = BATCH_BYTES / 2;
/// The longest record.
const LONGEST: usize = 256 << 20;

/// Whole records.
#[derive(Debug, Default)]
pub struct Block {
    /// Their text.
    pub text: Vec<u8>,
    /// Line breaks before it.
    lines: u64,
    /// Where in it a line of the file ends.
    breaks: Vec<u32>,
}

impl Block {
    /// The line of the file that this place of the text is on, counted from 1.
    pub fn line(&self, at: usize) -> u64 {
        self.lines + self.breaks.partition_point(|&end| (end as usize) < at) as u64 + 1
    }

    /// The line of the file that an error in the text is on.
    pub fn line_of(&self, error: &serde_json::Error) -> u64 {
        let lines = self.text.split_inclusive(|&byte| byte == b'\n');
        let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
        self.line(before + error.column().saturating_sub(1))
    }
}

/// Text that is not of records.
#[derive(Debug)]
pub struct Broken {
    /// The line of the file, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Records of a text, in blocks.
pub struct Records<R> {
    text: R,
    scanner: Scanner,
    lines: u64,
}

impl<R: BufRead> Records<R> {
    /// Those of a text.
    pub fn new(text: R) -> Self {
        Self { text, scanner: Scanner::default(), lines: 0 }
    }

    /// The next whole records: about a block of them, or one if that is larger. Nothing after the last one.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn next_block(&mut self) -> Result<Option<Block>, Broken> {
        let mut block = Block { lines: self.lines, ..Block::default() };
        let filled = self.fill(&mut block);
        let line = self.lines + block.breaks.len() as u64 + 1;
        self.lines = line - 1;
        match filled {
            Ok(some) => Ok(some.then_some(block)),
            Err(why) => Err(Broken { line, why }),
        }
    }

    /// Adds to a block until it is full. Whether there is any record in it.
    fn fill(&mut self, block: &mut Block) -> Result<bool, String> {
        loop {
            let text = self.text.fill_buf().map_err(|error| error.to_string())?;
            if text.is_empty() {
                self.scanner.end()?;
                let has_records = block.text.iter().any(|byte: &u8| !byte.is_ascii_whitespace());
                return Ok(has_records);
            }
            let (mut taken, mut full) = (0, false);
            while taken < text.len() && !full {
                if text[taken] == b'\n' {
                    block.breaks.push(u32::try_from(block.text.len()).unwrap_or(u32::MAX));
                }
                let ends = self.scanner.take(text[taken], &mut block.text)?;
                full = ends && block.text.len() >= BLOCK;
                taken += 1;
            }
            self.text.consume(taken);
            if full {
                return Ok(true);
            }
            if block.text.len() > LONGEST {
                return Err(format!("a record is longer than {LONGEST} bytes"));
            }
        }
    }
}

/// Where in the text it is, byte by byte.
#[derive(Default)]
struct Scanner {
    /// Whether the records stand in a list; nothing before the first character.
    list: Option<bool>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// After the end of the list.
    closed: bool,
    /// What came last, between the records of a list.
    last: Last,
}

/// What came last in a list.
#[derive(Clone, Copy, Default, PartialEq)]
enum Last {
    #[default]
    Bracket,
    Comma,
    Record,
}

impl Scanner {
    /// Takes one byte in. Returns whether a record may end here.
    fn take(&mut self, byte: u8, block: &mut Vec<u8>) -> Result<bool, String> {
        if self.in_string {
            block.push(byte);
            let escaped = self.escaped;
            self.escaped = byte == b'\\' && !escaped;
            self.in_string = byte != b'"' || escaped;
            return Ok(false);
        }
        let between = self.depth == 0;
        let in_list = self.list == Some(true);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                block.push(if between { byte } else { b' ' });
                return Ok(between);
            }
            _ if self.closed => return Err("something follows the end of the list".to_owned()),
            b'[' if self.list.is_none() => self.list = Some(true),
            b',' if between && in_list => {
                if self.last != Last::Record {
                    return Err("a comma stands where a record should".to_owned());
                }
                self.last = Last::Comma;
                block.push(b'\n');
                return Ok(true);
            }
            b']' if between && in_list && self.last == Last::Comma => {
                return Err("no record follows the last comma of the list".to_owned());
            }
            b']' if between && in_list => self.closed = true,
            b'{' if between && in_list && self.last == Last::Record => {
                return Err("no comma stands between two records of the list".to_owned());
            }
            b'}' | b']' => {
                self.depth = self.depth.checked_sub(1).ok_or_else(|| format!("a {} too many", char::from(byte)))?;
                block.push(byte);
                if self.depth == 0 {
                    block.push(b'\n');
                }
                return Ok(self.depth == 0);
            }
            other => {
                self.depth += usize::from(matches!(other, b'{' | b'['));
                self.in_string = other == b'"';
                self.last = Last::Record;
                block.push(other);
            }
        }
        self.list.get_or_insert(false);
        Ok(false)
    }

    /// Whether the text may end here.
    fn end(&self) -> Result<(), String> {
        match self.depth > 0 || self.in_string || (self.list == Some(true) && !self.closed) {
            true => Err("it ends within a record or a list".to_owned()),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn blocks(text: &str) -> Result<String, String> {
        // A buffer of one byte cuts the text everywhere.
        let mut records = Records::new(BufReader::with_capacity(1, text.as_bytes()));
        let mut all = Vec::new();
        while let Some(block) = records.next_block().map_err(|broken| broken.why)? {
            all.extend(block.text);
        }
        let text = String::from_utf8(all).expect("it was text");
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn records_of_a_list_and_of_lines_are_the_same() {
        let wanted = r#"{"a":"[1,\"}"} {"a":[1,{"b":2}]}"#;
        for text in [
            r#"[{"a":"[1,\"}"},{"a":[1,{"b":2}]}]"#,
            " [ {\"a\":\"[1,\\\"}\"}\n,\n{\"a\":[1,{\"b\":2}]} ] \n",
            "{\"a\":\"[1,\\\"}\"}\n{\"a\":[1,{\"b\":2}]}\n",
            r#"{"a":"[1,\"}"}{"a":[1,{"b":2}]}"#,
        ] {
            assert_eq!(blocks(text).as_deref(), Ok(wanted), "{text}");
        }
        assert_eq!(blocks("{\"a\":\n 1}\n").as_deref(), Ok("{\"a\": 1}"));
        assert_eq!(blocks("[]").as_deref(), Ok(""));
        assert_eq!(blocks(" \n").as_deref(), Ok(""));
    }

    #[test]
    fn what_is_cut_short_or_has_too_much_is_told() {
        for text in
            ["[{\"a\":1}", "{\"a\":1", "{\"a\":\"x", "[{}] {}", "{}}", "[[1]", "[{},]", "[{},,{}]", "[,{}]", "[{} {}]"]
        {
            assert!(blocks(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_block_knows_the_lines_of_the_file() {
        for text in ["[{\"a\":\n1},\n\n{\"a\":2}]\n", "[\r\n{\"a\": 1}\n,\n{\"a\":2}]", "\n{\"a\":\n\n2}\n"] {
            let mut records = Records::new(text.as_bytes());
            let block = records.next_block().expect("records").expect("some");
            let at = block.text.iter().position(|byte| *byte == b'2').expect("it is there");
            assert_eq!(block.line(at), 4, "{text}");
        }
    }
}
