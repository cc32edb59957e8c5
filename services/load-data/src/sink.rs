//! Where bytes go: the file that nobody sees yet, compressed or not.
//!
//! Libraries that write formats wrap an I/O error in errors of their own, or lose it. So the sink keeps the first one
//! that it met, and whatever the library says afterwards, the user is told that one: the disk is full.

use crate::params::Compression;
use flate2::write::GzEncoder;
use flight_common::{Fault, NewFile, Permission};
use std::fmt::Display;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// A file in the making.
pub struct Sink {
    file: NewFile,
    trouble: Trouble,
}

/// What went wrong with a [`Sink`], if anything did. Clones speak of the same sink.
#[derive(Clone)]
pub struct Trouble {
    shown: Arc<str>,
    first: Arc<Mutex<Option<Fault>>>,
}

impl Sink {
    /// Writes to `file`, which the user knows as `shown`.
    pub fn new(file: NewFile, shown: &str) -> Self {
        Self { file, trouble: Trouble { shown: shown.into(), first: Arc::default() } }
    }

    /// Tells what goes wrong with it, later.
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// Makes the file seen, if it may be, and tells its size.
    ///
    /// # Errors
    /// Why it could not be written to the end, or may not be seen.
    pub async fn commit(mut self, permission: &Permission) -> Result<u64, Fault> {
        let trouble = self.trouble();
        let size = self.file.seek(SeekFrom::End(0)).map_err(|error| trouble.fault(error))?;
        self.file.commit_permitted(permission).await?;
        Ok(size)
    }
}

impl Trouble {
    /// The fault for an error that a writer of the sink returned.
    pub fn fault(&self, error: impl Display) -> Fault {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| Fault::internal(error))
    }

    fn noting<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| Fault::io(&self.shown, error));
        }
        result
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.trouble.noting(self.file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.trouble.noting(self.file.flush())
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.trouble.noting(self.file.seek(to))
    }
}

/// Text on its way to a [`Sink`].
pub enum TextSink {
    /// As it is.
    Plain(Sink),
    /// With gzip.
    Gzip(GzEncoder<BufWriter<Sink>>),
    /// With Zstandard.
    Zstd(zstd::Encoder<'static, BufWriter<Sink>>),
}

const COMPRESSED_BUFFER: usize = 256 * 1024;

impl TextSink {
    /// Compresses text so. What is for other formats leaves text as it is.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if the compressor does not start.
    pub fn new(sink: Sink, compression: Compression) -> Result<Self, Fault> {
        let buffered = |sink| BufWriter::with_capacity(COMPRESSED_BUFFER, sink);
        Ok(match compression {
            Compression::Gzip => Self::Gzip(GzEncoder::new(buffered(sink), flate2::Compression::default())),
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(buffered(sink), 0).map_err(Fault::internal)?),
            Compression::None | Compression::Snappy | Compression::Lz4 => Self::Plain(sink),
        })
    }

    /// Writes text.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn put(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.write_all(text),
            Self::Gzip(sink) => sink.write_all(text),
            Self::Zstd(sink) => sink.write_all(text),
        }
    }

    /// Writes what the compressor still held.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn finish(self) -> io::Result<Sink> {
        let buffered = match self {
            Self::Plain(sink) => return Ok(sink),
            Self::Gzip(sink) => sink.finish()?,
            Self::Zstd(sink) => sink.finish()?,
        };
        buffered.into_inner().map_err(io::IntoInnerError::into_error)
    }
}
