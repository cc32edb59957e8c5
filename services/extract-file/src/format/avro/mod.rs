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
use arrow_avro::reader::ReaderBuilder;
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
    blocks(rewound(path, again)?, size).map_err(|why| damaged(path, why))?;
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
    let again = || file.try_clone().map_err(|error| Fault::io(path, &error));
    let schema = look(path, again()?)?;
    let projection = places(&schema, wanted);
    let size = file.metadata().map_err(|error| Fault::io(path, &error))?.len();
    let found = blocks(rewound(path, again()?)?, size).map_err(|why| damaged(path, why))?;
    let mut head = vec![0; found.header];
    rewound(path, again()?)?.read_exact(&mut head).map_err(|error| Fault::io(path, &error))?;
    let (path, mut rows) = (path.to_owned(), 0);
    let open = move |alike: Alike| {
        let file = file.try_clone().map_err(|error| Fault::io(&path, &error))?;
        let claims = Claims::new(file, &head, alike).map_err(|error| Fault::io(&path, &error))?;
        let builder = builder().with_batch_size(alike.batch_rows()).with_projection(projection.clone());
        let reader = builder.build(BufReader::with_capacity(BUFFER, claims));
        let reader = reader.map_err(|error| damaged(&path, error))?;
        let before = rows;
        rows += alike.all();
        let (path, mut left, mut over) = (path.clone(), alike.all(), false);
        Ok(reader.map(Some).chain([None]).map_while(move |batch| {
            let at = |left: u64| before + alike.all() - left;
            let told = match batch {
                _ if over => return None,
                Some(Ok(batch)) if batch.num_rows() as u64 <= left => {
                    left -= batch.num_rows() as u64;
                    return Some(Ok(batch));
                }
                None if left == 0 => return None,
                Some(Ok(_)) => "a block holds more than the rows that it tells".to_owned(),
                Some(Err(error)) => error.to_string(),
                None => "a block holds less than the rows that it tells".to_owned(),
            };
            over = true;
            Some(Err(damaged(&path, format!("after row {}: {told}", at(left)))))
        }))
    };
    let batches = found.blocks.into_iter().map(open).flat_map(|opened: Result<_, Fault>| match opened {
        Ok(batches) => Box::new(batches) as Batches,
        Err(fault) => Box::new(std::iter::once(Err(fault))),
    });
    Ok(Box::new(gathered(batches).flat_map(|batch| match batch {
        Ok(batch) => split(batch, BATCH_BYTES).into_iter().map(Ok).collect::<Vec<_>>(),
        Err(fault) => vec![Err(fault)],
    })))
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
