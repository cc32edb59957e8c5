//! A file of the data root, open for reading.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// An open file. One of a bucket is a copy on this machine that nobody writes to.
#[derive(Debug)]
pub struct DataFile {
    file: File,
    version: Option<String>,
}

impl DataFile {
    pub(super) fn new(file: File) -> Self {
        Self { file, version: None }
    }

    pub(super) fn copy(file: File, version: String) -> Self {
        Self { file, version: Some(version) }
    }

    /// What tells the object that this is a copy of from others of its name: its ETag, where the server gives one.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The file alone.
    pub fn into_std(self) -> File {
        self.file
    }

    /// The same open file: both have one position.
    ///
    /// # Errors
    /// The operating system's.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, version: self.version.clone() })
    }
}

impl Deref for DataFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}
