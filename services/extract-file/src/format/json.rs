//! JSON: a list of records, or records one after the other, on lines of their own or not.
//!
//! The text is cut into blocks of whole records, so that a batch never holds more than fits, however long a record is.
//! Commas and brackets between the records of a list are left out on the way; what is within a record is left as it is.

use super::{BATCH_BYTES, Batches, Look, damaged, types};
use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::{Decoder, infer_json_schema_from_iterator};
use flight_common::{BATCH_ROWS, Fault};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::sync::Arc;

const BUFFER: usize = 256 << 10;
/// Text that becomes a batch.
const BLOCK: usize = BATCH_BYTES / 2;
/// Text that types are found from, at most.
const SAMPLE_BYTES: usize = 16 << 20;
/// The longest record.
const LONGEST: usize = 256 << 20;

/// Records of a text, in blocks.
struct Records<R> {
    text: R,
    scanner: Scanner,
}

impl<R: BufRead> Records<R> {
    fn new(text: R) -> Self {
        Self { text, scanner: Scanner::default() }
    }

    /// The next whole records: about a block of them, or one if that is larger. Nothing after the last one.
    fn next_block(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut block = Vec::new();
        loop {
            let text = self.text.fill_buf().map_err(|error| error.to_string())?;
            if text.is_empty() {
                self.scanner.end()?;
                let has_records = block.iter().any(|byte: &u8| !byte.is_ascii_whitespace());
                return Ok(has_records.then_some(block));
            }
            let (mut taken, mut full) = (0, false);
            while taken < text.len() && !full {
                let ends = self.scanner.take(text[taken], &mut block)?;
                full = ends && block.len() >= BLOCK;
                taken += 1;
            }
            self.text.consume(taken);
            if full {
                return Ok(Some(block));
            }
            if block.len() > LONGEST {
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
                block.push(b'\n');
                return Ok(true);
            }
            b']' if between && in_list => self.closed = true,
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

fn records(path: &str, mut file: File) -> Result<Records<BufReader<File>>, Fault> {
    file.rewind().map_err(|error| Fault::io(path, &error))?;
    let mut text = BufReader::with_capacity(BUFFER, file);
    let mark = text.fill_buf().map_err(|error| Fault::io(path, &error))?.starts_with(b"\xef\xbb\xbf");
    if mark {
        text.consume(3);
    }
    Ok(Records::new(text))
}

/// The columns that the first records have.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for what is no JSON, or none of records.
pub fn look(path: &str, file: File, sample_rows: usize) -> Result<Look, Fault> {
    let mut records = records(path, file)?;
    let (mut sample, mut bytes): (Vec<Value>, usize) = (Vec::new(), 0);
    while sample.len() < sample_rows && bytes < SAMPLE_BYTES {
        let at = |why: String, seen: usize| damaged(path, format!("after record {seen}: {why}"));
        let Some(block) = records.next_block().map_err(|why| at(why, sample.len()))? else { break };
        bytes += block.len();
        for record in serde_json::Deserializer::from_slice(&block).into_iter::<Value>() {
            let record = record.map_err(|error| at(error.to_string(), sample.len()))?;
            if !record.is_object() {
                return Err(at(format!("{record:.40} is no record"), sample.len())
                    .help("each record is an object: {\"id\": 1, \"name\": \"Ann\"}"));
            }
            sample.push(record);
            if sample.len() == sample_rows {
                break;
            }
        }
    }
    let guessed = infer_json_schema_from_iterator(sample.iter().map(Ok)).map_err(|error| damaged(path, error))?;
    Ok(types::kept(&guessed, &sample))
}

/// The rows, of the wanted columns.
///
/// # Errors
/// As [`look`].
pub fn batches(path: &str, file: File, wanted: Vec<FieldRef>) -> Result<Batches, Fault> {
    // What a record lacks is null, whatever other files say.
    let fields: Vec<FieldRef> =
        wanted.iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
    let decoder = ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_batch_size(BATCH_ROWS)
        .with_coerce_primitive(true)
        .build_decoder()
        .map_err(|error| damaged(path, error))?;
    let mut reader = Decoding { records: records(path, file)?, decoder, block: Vec::new(), taken: 0 };
    let path = path.to_owned();
    let mut rows = 0u64;
    Ok(Box::new(std::iter::from_fn(move || match reader.next() {
        Ok(batch) => batch.map(|batch| {
            rows += batch.num_rows() as u64;
            Ok(batch)
        }),
        Err(why) => Some(Err(damaged(&path, format!("after record {rows}: {why}"))
            .help("a type is found from the first records: raise `sample_rows`, or mend the file"))),
    })))
}

struct Decoding<R> {
    records: Records<R>,
    decoder: Decoder,
    block: Vec<u8>,
    taken: usize,
}

impl<R: BufRead> Decoding<R> {
    /// The next batch: of a block, or of as many rows as a batch may have.
    fn next(&mut self) -> Result<Option<RecordBatch>, String> {
        let told = |error: ArrowError| error.to_string();
        loop {
            if self.taken == self.block.len() {
                let Some(block) = self.records.next_block()? else { return Ok(None) };
                (self.block, self.taken) = (block, 0);
            }
            self.taken += self.decoder.decode(&self.block[self.taken..]).map_err(told)?;
            if let Some(batch) = self.decoder.flush().map_err(told)? {
                return Ok(Some(batch));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Result<String, String> {
        // A buffer of one byte cuts the text everywhere.
        let mut records = Records::new(BufReader::with_capacity(1, text.as_bytes()));
        let mut all = Vec::new();
        while let Some(block) = records.next_block()? {
            all.extend(block);
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
        for text in ["[{\"a\":1}", "{\"a\":1", "{\"a\":\"x", "[{}] {}", "{}}", "[[1]"] {
            assert!(blocks(text).is_err(), "{text}");
        }
    }
}
