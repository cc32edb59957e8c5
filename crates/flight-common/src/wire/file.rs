//! Frames in a file: the Arrow IPC stream format, which every Arrow library reads.

use super::encode::Encoder;
use super::frame::{Frame, not_ipc};
use super::{FrameStream, MAX_MESSAGE_BYTES, schema_from_bytes};
use crate::fault::Fault;
use crate::memory::MemoryBudget;
use crate::parcel::Parcel;
use crate::queue::{QueueSender, byte_queue};
use crate::spool::OwnedBuffer;
use crate::{compute, stream::EdgeStream};
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::SchemaRef;
use arrow_ipc::{MessageHeader, root_as_message};
use bytes::Bytes;
use futures::StreamExt;
use std::io::{self, ErrorKind, Read, Write};

const CONTINUATION: [u8; 4] = [0xff; 4];
const ALIGNMENT: usize = 8;
/// No schema and no header of a batch is larger.
const MAX_HEADER_BYTES: usize = 64 << 20;
/// Bytes read ahead of who reads the stream.
const AHEAD: usize = 8 << 20;

/// Writes the frames of one stream.
pub struct FrameWriter<W> {
    out: W,
    schema: SchemaRef,
    begun: bool,
    rows: u64,
}

impl<W: Write> FrameWriter<W> {
    /// Writes a stream of this schema to `out`.
    pub fn new(out: W, schema: SchemaRef) -> Self {
        Self { out, schema, begun: false, rows: 0 }
    }

    /// Appends a message. A stream that does not begin with its schema is given one.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn write(&mut self, frame: &Frame) -> Result<(), Fault> {
        let kind = frame.kind()?;
        if kind == MessageHeader::NONE {
            return Ok(());
        }
        if !self.begun && kind != MessageHeader::Schema {
            self.begin()?;
        }
        self.begun = true;
        self.rows += frame.rows();
        self.put(frame)
    }

    /// Ends the stream, and returns where it was written to, and its rows.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn finish(mut self) -> Result<(W, u64), Fault> {
        if !self.begun {
            self.begin()?;
        }
        let end = [CONTINUATION, [0; 4]].concat();
        self.out.write_all(&end).and_then(|()| self.out.flush()).map_err(|error| failed(&error))?;
        Ok((self.out, self.rows))
    }

    fn begin(&mut self) -> Result<(), Fault> {
        self.begun = true;
        let schema = Encoder::schema_frame(&self.schema)?;
        self.put(&schema)
    }

    fn put(&mut self, frame: &Frame) -> Result<(), Fault> {
        let padded = frame.header.len().next_multiple_of(ALIGNMENT);
        let length = u32::try_from(padded).map_err(Fault::internal)?;
        let mut write = || -> io::Result<()> {
            self.out.write_all(&CONTINUATION)?;
            self.out.write_all(&length.to_le_bytes())?;
            self.out.write_all(&frame.header)?;
            self.out.write_all(&[0; ALIGNMENT][..padded - frame.header.len()])?;
            frame.body.iter().try_for_each(|piece| self.out.write_all(piece))
        };
        write().map_err(|error| failed(&error))
    }
}

fn failed(error: &io::Error) -> Fault {
    Fault::unwritten("a kept stream", error, "free disk space, or keep less")
}

/// Reads the frames of a file, on the compute pool and somewhat ahead of its reader. A file that is cut short ends with
/// a fault.
///
/// # Errors
/// [`crate::FaultKind::BadData`] when the file does not begin with a schema.
pub fn read_frames(mut file: impl Read + Send + 'static, budget: &MemoryBudget) -> Result<FrameStream, Fault> {
    let first = next_frame(&mut file)?.ok_or_else(|| not_ipc("it is empty"))?;
    let schema = schema_from_bytes(&first.header)?;
    let (sender, frames) = byte_queue(AHEAD.min(budget.limit() / 16), budget, schema);
    let task = compute::spawn(pump(first, file, sender));
    Ok(frames.wrap(move |frames| {
        frames.map(move |frame| {
            // The task ends with its reader.
            let _owned = &task;
            frame
        })
    }))
}

async fn pump(first: Frame, mut file: impl Read, sender: QueueSender<Frame>) {
    let mut next = Ok(Some(first));
    let end = loop {
        match next {
            Ok(Some(frame)) => {
                if !sender.push(frame).await {
                    return;
                }
            }
            Ok(None) => break Ok(()),
            Err(fault) => break Err(fault),
        }
        next = next_frame(&mut file);
    };
    sender.finish(end).await;
}

fn next_frame(file: &mut impl Read) -> Result<Option<Frame>, Fault> {
    let mut prefix = [0; 8];
    read(file, &mut prefix)?;
    let [a, b, c, d] = [prefix[4], prefix[5], prefix[6], prefix[7]];
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if prefix[..4] != CONTINUATION || length > MAX_HEADER_BYTES {
        return Err(not_ipc("no message begins where one should"));
    }
    if length == 0 {
        return Ok(None);
    }
    let header = piece(file, length)?;
    let body = root_as_message(&header).map_err(not_ipc)?.bodyLength();
    let body = usize::try_from(body).ok().filter(|length| *length <= MAX_MESSAGE_BYTES);
    let body = body.ok_or_else(|| not_ipc("a body that is too large"))?;
    let body = if body > 0 { vec![piece(file, body)?] } else { Vec::new() };
    Ok(Some(Frame::new(header, Bytes::new(), body)))
}

/// The next bytes, where arrays can lie as they are.
fn piece(file: &mut impl Read, length: usize) -> Result<Bytes, Fault> {
    let mut buffer = MutableBuffer::from_len_zeroed(length);
    read(file, &mut buffer)?;
    Ok(Bytes::from_owner(OwnedBuffer(Buffer::from(buffer))))
}

fn read(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), Fault> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => not_ipc("the file is cut short"),
        _ => Fault::io("a kept stream", &error),
    })
}

/// The frames of a stream of any items, for a file.
///
/// # Errors
/// The fault with which the stream ended, and why it could not be written.
pub async fn write_stream<T: Parcel, W: Write>(mut stream: EdgeStream<T>, out: W) -> Result<(W, u64), Fault> {
    let mut writer = FrameWriter::new(out, stream.schema());
    while let Some(item) = stream.next().await {
        for frame in item?.to_frames()? {
            writer.write(&frame)?;
        }
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{batch, slices};
    use crate::wire::encode_stream;
    use arrow::array::RecordBatch;
    use futures::TryStreamExt;
    use std::io::Cursor;

    fn rows() -> RecordBatch {
        batch!("n" => Int64Array (0..1000).map(|n| (n % 3 > 0).then_some(n)).collect::<Vec<_>>(),
               "s" => StringArray (0..1000).map(|n| format!("row {n}")).collect::<Vec<_>>())
    }

    async fn written<T: Parcel>(stream: EdgeStream<T>) -> Vec<u8> {
        let (bytes, count) = write_stream(stream, Vec::new()).await.expect("written");
        assert_eq!(count, 1000);
        bytes
    }

    #[tokio::test]
    async fn a_file_holds_the_rows_of_either_kind_of_stream_for_any_reader() {
        let frames = EdgeStream::new(rows().schema(), encode_stream(slices(&rows(), 100), false));
        for bytes in [written(slices(&rows(), 100)).await, written(frames).await] {
            let reader = arrow::ipc::reader::StreamReader::try_new(Cursor::new(&bytes), None).expect("a stream");
            let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().expect("whole");
            assert_eq!(arrow::compute::concat_batches(&rows().schema(), &batches).expect("one schema"), rows());
            let budget = MemoryBudget::new(1 << 20);
            let frames = read_frames(Cursor::new(bytes), &budget).expect("a stream");
            assert_eq!(RecordBatch::from_stream(frames).collect_rows().await.expect("whole"), rows());
        }
    }

    #[tokio::test]
    async fn a_file_that_is_cut_short_is_a_fault_and_not_an_end() {
        let bytes = written(slices(&rows(), 100)).await;
        let budget = MemoryBudget::new(1 << 20);
        for cut in [bytes.len() - 1, bytes.len() - 8, bytes.len() / 2] {
            let frames = read_frames(Cursor::new(bytes[..cut].to_vec()), &budget).expect("a stream");
            assert!(frames.try_collect::<Vec<_>>().await.is_err(), "{cut} of {} bytes", bytes.len());
        }
        assert!(read_frames(Cursor::new(b"id,name\n1,x\n"), &budget).is_err());
    }
}
