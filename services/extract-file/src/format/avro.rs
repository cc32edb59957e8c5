//! Avro object container files.

use super::{Batches, damaged, places};
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow_avro::codec::Tz;
use arrow_avro::compression::CompressionCodec;
use arrow_avro::reader::ReaderBuilder;
use flight_common::Fault;
use flight_common::wire::split;
use std::fs::File;
use std::io::{BufReader, Read, Seek};

const BUFFER: usize = 256 << 10;
const ROWS: usize = 8 << 10;

/// The largest block, which is decoded as a whole.
const LARGEST: i64 = 256 << 20;
const MAGIC: &[u8; 4] = b"Obj\x01";
/// What stands behind each block, as it stands behind the header.
type Mark = [u8; 16];

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
    check_blocks(rewound(path, again)?, size).map_err(|why| damaged(path, why))?;
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

/// Goes from block to block: a reader takes a file that was cut within one for whole, and blocks of another file for its own.
fn check_blocks(file: BufReader<File>, size: u64) -> Result<(), String> {
    let mut walk = Walk { file, place: 0, size };
    let mark = walk.header()?;
    while walk.place < walk.size {
        let start = walk.place;
        let (rows, bytes) = (walk.number()?, walk.number()?);
        if rows < 0 || bytes > LARGEST {
            return Err(format!("at byte {start}: no block has {rows} rows in {bytes} bytes ({LARGEST} is the most)"));
        }
        walk.skip(bytes)?;
        if walk.mark()? != mark {
            return Err(format!("the block at byte {start} does not end with the mark of this file"));
        }
    }
    Ok(())
}

/// A walk through the file.
struct Walk {
    file: BufReader<File>,
    place: u64,
    size: u64,
}

impl Walk {
    /// Magic bytes, a map that holds the schema, and the mark, which it tells.
    fn header(&mut self) -> Result<Mark, String> {
        let mut magic = [0; MAGIC.len()];
        let read = self.file.read_exact(&mut magic);
        if read.is_err() || magic != *MAGIC {
            return Err("it does not begin as an Avro file".to_owned());
        }
        self.place = MAGIC.len() as u64;
        loop {
            let entries = match self.number()? {
                0 => return self.mark(),
                // Then its length in bytes is there too.
                negative @ ..0 => {
                    self.number()?;
                    negative.unsigned_abs()
                }
                entries => entries.unsigned_abs(),
            };
            for _ in 0..entries {
                for _name_and_value in 0..2 {
                    let length = self.number()?;
                    self.skip(length)?;
                }
            }
        }
    }

    /// A number of variable length, zigzag.
    fn number(&mut self) -> Result<i64, String> {
        let mut number = 0u64;
        for place in 0..10 {
            let mut byte = [0];
            self.file.read_exact(&mut byte).map_err(|_| self.ended())?;
            self.place += 1;
            number |= u64::from(byte[0] & 0x7f) << (7 * place);
            if byte[0] & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(format!("at byte {}: a number does not end", self.place))
    }

    fn mark(&mut self) -> Result<Mark, String> {
        let mut mark = Mark::default();
        self.file.read_exact(&mut mark).map_err(|_| self.ended())?;
        self.place += mark.len() as u64;
        Ok(mark)
    }

    fn skip(&mut self, bytes: i64) -> Result<(), String> {
        let end = u64::try_from(bytes).ok().and_then(|bytes| self.place.checked_add(bytes));
        let end = end.filter(|end| *end <= self.size).ok_or_else(|| self.ended())?;
        self.file.seek_relative(bytes).map_err(|error| error.to_string())?;
        self.place = end;
        Ok(())
    }

    fn ended(&self) -> String {
        format!("at byte {}: what begins here goes on beyond the end of the file", self.place)
    }
}

/// The rows, of the wanted columns.
///
/// # Errors
/// As [`look`].
pub fn batches(path: &str, file: File, wanted: &[FieldRef]) -> Result<Batches, Fault> {
    let again = file.try_clone().map_err(|error| Fault::io(path, &error))?;
    let schema = look(path, again)?;
    let projection = places(&schema, wanted);
    let builder = builder().with_batch_size(ROWS).with_projection(projection);
    let reader = builder.build(rewound(path, file)?).map_err(|error| damaged(path, error))?;
    let path = path.to_owned();
    let mut rows = 0u64;
    Ok(Box::new(reader.flat_map(move |batch| match batch {
        Ok(batch) => {
            rows += batch.num_rows() as u64;
            split(batch, super::BATCH_BYTES).into_iter().map(Ok).collect::<Vec<_>>()
        }
        Err(error) => vec![Err(damaged(&path, format!("after row {rows}: {error}")))],
    })))
}
