//! Avro object container files.

use super::{Batches, damaged, places};
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow_avro::reader::ReaderBuilder;
use flight_common::Fault;
use flight_common::wire::split;
use std::fs::File;
use std::io::{BufReader, Seek};

const BUFFER: usize = 256 << 10;
const ROWS: usize = 8 << 10;

fn rewound(path: &str, mut file: File) -> Result<BufReader<File>, Fault> {
    file.rewind().map_err(|error| Fault::io(path, &error))?;
    Ok(BufReader::with_capacity(BUFFER, file))
}

/// The columns.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for what is no Avro file.
pub fn look(path: &str, file: File) -> Result<SchemaRef, Fault> {
    let reader = ReaderBuilder::new().build(rewound(path, file)?).map_err(|error| damaged(path, error))?;
    Ok(reader.schema())
}

/// The rows, of the wanted columns.
///
/// # Errors
/// As [`look`].
pub fn batches(path: &str, file: File, wanted: &[FieldRef]) -> Result<Batches, Fault> {
    let again = file.try_clone().map_err(|error| Fault::io(path, &error))?;
    let schema = look(path, again)?;
    let projection = places(&schema, wanted);
    let builder = ReaderBuilder::new().with_batch_size(ROWS).with_projection(projection);
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
