//! Arrow IPC, as a file or as a stream.
//!
//! A file is read by its footer, which says where its batches are, and a stream from its beginning. No length is trusted
//! that the file itself does not have room for, nor one that compressed rows claim beyond all measure: no decoder could say
//! no to it once it has asked for the memory.

use super::{BATCH_BYTES, Batches, damaged, places};
use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::{Message, root_as_footer, root_as_message};
use flight_common::Fault;
use flight_common::wire::split;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

const MAGIC: &[u8; 6] = b"ARROW1";
const BUFFER: usize = 256 << 10;
/// The largest batch, which is in memory as a whole.
const LARGEST: u64 = 1 << 30;

/// The batches of either form.
enum Reader {
    File(FileReader<BufReader<File>>),
    Stream(StreamReader<BufReader<File>>),
}

impl Reader {
    fn new(file: &File, is_file: bool, projection: Option<Vec<usize>>) -> Result<Self, ArrowError> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        let file = BufReader::with_capacity(BUFFER, file);
        Ok(match is_file {
            true => Self::File(FileReader::try_new(file, projection)?),
            false => Self::Stream(StreamReader::try_new(file, projection)?),
        })
    }

    fn schema(&self) -> SchemaRef {
        match self {
            Self::File(reader) => reader.schema(),
            Self::Stream(reader) => reader.schema(),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::File(reader) => reader.next(),
            Self::Stream(reader) => reader.next(),
        }
    }
}

fn open(path: &str, mut file: File, wanted: Option<&[FieldRef]>) -> Result<Reader, Fault> {
    let failed = |error: std::io::Error| Fault::io(path, &error);
    let size = file.metadata().map_err(failed)?.len();
    let is_file = has_magic(&mut file, SeekFrom::Start(0)).map_err(failed)?;
    let checked = match is_file {
        true => check_file(&mut file, size),
        false => check_stream(&mut file, size),
    };
    checked.map_err(|why| damaged(path, why))?;
    let open = |projection| Reader::new(&file, is_file, projection).map_err(|error| damaged(path, error));
    let whole = open(None)?;
    let Some(wanted) = wanted else { return Ok(whole) };
    open(Some(places(&whole.schema(), wanted)))
}

fn has_magic(file: &mut File, place: SeekFrom) -> std::io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    file.seek(place)?;
    Ok(file.read_exact(&mut magic).is_ok() && magic == *MAGIC)
}

/// Looks at all messages that the footer of a file names. Before it the file has its schema, which is in the footer too,
/// and not every writer frames that one as a message.
fn check_file(file: &mut File, size: u64) -> Result<(), String> {
    /// The footer's length and the magic bytes, after it.
    const END: u64 = 4 + MAGIC.len() as u64;
    let told = |error: std::io::Error| error.to_string();
    // A file without an end may be shorter than that.
    if size < END || !has_magic(file, SeekFrom::End(-(MAGIC.len() as i64))).map_err(told)? {
        return Err("its end is missing".to_owned());
    }
    let mut length = [0; 4];
    file.seek(SeekFrom::Start(size - END)).map_err(told)?;
    file.read_exact(&mut length).map_err(told)?;
    let length = u64::from(u32::from_le_bytes(length));
    let start = (size - END).checked_sub(length).ok_or("its footer is longer than the file")?;
    let mut footer = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
    file.seek(SeekFrom::Start(start)).map_err(told)?;
    file.read_exact(&mut footer).map_err(told)?;
    let footer = root_as_footer(&footer).map_err(|error| format!("its footer cannot be read: {error}"))?;
    for block in footer.dictionaries().into_iter().chain(footer.recordBatches()).flatten() {
        let lengths = [i64::from(block.metaDataLength()), block.bodyLength()].map(u64::try_from);
        let [Ok(header), Ok(body)] = lengths else { return Err("its footer has a negative length".to_owned()) };
        let place = u64::try_from(block.offset()).map_err(|_| "its footer has a negative place".to_owned())?;
        let end = header.checked_add(body).and_then(|length| place.checked_add(length));
        if end.is_none_or(|end| end > start) {
            return Err("its footer names a batch beyond its end".to_owned());
        }
        check_message(file, place, start)?;
    }
    Ok(())
}

/// Goes from message to message.
fn check_stream(file: &mut File, size: u64) -> Result<(), String> {
    let mut place = 0;
    while let Some(next) = check_message(file, place, size)? {
        place = next;
    }
    Ok(())
}

/// Looks at the message at this place, and tells where it ends; nothing for the mark of the end. Lengths that lead beyond
/// `size` are refused.
fn check_message(file: &mut File, mut place: u64, size: u64) -> Result<Option<u64>, String> {
    const CONTINUATION: [u8; 4] = [0xff; 4];
    let at = |place: u64| format!("at byte {place}: ");
    let mut word = [0; 4];
    file.seek(SeekFrom::Start(place)).map_err(|error| error.to_string())?;
    if file.read_exact(&mut word).is_err() {
        return if place >= size { Ok(None) } else { Err(at(place) + "the file ends within a message") };
    }
    place += 4;
    if word == CONTINUATION {
        file.read_exact(&mut word).map_err(|_| at(place) + "the file ends within a message")?;
        place += 4;
    }
    let length = u64::from(u32::from_le_bytes(word));
    if length == 0 {
        return Ok(None);
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
    let bytes = decoded_bytes(file, &message, place, body).map_err(|error| at(place) + &error.to_string())?;
    if bytes > LARGEST {
        return Err(format!("{}a batch of {bytes} bytes ({LARGEST} is the most: write smaller ones)", at(place)));
    }
    Ok(Some(place + body))
}

/// The memory that a batch whose rows begin at this place asks for. Of compressed rows it is what they claim of themselves.
fn decoded_bytes(file: &mut File, message: &Message<'_>, place: u64, body: u64) -> std::io::Result<u64> {
    let dictionary = || message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(rows) = message.header_as_record_batch().or_else(dictionary) else { return Ok(body) };
    let (Some(_), Some(buffers)) = (rows.compression(), rows.buffers()) else { return Ok(body) };
    let mut all = 0u64;
    for buffer in buffers {
        let start = u64::try_from(buffer.offset()).ok().and_then(|offset| place.checked_add(offset));
        let mut claimed = [0; 8];
        if buffer.length() < claimed.len() as i64 {
            continue;
        }
        file.seek(SeekFrom::Start(start.unwrap_or(u64::MAX >> 1)))?;
        file.read_exact(&mut claimed)?;
        // -1 stands for what was not compressed.
        all = all.saturating_add(u64::try_from(i64::from_le_bytes(claimed)).unwrap_or(0));
    }
    Ok(all.max(body))
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
