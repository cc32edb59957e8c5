//! JSON: a list of records, or records one after the other, on lines of their own or not; compressed or not.
//!
//! | where | what |
//! |---|---|
//! | `records` | the text, cut into whole records |
//! | `types` | types that hold what was seen |
//! | `scan`, `expected`, `exact` | the text walked along the types: what the decoder would change or leave out without a word |

mod exact;
mod expected;
mod records;
mod scan;
mod types;

use super::{BATCH_BYTES, Batches, Look, Wanted, damaged};
use crate::given;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Fields, Schema};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::{Decoder, infer_json_schema_from_iterator};
use exact::{Exact, Offence, Wrong};
use expected::Whole;
use flight_common::{Fault, sparse_rows, uncompressed};
use records::{Block, Broken, Records};
use scan::{Scan, text_of};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::sync::Arc;

const BUFFER: usize = 256 << 10;
/// Text that types are found from, at most.
const SAMPLE_BYTES: usize = 16 << 20;

/// What to try with a file that is no JSON from some place on.
const NO_JSON: &str = "is it cut short, or of another format? Mend it, or make or fetch it again";

type Text = BufReader<Box<dyn Read + Send>>;

fn records(path: &str, mut file: File) -> Result<Records<Text>, Fault> {
    let failed = |error: io::Error| match error.raw_os_error() {
        Some(_) => Fault::io(path, &error),
        None => damaged(path, error),
    };
    file.rewind().map_err(failed)?;
    let mut text = BufReader::with_capacity(BUFFER, uncompressed(file).map_err(failed)?);
    let mark = text.fill_buf().map_err(failed)?.starts_with(b"\xef\xbb\xbf");
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
    let (mut sample, mut blocks, mut bytes): (Vec<Value>, Vec<(u64, Block)>, usize) = (Vec::new(), Vec::new(), 0);
    while sample.len() < sample_rows && bytes < SAMPLE_BYTES {
        let Some(mut block) = records.next_block().map_err(|broken| cut(path, broken))? else { break };
        bytes += block.text.len();
        let before = sample.len() as u64;
        let mut values = serde_json::Deserializer::from_slice(&block.text).into_iter::<Value>();
        while sample.len() < sample_rows
            && let Some(record) = values.next()
        {
            let record = record.map_err(|error| misread(path, &block, &error, sample.len() as u64))?;
            if !record.is_object() {
                let line = block.line(values.byte_offset().saturating_sub(1));
                return Err(Fault::bad_data(format!("{path}, line {line}: {record:.40} is no record"))
                    .row(sample.len() as u64 + 1)
                    .help("each record is an object: {\"id\": 1, \"name\": \"Ann\"}"));
            }
            sample.push(record);
        }
        let looked_at = values.byte_offset();
        block.text.truncate(looked_at);
        blocks.push((before, block));
    }
    let guessed = guess(&sample).map_err(|_| ununited(path, &sample, &blocks))?;
    Ok(types::kept(&guessed, &inexact(path, &guessed, &blocks)?))
}

fn guess(records: &[Value]) -> Result<Schema, ArrowError> {
    infer_json_schema_from_iterator(records.iter().map(Ok))
}

/// The fault of the first record with a value that goes into no type with those before it.
fn ununited(path: &str, sample: &[Value], blocks: &[(u64, Block)]) -> Fault {
    let sizes: Vec<usize> = (1..=sample.len()).collect();
    let record = sizes.partition_point(|size| guess(&sample[..*size]).is_ok());
    let found = sample
        .get(record)
        .and_then(|found| found.as_object()?.iter().find(|(name, _)| !goes_with(&sample[..=record], name)));
    let (column, value) = found.map_or(("", String::new()), |(name, value)| (name.as_str(), value.to_string()));
    let block = blocks.iter().rev().find(|(before, _)| *before <= record as u64);
    let line = block.map_or(1, |(before, block)| {
        let mut records = serde_json::Deserializer::from_slice(&block.text).into_iter::<IgnoredAny>();
        records.by_ref().take(record - usize::try_from(*before).unwrap_or_default()).for_each(drop);
        let start = records.byte_offset();
        block.line(place_of(column, &block.text, start).unwrap_or(start))
    });
    let message = format!(
        "{path}, line {line}, column \"{column}\": {value:.60} goes into no one type, or into none with the values before it"
    );
    Fault::bad_data(message)
        .column(column)
        .row(record as u64 + 1)
        .help("a column holds records, or lists, or plain values: mend the file, or let whoever writes it keep to one of them")
}

/// Where the value of a field stands, in a record that begins here.
fn place_of(field: &str, text: &[u8], start: usize) -> Option<usize> {
    let mut scan = Scan { text, at: start };
    scan.space();
    scan.take(b'{')?;
    loop {
        scan.space();
        let key = scan.string()?;
        scan.colon()?;
        if text_of(key)? == field {
            return Some(scan.at);
        }
        scan.skip()?;
        scan.space();
        scan.take(b',')?;
    }
}

/// Whether the values of a field go into one type.
fn goes_with(records: &[Value], name: &str) -> bool {
    let alone = records.iter().filter_map(|record| Some(json!({name: record.get(name)?})));
    guess(&alone.collect::<Vec<_>>()).is_ok()
}

/// The fields that hold numbers which no float holds, by their places within each other. Each block comes with the
/// number of records before it.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for two fields of one name in a record.
fn inexact(path: &str, guessed: &Schema, blocks: &[(u64, Block)]) -> Result<BTreeSet<Vec<usize>>, Fault> {
    let mut found = BTreeSet::new();
    let exact = Exact::of(guessed.fields(), Whole::IsFloat);
    for (before, block) in blocks {
        let mut twice = None;
        exact.look(&block.text, &mut |offence, place| {
            match offence.wrong {
                Wrong::Value(_) => {
                    found.insert(place.to_vec());
                }
                Wrong::Twice => twice = Some(offence),
                // All fields of these records are known.
                Wrong::Unknown => {}
            }
            twice.is_none()
        });
        if let Some(offence) = twice {
            return Err(explain(path, &offence, block, *before));
        }
    }
    Ok(found)
}

/// The rows, of the wanted columns.
///
/// # Errors
/// As [`look`].
pub fn batches(path: &str, file: File, wanted: Wanted) -> Result<Batches, Fault> {
    let Wanted { columns, known, unknown, given, .. } = wanted;
    let typed = given.wanted(&columns);
    // What is of a type that was given is read as it is written, and becomes a value then.
    let (columns, known) = (given.as_texts(&columns), given.as_texts(&known));
    let is_wanted = |name: &str| columns.iter().any(|field| field.name() == name);
    let exact = Exact::of_wanted(&known, is_wanted, Whole::IsWhole, unknown);
    // What a record lacks is null, whatever other files say.
    let fields: Fields = columns.iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
    let decoder = ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_batch_size(sparse_rows(columns.len()))
        .with_coerce_primitive(true)
        .build_decoder()
        .map_err(|error| damaged(path, error))?;
    let path = path.to_owned();
    let records = records(&path, file)?;
    let mut reader =
        Decoding { records, exact, decoder, typed, block: Block::default(), before: 0, taken: 0, rows: 0, path };
    Ok(Box::new(std::iter::from_fn(move || reader.next().transpose())))
}

struct Decoding<R> {
    path: String,
    records: Records<R>,
    exact: Exact,
    decoder: Decoder,
    typed: Vec<(String, DataType)>,
    block: Block,
    /// Records before the block.
    before: u64,
    taken: usize,
    rows: u64,
}

impl<R: BufRead> Decoding<R> {
    /// The next batch: of a block, or of as many rows as a batch may have.
    fn next(&mut self) -> Result<Option<RecordBatch>, Fault> {
        loop {
            if self.taken == self.block.text.len() {
                let next = self.records.next_block().map_err(|broken| cut(&self.path, broken))?;
                let Some(block) = next else { return Ok(None) };
                self.check(&block)?;
                (self.block, self.before, self.taken) = (block, self.rows, 0);
            }
            let taken = self.decoder.decode(&self.block.text[self.taken..]);
            self.taken += taken.map_err(|error| self.undecoded(&error))?;
            let batch = self.decoder.flush().map_err(|error| self.undecoded(&error))?;
            if let Some(batch) = batch {
                let batch = given::typed(batch, &self.typed, &self.path, self.rows)?;
                self.rows += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
        }
    }

    /// Why the decoder did not take the block. It does not tell where it stood.
    fn undecoded(&self, why: &ArrowError) -> Fault {
        let mut records = serde_json::Deserializer::from_slice(&self.block.text).into_iter::<IgnoredAny>();
        let mut before = self.before;
        match records.find_map(|record| record.map(|_| before += 1).err()) {
            Some(error) => misread(&self.path, &self.block, &error, before),
            None => damaged(&self.path, format!("after record {}: {why}", self.rows))
                .help("a type is found from the first records: raise `sample_rows`, or mend the file"),
        }
    }

    /// Refuses what the decoder would change or leave out.
    fn check(&self, block: &Block) -> Result<(), Fault> {
        let mut first = None;
        self.exact.look(&block.text, &mut |offence, _| {
            first.get_or_insert(offence);
            false
        });
        first.map_or(Ok(()), |offence| Err(explain(&self.path, &offence, block, self.rows)))
    }
}

/// The fault of a text that is cut short, or not of records.
fn cut(path: &str, Broken { line, why }: Broken) -> Fault {
    Fault::bad_data(format!("{path}, line {line}: {why}")).help(NO_JSON)
}

/// The fault of a record that is no JSON, after so many that are.
fn misread(path: &str, block: &Block, error: &serde_json::Error, before: u64) -> Fault {
    let (line, told) = (block.line_of(error), error.to_string());
    let why = told.rsplit_once(" at line ").map_or(told.as_str(), |(why, _)| why);
    Fault::bad_data(format!("{path}, line {line}: {why}")).row(before + 1).help(NO_JSON)
}

/// The fault of what is wrong in a block, before which there are so many records.
fn explain(path: &str, offence: &Offence, block: &Block, before: u64) -> Fault {
    let Offence { column, value, wrong, .. } = offence;
    let line = block.line(offence.at);
    let fault = match wrong {
        Wrong::Value(wanted) => {
            Fault::bad_data(format!("{path}, line {line}, column \"{column}\": {value} {wanted}")).help(format!(
                "raise `sample_rows` so that it is among the first records ({} MiB of them are looked at): the column is \
                 then of a type that holds all its values; or say in `types` what it is, or mend the file",
                SAMPLE_BYTES >> 20
            ))
        }
        Wrong::Unknown => Fault::bad_data(format!(
            "{path}, line {line}: the field \"{column}\" is not among the columns of the first records"
        ))
        .help(format!(
            "raise `sample_rows` so that it is among the first records ({} MiB of them are looked at), or set \
             `unknown_fields: ignore`",
            SAMPLE_BYTES >> 20
        )),
        Wrong::Twice => {
            Fault::bad_data(format!("{path}, line {line}: two fields of a record have the name \"{column}\""))
                .help("mend the file: which of them is meant?")
        }
    };
    fault.column(column).row(before + offence.record as u64 + 1)
}
