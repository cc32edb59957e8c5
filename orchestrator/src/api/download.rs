//! Rows of an Arrow IPC stream as files of other formats, made while they are sent.

use crate::format::{Format, RowWriter};
use crate::seats::Seat;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use axum::body::Body;
use bytes::Bytes;
use flight_common::Fault;
use formats::fitted;
use futures::stream;
use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Bytes handed on at a time, and how many such pieces wait for a slow reader.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 16;
/// What is written, for messages.
const DOWNLOAD: &str = "the download";
/// How long a reader that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the columns of a stream fit into a format. Returns the stream, at its beginning.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] when they do not.
pub fn fits(file: File, format: Format) -> Result<File, Fault> {
    let mut again = file.try_clone().map_err(|error| Fault::io("a kept output", &error))?;
    let schema = reader(file)?.schema();
    if format != Format::Arrow {
        fitted(&schema, format.into())?;
    }
    again.rewind().map_err(|error| Fault::io("a kept output", &error))?;
    Ok(again)
}

/// The batches of a stream.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] when it is none.
pub fn reader(file: File) -> Result<StreamReader<BufReader<File>>, Fault> {
    StreamReader::try_new(BufReader::with_capacity(PIECE, file), None).map_err(spoilt)
}

/// What is told of a stream that breaks off.
pub fn spoilt(error: ArrowError) -> Fault {
    Fault::bad_data(format!("what was kept cannot be read: {error}")).help("resume the run; it is made again")
}

/// A body that is made while it is sent, and cut off, not ended, when that fails. The seat is given up at its end.
pub fn streamed(file: File, format: Format, seat: Seat) -> Body {
    let (sender, pieces) = mpsc::channel(WAITING);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _seat = seat;
        let mut out = Pieces { sender: sender.clone(), handle: handle.clone(), piece: Vec::with_capacity(PIECE) };
        let written = write(file, format, &mut out).and_then(|()| out.flush().map_err(|error| broken(&error)));
        if let Err(fault) = written {
            tracing::info!(fault = %fault, "a download was cut off");
            // Nobody may be left to be told.
            let _ = handle.block_on(sender.send_timeout(Err(io::Error::other("cut off")), PATIENCE));
        }
    });
    Body::from_stream(stream::unfold(pieces, |mut pieces| async move {
        pieces.recv().await.map(|piece: io::Result<Bytes>| (piece, pieces))
    }))
}

fn write(mut file: File, format: Format, out: &mut Pieces) -> Result<(), Fault> {
    if format == Format::Arrow {
        return io::copy(&mut file, out).map(drop).map_err(|error| broken(&error));
    }
    let batches = reader(file)?;
    let mut writer = RowWriter::begin(format, &batches.schema(), out, DOWNLOAD)?;
    for batch in batches {
        writer.write(batch.map_err(spoilt)?)?;
    }
    writer.finish().map(drop)
}

fn broken(error: &io::Error) -> Fault {
    Fault::io(DOWNLOAD, error)
}

/// Writes into a channel, piece by piece, from a thread that may wait.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    handle: Handle,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let sent = self.handle.block_on(self.sender.send_timeout(Ok(piece.into()), PATIENCE));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader is gone, or takes nothing"))
    }
}
