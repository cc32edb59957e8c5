//! Arrow IPC, as a file or as a stream.
//!
//! A file is a stream between its magic bytes and a footer. Read as one, its batches come in their order, and no length is
//! trusted that the file itself does not have room for.

use super::{BATCH_BYTES, Batches, damaged, places};
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::root_as_message;
use flight_common::Fault;
use flight_common::wire::split;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

const MAGIC: &[u8; 6] = b"ARROW1";
/// The stream within a file begins at a multiple of this: behind the magic bytes there may be zeros.
const STEP: u64 = 8;
/// And no later than here.
const LAST_START: u64 = 128;
const BUFFER: usize = 256 << 10;

type Reader = StreamReader<BufReader<File>>;

fn open(path: &str, mut file: File, wanted: Option<&[FieldRef]>) -> Result<Reader, Fault> {
    let failed = |error: std::io::Error| Fault::io(path, &error);
    let size = file.metadata().map_err(failed)?.len();
    let start = match is_file(&mut file).map_err(failed)? {
        false => 0,
        true if !ends_whole(&mut file).map_err(failed)? => return Err(damaged(path, "its end is missing")),
        true => start_of_stream(&mut file).map_err(failed)?,
    };
    check_lengths(&mut file, start, size).map_err(|why| damaged(path, why))?;
    let mut reader = || -> Result<BufReader<File>, Fault> {
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        Ok(BufReader::with_capacity(BUFFER, file.try_clone().map_err(failed)?))
    };
    let whole = StreamReader::try_new(reader()?, None).map_err(|error| damaged(path, error))?;
    let Some(wanted) = wanted else { return Ok(whole) };
    let projection = places(&whole.schema(), wanted);
    StreamReader::try_new(reader()?, Some(projection)).map_err(|error| damaged(path, error))
}

fn is_file(file: &mut File) -> std::io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    file.rewind()?;
    Ok(file.read_exact(&mut magic).is_ok() && magic == *MAGIC)
}

/// A file has its magic bytes at both ends.
fn ends_whole(file: &mut File) -> std::io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    file.seek(SeekFrom::End(-(MAGIC.len() as i64)))?;
    file.read_exact(&mut magic)?;
    Ok(magic == *MAGIC)
}

fn start_of_stream(file: &mut File) -> std::io::Result<u64> {
    let mut start = STEP;
    file.seek(SeekFrom::Start(start))?;
    let mut word = [0; STEP as usize];
    while start < LAST_START && file.read_exact(&mut word).is_ok() && word == [0; STEP as usize] {
        start += STEP;
    }
    Ok(start)
}

/// Goes from message to message, and refuses lengths that lead beyond the end of the file.
fn check_lengths(file: &mut File, mut place: u64, size: u64) -> Result<(), String> {
    const CONTINUATION: [u8; 4] = [0xff; 4];
    let at = |place: u64| format!("at byte {place}: ");
    loop {
        let mut word = [0; 4];
        file.seek(SeekFrom::Start(place)).map_err(|error| error.to_string())?;
        if file.read_exact(&mut word).is_err() {
            return if place >= size { Ok(()) } else { Err(at(place) + "the file ends within a message") };
        }
        place += 4;
        if word == CONTINUATION {
            file.read_exact(&mut word).map_err(|_| at(place) + "the file ends within a message")?;
            place += 4;
        }
        let length = u64::from(u32::from_le_bytes(word));
        if length == 0 {
            return Ok(());
        }
        if place + length > size {
            return Err(at(place) + "a message is longer than the file");
        }
        let mut header = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
        file.read_exact(&mut header).map_err(|error| at(place) + &error.to_string())?;
        let message = root_as_message(&header).map_err(|error| format!("{}no Arrow message: {error}", at(place)))?;
        let body = u64::try_from(message.bodyLength()).map_err(|_| at(place) + "a message has a negative length")?;
        place += length;
        if body > size - place {
            return Err(at(place) + "the rows of a message are more than the file");
        }
        place += body;
    }
}

/// The columns.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for what is no Arrow IPC.
pub fn look(path: &str, file: File) -> Result<SchemaRef, Fault> {
    Ok(open(path, file, None)?.schema())
}

/// The rows, of the wanted columns.
///
/// # Errors
/// As [`look`].
pub fn batches(path: &str, file: File, wanted: &[FieldRef]) -> Result<Batches, Fault> {
    let reader = open(path, file, Some(wanted))?;
    let path = path.to_owned();
    let mut rows = 0u64;
    Ok(Box::new(reader.flat_map(move |batch| match batch {
        Ok(batch) => {
            rows += batch.num_rows() as u64;
            split(batch, BATCH_BYTES).into_iter().map(Ok).collect::<Vec<_>>()
        }
        Err(error) => vec![Err(damaged(&path, format!("after row {rows}: {error}")))],
    })))
}
