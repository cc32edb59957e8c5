//! The file of a database, found beneath the data root and not opened.
//!
//! SQLite opens by path, and opens further files (its journal) by paths beside it. So the file is found beneath the root
//! first, in the way that lets nothing lead out; SQLite then gets its real path, is told to follow no link on it, and what
//! is there then is compared with what was found.
//!
//! Nobody but SQLite opens it, here or in another step of the same process: see [`OpenDatabase`].

use crate::address::Address;
use flight_common::{DataRoot, Fault, OpenDatabase};
use rustix::fs::{Access, access};
use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// What identifies the content of a database at this moment: its file, and the log beside it that holds what was written
/// last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    path: String,
    file: Stamp,
    log: Option<Stamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    changed: Option<SystemTime>,
    place: (u64, u64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self { size: found.len(), changed: found.modified().ok(), place: (found.dev(), found.ino()) }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.size)?;
        let since = self.changed.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        since.map_or(Ok(()), |since| write!(f, " of {}.{:09}", since.as_secs(), since.subsec_nanos()))
    }
}

/// `hr.db, 8192 bytes of 1700000000.000000000`: what replicas that share a file system agree on.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.path, self.file)?;
        self.log.as_ref().map_or(Ok(()), |log| write!(f, ", log of {log}"))
    }
}

/// The identity of the database now. `address` is one of SQLite.
///
/// # Errors
/// Why the file cannot be opened.
pub fn identity(root: &DataRoot, address: &Address) -> Result<Identity, Fault> {
    let found = Found::new(root, address)?;
    let path = address.secret().to_owned();
    let log = match found.beside("-wal").symlink_metadata() {
        Ok(log) => Some(Stamp::of(&log)).filter(|log| log.size > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Fault::io(format!("{path}-wal"), &error)),
    };
    Ok(Identity { path, file: found.stamp, log })
}

/// A file that was found.
pub(super) struct Found {
    real: PathBuf,
    stamp: Stamp,
    kept: Arc<OpenDatabase>,
}

impl Found {
    /// The file of this address.
    ///
    /// # Errors
    /// Why there is none that may be opened.
    pub fn new(root: &DataRoot, address: &Address) -> Result<Self, Fault> {
        if root.is_bucket() {
            let message = format!("{} is in a bucket, where SQLite cannot lock it", address.secret());
            return Err(Fault::denied(message.clone())
                .help("keep the rows as Parquet, or use a database with a server")
                .violation(address.pointer(), message));
        }
        let named = root.path().join(root.locate(address.secret(), address.param())?);
        let at = || Self::at(&named, root.path());
        // One that has come into being meanwhile may be locked already.
        at().ok_or_else(|| if at().is_some() { replaced(address) } else { not_there(root, address) })
    }

    fn at(named: &Path, root: &Path) -> Option<Self> {
        let real = named.canonicalize().ok().filter(|real| real.starts_with(root))?;
        let found = real.symlink_metadata().ok().filter(Metadata::is_file)?;
        Some(Self { real, stamp: Stamp::of(&found), kept: Arc::new(OpenDatabase::new(&found)) })
    }

    /// What keeps others from opening it otherwise, for as long as a connection has it.
    pub fn kept(&self) -> Arc<OpenDatabase> {
        self.kept.clone()
    }

    /// Why SQLite cannot open it, as it is told of any file.
    pub fn unreadable(&self, address: &Address) -> Fault {
        match access(&self.real, Access::READ_OK) {
            Err(error) => {
                let fault = Fault::io(address.secret(), &error.into());
                let message = fault.message().to_owned();
                fault.violation(address.pointer(), message)
            }
            Ok(()) => replaced(address),
        }
    }

    /// Its real path.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// The path of a file that SQLite keeps beside it.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = OsString::from(&self.real);
        path.push(suffix);
        path.into()
    }

    /// Whether nothing is in it now.
    pub fn is_empty(&self) -> bool {
        self.real.symlink_metadata().is_ok_and(|now| now.len() == 0)
    }

    /// Whether it is still what the address leads to.
    pub fn is_in_place(&self, root: &DataRoot, address: &Address) -> bool {
        Self::new(root, address).is_ok_and(|now| now.stamp.place == self.stamp.place)
    }
}

/// Why a file is not found, as it is told of any file.
fn not_there(root: &DataRoot, address: &Address) -> Fault {
    root.identity_of(address.secret(), address.param()).err().unwrap_or_else(|| replaced(address))
}

/// The fault of a file that became another one.
pub(super) fn replaced(address: &Address) -> Fault {
    Fault::upstream(format!("{} was replaced while it was in use", address.secret())).help("run again")
}
