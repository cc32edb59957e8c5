//! The file as a stream of UTF-8 text: opened beneath the data root, uncompressed, transcoded, without a byte order
//! mark; and what tells it from another.

use crate::decode::{NotText, Transcoder};
use crate::options::Options;
use encoding_rs::{Encoding, UTF_8};
use flight_common::{DamagedData, DataFile, DataRoot, Fault, FileIdentity, peek, uncompressed};
use std::io::{self, Read, Seek};

/// The parameter that names it.
pub const PARAM: &str = "file_path";

/// An open file.
pub struct Source {
    path: String,
    file: DataFile,
    /// What it was when it was opened.
    pub identity: FileIdentity,
}

impl Source {
    /// Opens the file.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn open(root: &DataRoot, path: &str) -> Result<Self, Fault> {
        Self::of(root.open_file(path, PARAM)?, path)
    }

    /// The open file of this name.
    ///
    /// # Errors
    /// Why it cannot be told from others.
    pub fn of(file: DataFile, path: &str) -> Result<Self, Fault> {
        let identity = FileIdentity::of(&file, path)?;
        Ok(Self { path: path.to_owned(), file, identity })
    }

    /// Its text. The source itself then tells how far reading has come.
    ///
    /// # Errors
    /// Why it cannot be read, or what it is if it is no text.
    pub fn text(&self, options: &Options) -> Result<Box<dyn Read + Send>, Fault> {
        let failed = |error: io::Error| Fault::io(&self.path, &error);
        // The copy shares its position with `file`.
        let (magic, bytes) = peek::<6>(self.file.try_clone().map_err(failed)?).map_err(failed)?;
        if let Some(other) = other_format(&magic) {
            let message = format!("{} is {other}, not CSV", self.path);
            return Err(Fault::bad_data(message).help("save it as CSV, or use the extract step for that format"));
        }
        self.transcoded(uncompressed(bytes).map_err(failed)?, options.encoding)
    }

    fn transcoded(
        &self,
        plain: Box<dyn Read + Send>,
        encoding: &'static Encoding,
    ) -> Result<Box<dyn Read + Send>, Fault> {
        let (start, mut text) = peek::<3>(plain).map_err(|error| unreadable(&self.path, &error))?;
        let (encoding, mark) = Encoding::for_bom(&start).unwrap_or((encoding, 0));
        let mut skipped = [0; 3];
        text.read_exact(&mut skipped[..mark]).map_err(|error| unreadable(&self.path, &error))?;
        Ok(if encoding == UTF_8 { Box::new(text) } else { Box::new(Transcoder::new(text, encoding)) })
    }

    /// Bytes of the file that have been read.
    pub fn position(&mut self) -> u64 {
        (&*self.file).stream_position().unwrap_or_default()
    }

    /// Refuses a file that is no longer what it was.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`].
    pub fn check_unchanged(&self, since: &FileIdentity, when: &str) -> Result<(), Fault> {
        since.check(&self.file, when)
    }
}

/// The fault for text that could not be read, where no line is known.
pub fn unreadable(path: &str, error: &io::Error) -> Fault {
    let source = error.get_ref();
    if let Some(damaged) = source.and_then(|source| source.downcast_ref::<DamagedData>()) {
        return Fault::bad_data(format!("{path}: {damaged}")).help("make or fetch the file again");
    }
    match source.and_then(|source| source.downcast_ref::<NotText>()) {
        Some(not_text) => Fault::bad_data(format!("{path}: {not_text}")),
        None => Fault::io(path, error),
    }
}

/// Formats that are often met under a wrong name.
fn other_format(magic: &[u8]) -> Option<&'static str> {
    match magic {
        [b'P', b'K', 3, 4, ..] => Some("a zip archive or an Excel workbook"),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Some("an old Excel workbook"),
        [b'P', b'A', b'R', b'1', ..] => Some("a Parquet file"),
        [b'A', b'R', b'R', b'O', b'W', b'1'] => Some("an Arrow file"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("xz-compressed"),
        _ => None,
    }
}
