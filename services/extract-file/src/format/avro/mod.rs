//! Avro object container files.
//!
//! The reader takes the number of rows that a block tells at its word, and goes round for ever where there is more in it. So it
//! is told of more rows than any block has, and gets batches that end with each block: what is too much comes to light as rows.

mod blocks;

use super::{BATCH_BYTES, Batches, damaged, places};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow_avro::codec::Tz;
use arrow_avro::compression::CompressionCodec;
use arrow_avro::reader::{Reader, ReaderBuilder};
use blocks::{Alike, Claims, blocks};
use flight_common::Fault;
use flight_common::wire::split;
use std::fs::File;
use std::io::{BufReader, Read, Seek};

const BUFFER: usize = 256 << 10;
const ROWS: usize = 8 << 10;

fn rewound(path: &str, mut file: File) -> Result<BufReader<File>, Fault> {
    file.rewind().map_err(|error| Fault::io(path, &error))?;
    Ok(BufReader::with_capacity(BUFFER, file))
}

/// Instants are in `UTC`, as from other sources, so that they go together.
fn builder() -> ReaderBuilder {
    ReaderBuilder::new().with_tz(Tz::Utc)
}

/// The columns.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for what is no Avro file.
pub fn look(path: &str, file: File) -> Result<SchemaRef, Fault> {
    let again = file.try_clone().map_err(|error| Fault::io(path, &error))?;
    let size = again.metadata().map_err(|error| Fault::io(path, &error))?.len();
    blocks(&mut rewound(path, again)?, size).map_err(|why| damaged(path, why))?;
    let reader = builder().build(rewound(path, file)?).map_err(|error| unread(path, &error))?;
    match reader.avro_header().compression() {
        Ok(Some(CompressionCodec::Xz)) => {
            Err(Fault::bad_data(format!("{path} is compressed with xz, which is not read here"))
                .help("write it with zstandard, snappy, deflate or bzip2"))
        }
        _ => Ok(reader.schema()),
    }
}

/// The fault for a file whose schema makes no columns.
fn unread(path: &str, error: &ArrowError) -> Fault {
    match error.to_string().split_once("Failed to resolve ") {
        Some((_, name)) => Fault::bad_data(format!(
            "{path} has a type that contains itself or is not defined: {}",
            name.trim_start_matches('.')
        ))
        .help("such records have no columns: let whoever writes the file take them apart"),
        None => damaged(path, error),
    }
}

/// The rows, of the wanted columns.
///
/// # Errors
/// As [`look`].
pub fn batches(path: &str, file: File, wanted: &[FieldRef]) -> Result<Batches, Fault> {
    let failed = |error| Fault::io(path, &error);
    let schema = look(path, file.try_clone().map_err(failed)?)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut whole = rewound(path, file.try_clone().map_err(failed)?)?;
    let found = blocks(&mut whole, size).map_err(|why| damaged(path, why))?;
    let mut header = vec![0; found.header];
    whole.rewind().and_then(|()| whole.read_exact(&mut header)).map_err(failed)?;
    let source = Source { path: path.to_owned(), file, header, projection: places(&schema, wanted) };
    let mut row = 0;
    let batches = found.blocks.into_iter().flat_map(move |alike| {
        let first = row;
        row += alike.all();
        match source.rows(alike, first) {
            Ok(rows) => Box::new(rows) as Batches,
            Err(fault) => Box::new(std::iter::once(Err(fault))),
        }
    });
    Ok(Box::new(gathered(batches).flat_map(|batch| match batch {
        Ok(batch) => split(batch, BATCH_BYTES).into_iter().map(Ok).collect::<Vec<_>>(),
        Err(fault) => vec![Err(fault)],
    })))
}

/// A file whose blocks are read.
struct Source {
    path: String,
    file: File,
    header: Vec<u8>,
    projection: Vec<usize>,
}

impl Source {
    /// The rows of some blocks, of which `row` is the number of rows before them.
    fn rows(&self, alike: Alike, row: u64) -> Result<Rows, Fault> {
        let claims = self.file.try_clone().and_then(|file| Claims::new(file, &self.header, alike));
        let claims = claims.map_err(|error| Fault::io(&self.path, &error))?;
        let builder = builder().with_batch_size(alike.batch_rows()).with_projection(self.projection.clone());
        let reader = builder.build(BufReader::with_capacity(BUFFER, claims));
        let reader = reader.map_err(|error| damaged(&self.path, error))?;
        Ok(Rows { path: self.path.clone(), reader, row, left: alike.all(), is_over: false })
    }
}

/// The rows of some blocks, and a fault if these are not as many as they tell.
struct Rows {
    path: String,
    reader: Reader<BufReader<Claims>>,
    row: u64,
    left: u64,
    is_over: bool,
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let told = match self.reader.next() {
            Some(Ok(batch)) if batch.num_rows() as u64 <= self.left => {
                self.left -= batch.num_rows() as u64;
                self.row += batch.num_rows() as u64;
                return Some(Ok(batch));
            }
            None if self.left == 0 => return None,
            Some(Err(error)) => error.to_string(),
            Some(Ok(_)) => "a block holds more than the rows that it tells".to_owned(),
            None => "a block holds less than the rows that it tells".to_owned(),
        };
        self.is_over = true;
        Some(Err(damaged(&self.path, format!("after row {}: {told}", self.row))))
    }
}

/// Batches of small blocks together.
fn gathered(
    mut batches: impl Iterator<Item = Result<RecordBatch, Fault>>,
) -> impl Iterator<Item = Result<RecordBatch, Fault>> {
    std::iter::from_fn(move || {
        let (mut held, mut rows) = (Vec::new(), 0);
        while rows < ROWS {
            match batches.next() {
                Some(Ok(batch)) => {
                    rows += batch.num_rows();
                    held.push(batch);
                }
                Some(Err(fault)) => return Some(Err(fault)),
                None => break,
            }
        }
        match &held[..] {
            [] => None,
            [one] => Some(Ok(one.clone())),
            [first, ..] => Some(concat_batches(first.schema_ref(), &held).map_err(Fault::from)),
        }
    })
}
