//! An output written beside the stream that goes on: an Arrow IPC stream with its checksum, seen once it is whole.

use super::attend::{Attendant, Kept};
use crate::checksum::Checksum;
use flight_common::NewFile;
use flight_common::wire::write_stream;
use flight_common::{EdgeStream, Fault, Parcel, compute};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// Bytes written at once.
const BUFFER: usize = 1 << 20;

/// Writes a branch of an output to its file, and tells the attendant. The file of a stream that ends badly is never
/// seen.
pub(super) fn keep<T: Parcel>(
    branch: EdgeStream<T>,
    file: NewFile,
    attendant: Arc<dyn Attendant>,
    step: String,
    output: String,
) -> AbortOnDropHandle<Result<(), Fault>> {
    compute::spawn(async move {
        let (written, rows) = write_stream(branch, BufWriter::with_capacity(BUFFER, Hashed::new(file))).await?;
        let Hashed { file, sum, bytes } =
            written.into_inner().map_err(|error| Fault::io("a kept stream", error.error()))?;
        file.commit()?;
        attendant.kept(&step, &output, Kept { rows, bytes, checksum: sum.finish() }).await
    })
}

/// A file whose bytes are counted and hashed as they are written.
struct Hashed {
    file: NewFile,
    sum: Checksum,
    bytes: u64,
}

impl Hashed {
    fn new(file: NewFile) -> Self {
        Self { file, sum: Checksum::default(), bytes: 0 }
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.add(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
