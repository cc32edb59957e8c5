//! Where DataFusion spills: nameless files in the spill space, which no crash leaves behind, booked and held against its
//! quota like every spool.

use crate::faults::into_error;
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::execution::spill_file::{SpillFile, SpillWriter, TempFileFactory};
use flight_common::SpillSpace;
use flight_common::spool::ScratchFile;
use futures::{Stream, stream};
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes to read at a time.
const CHUNK: usize = 128 << 10;

/// Makes spill files.
pub(crate) struct Disk(pub SpillSpace);

impl TempFileFactory for Disk {
    fn create_temp_file(&self, _description: &str) -> Result<Arc<dyn SpillFile>> {
        let file = ScratchFile::new(&self.0).map_err(into_error)?;
        Ok(Arc::new(Spilled(Arc::new(Mutex::new(file)))))
    }
}

struct Spilled(Arc<Mutex<ScratchFile>>);

impl SpillFile for Spilled {
    fn size(&self) -> Option<u64> {
        Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).end())
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let reader = self.0.lock().unwrap_or_else(PoisonError::into_inner).reader();
        let chunks = stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.next(CHUNK) {
                Ok(chunk) if chunk.is_empty() => None,
                Ok(chunk) => Some((Ok(chunk), Some(reader))),
                Err(fault) => Some((Err(into_error(fault)), None)),
            }
        });
        Ok(Box::pin(chunks))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer(self.0.clone())))
    }
}

struct Writer(Arc<Mutex<ScratchFile>>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
