//! What tells a file from another, so that one that changes between plan and run, or while it is read, is an error.

use crate::fault::Fault;
use chrono::{DateTime, SecondsFormat, Utc};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// What identifies the content of a file. As text it holds what replicas that share a file system agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    path: String,
    size: u64,
    changed: Option<SystemTime>,
    /// Device and inode: another file of the same name, size and time is another file.
    place: (u64, u64),
}

impl FileIdentity {
    /// That of an open file, which a user called `path`.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] if it is a folder or the like.
    pub fn of(file: &File, path: &str) -> Result<Self, Fault> {
        let found = file.metadata().map_err(|error| Fault::io(path, &error))?;
        if !found.is_file() {
            return Err(Fault::bad_params(format!("{path} is not a regular file")));
        }
        let place = (found.dev(), found.ino());
        Ok(Self { path: path.to_owned(), size: found.len(), changed: found.modified().ok(), place })
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Refuses a file that is no longer this one; `when` says since when.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadData`] with both.
    pub fn check(&self, file: &File, when: &str) -> Result<(), Fault> {
        let now = Self::of(file, &self.path)?;
        if now == *self {
            return Ok(());
        }
        let message = format!("the source changed {when}: it was {self}, it is {now}");
        let replaced = if now.to_string() == self.to_string() { " (another file in its place)" } else { "" };
        Err(Fault::bad_data(message + replaced).help("run the pipeline again, when nobody writes to the source"))
    }
}

impl fmt::Display for FileIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.path, self.size)?;
        match self.changed {
            Some(time) => {
                write!(f, ", changed {}", DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Nanos, true))
            }
            None => Ok(()),
        }
    }
}
