//! Which files are read, and what tells them from others.

use chrono::{DateTime, SecondsFormat, Utc};
use flight_common::params::did_you_mean;
use flight_common::{DataRoot, Fault};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fmt::Write;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// More files than one step reads.
const MOST: usize = 10_000;
/// The parameter that names them.
pub const PARAM: &str = "file_path";

/// What identifies the content of a file. As text it holds what replicas that share a file system agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    path: String,
    size: u64,
    changed: Option<SystemTime>,
    /// Device and inode: another file of the same name, size and time is another file.
    place: (u64, u64),
}

impl Identity {
    fn of(file: &File, path: &str) -> Result<Self, Fault> {
        let found = file.metadata().map_err(|error| Fault::io(path, &error))?;
        let place = (found.dev(), found.ino());
        Ok(Self { path: path.to_owned(), size: found.len(), changed: found.modified().ok(), place })
    }

    /// The path, as it is opened and told.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Refuses a file that is no longer what it was.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`].
    pub fn check(&self, file: &File, when: &str) -> Result<(), Fault> {
        let now = Self::of(file, &self.path)?;
        if now == *self {
            return Ok(());
        }
        let replaced = if now.to_string() == self.to_string() { " (another file in its place)" } else { "" };
        Err(Fault::bad_data(format!("the source changed {when}: it was {self}, it is {now}{replaced}"))
            .help("run the pipeline again, when nobody writes to the source"))
    }
}

impl fmt::Display for Identity {
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

/// What identifies all files together: one as it is, several by their number, their bytes and a checksum.
pub fn identity(files: &[Identity]) -> String {
    if let [only] = files {
        return only.to_string();
    }
    let mut sum = Sha256::new();
    files.iter().for_each(|file| sum.update(format!("{file}\n")));
    let mut text = format!("{} files of {} bytes, ", files.len(), files.iter().map(|file| file.size).sum::<u64>());
    sum.finalize().iter().take(16).for_each(|byte| {
        let _ = write!(text, "{byte:02x}");
    });
    text
}

/// The paths that a user's pattern means, in order.
///
/// # Errors
/// [`flight_common::FaultKind::NotFound`] when there is none; otherwise as [`DataRoot::matching`].
pub fn paths(root: &DataRoot, pattern: &str) -> Result<Vec<String>, Fault> {
    if !pattern.contains(['*', '?', '[']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let found = root.matching(pattern, PARAM, MOST)?;
    if found.is_empty() {
        let message = format!("no file matches {pattern}");
        let help = format!("patterns are looked up beneath the data root {}", root.path().display());
        return Err(Fault::not_found(message.clone()).help(help).violation(format!("/{PARAM}"), message));
    }
    Ok(found)
}

/// Opens a file beneath the data root.
///
/// # Errors
/// Why it cannot be.
pub fn open(root: &DataRoot, path: &str) -> Result<(File, Identity), Fault> {
    let file = root.open_file(path, PARAM)?.into_std();
    let identity = Identity::of(&file, path)?;
    Ok((file, identity))
}

/// The fault for a file whose name does not say what it is.
pub fn of_no_format(path: &str) -> Fault {
    let message = format!("the name of {path} does not say what it is");
    let known = ["parquet", "json", "ndjson", "arrow", "avro"];
    let end = path.rsplit_once('.').map_or("", |(_, end)| end);
    let help = match end {
        "csv" | "tsv" | "txt" => "extract-csv reads text files".to_owned(),
        "xlsx" | "xls" | "ods" => "extract-excel reads workbooks".to_owned(),
        end => format!("set `format`; {}", did_you_mean(end, known)),
    };
    Fault::bad_params(message.clone()).help(help).violation(format!("/{PARAM}"), message)
}
