//! A SQLite file beneath the data root.
//!
//! SQLite opens by path, and opens further files (its journal) by paths beside it. So the file is found beneath the root
//! first, in the way that lets nothing lead out; SQLite then gets its real path, is told to follow no link on it, and what
//! it opened is compared with what was found.

use crate::address::Address;
use crate::quote;
use flight_common::{DataRoot, Fault, FaultKind};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};
use std::fmt;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What every SQLite file begins with: <https://www.sqlite.org/fileformat2.html>, 1.3.
const MAGIC: &[u8] = b"SQLite format 3\0";

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
    fn of(file: &File) -> std::io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self { size: found.len(), changed: found.modified().ok(), place: (found.dev(), found.ino()) })
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
    let path = address.secret();
    let failed = |error: std::io::Error| Fault::io(path, &error);
    let file = Stamp::of(&found(root, address)?).map_err(failed)?;
    let log = match root.open_file(&format!("{path}-wal"), address.param()) {
        Ok(log) => Some(Stamp::of(&log.into_std()).map_err(failed)?).filter(|log| log.size > 0),
        Err(fault) if fault.kind() == FaultKind::NotFound => None,
        Err(fault) => return Err(fault),
    };
    Ok(Identity { path: path.to_owned(), file, log })
}

/// Opens the database for reading, and nothing else.
///
/// # Errors
/// Why the file cannot be opened, or that it is no database.
pub fn open_for_reading(root: &DataRoot, address: &Address) -> Result<Connection, Fault> {
    let file = found(root, address)?;
    check_is_database(&file, address)?;
    open(root, address, &file, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Lets a connection write to the database too, under a name. A file that is not there is made. One that somebody else has
/// locked is waited for while `waits` says so.
///
/// # Errors
/// Why the file cannot be opened or made, or that it is no database.
pub fn attach_for_writing(
    connection: &Connection,
    root: &DataRoot,
    address: &Address,
    name: &str,
    waits: &dyn Fn() -> bool,
) -> Result<(), Fault> {
    let file = match found(root, address) {
        Err(fault) if fault.kind() == FaultKind::NotFound => {
            // Made by its name, and not put in the place of one that another load has made meanwhile.
            root.append(&root.locate(address.secret(), address.param())?, b"")?;
            found(root, address)?
        }
        found => found?,
    };
    check_is_database(&file, address)?;
    checked(root, address, &file, |real| {
        let attach = format!("ATTACH DATABASE ?1 AS {}", quote::double(name));
        once_unlocked(waits, || connection.execute(&attach, [real.to_string_lossy()]).map(drop))
    })
}

/// Does what a lock of somebody else may keep from being done; then again, while `waits` says so. Each time the lock is waited
/// for as long as the connection was told to.
///
/// # Errors
/// What SQLite says.
pub fn once_unlocked<T>(waits: &dyn Fn() -> bool, act: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    loop {
        match act() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waits() => {}
            done => return done,
        }
    }
}

fn found(root: &DataRoot, address: &Address) -> Result<File, Fault> {
    if root.is_bucket() {
        let message = format!("{} is in a bucket, where SQLite cannot lock it", address.secret());
        return Err(Fault::denied(message.clone())
            .help("keep the rows as Parquet, or use a database with a server")
            .violation(address.pointer(), message));
    }
    Ok(root.open_file(address.secret(), address.param())?.into_std())
}

fn check_is_database(file: &File, address: &Address) -> Result<(), Fault> {
    use std::os::unix::fs::FileExt;
    let mut start = [0; MAGIC.len()];
    let path = address.secret();
    let read = file.read_at(&mut start, 0).map_err(|error| Fault::io(path, &error))?;
    // An empty file is a database without tables.
    if read == 0 || start == MAGIC {
        return Ok(());
    }
    let what = format!("{path} is not a SQLite database");
    Err(Fault::bad_data(what.clone()).violation(address.pointer(), what))
}

/// Opens the file that was found, by its real path.
fn open(root: &DataRoot, address: &Address, file: &File, access: OpenFlags) -> Result<Connection, Fault> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    checked(root, address, file, |real| Connection::open_with_flags(real, flags))
}

/// Has the real path of the file that was found opened, and sees to it that this is what was opened.
fn checked<T>(
    root: &DataRoot,
    address: &Address,
    file: &File,
    open: impl FnOnce(&Path) -> rusqlite::Result<T>,
) -> Result<T, Fault> {
    let path = address.secret();
    let unreadable = |error: std::io::Error| Fault::io(path, &error);
    let real = real_path(file).map_err(unreadable)?;
    if !real.starts_with(root.path()) {
        return Err(Fault::denied(format!("{path} leads outside the data root")));
    }
    let opened = open(&real).map_err(|error| fault(&error, address))?;
    let before = Stamp::of(file).map_err(unreadable)?.place;
    let now = Stamp::of(&found(root, address)?).map_err(unreadable)?.place;
    if before != now {
        return Err(Fault::upstream(format!("{path} was replaced while it was opened")).help("run again"));
    }
    Ok(opened)
}

fn real_path(file: &File) -> std::io::Result<PathBuf> {
    std::fs::read_link(Path::new("/proc/self/fd").join(file.as_raw_fd().to_string()))
}

/// The fault for an error of SQLite.
pub fn fault(error: &Error, address: &Address) -> Fault {
    let shown = address.shown();
    match error {
        Error::SqlInputError { msg, .. } => Fault::bad_params(format!("SQLite: {msg}")),
        Error::SqliteFailure(code, said) => {
            let said = said.clone().unwrap_or_else(|| code.to_string());
            let message = format!("{shown}: {said}");
            match code.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Fault::upstream(message)
                    .help("somebody else is writing to the database: run again when they are done"),
                ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
                    Fault::denied(message)
                }
                ErrorCode::OperationInterrupted => Fault::timed_out(message),
                ErrorCode::DiskFull | ErrorCode::OutOfMemory => Fault::busy(message),
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => Fault::upstream(message),
                // A view or a trigger calls a function that is not for them.
                ErrorCode::Unknown if said.starts_with("unsafe use of") => Fault::denied(format!("SQLite: {said}")),
                ErrorCode::Unknown => Fault::bad_params(format!("SQLite: {said}")),
                _ => Fault::bad_data(message),
            }
        }
        Error::MultipleStatement => Fault::bad_params("SQLite: more than one statement"),
        other => Fault::bad_data(format!("{shown}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, DataRoot) {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Connection::open(folder.path().join("a.db")).expect("made");
        made.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").expect("written");
        let root = DataRoot::open(folder.path()).expect("it is there");
        (folder, root)
    }

    fn address(path: &str) -> Address {
        Address::parse(&format!("sqlite:{path}"), "/db_url").expect("an address")
    }

    fn kind(root: &DataRoot, path: &str) -> FaultKind {
        open_for_reading(root, &address(path)).expect_err("refused").kind()
    }

    #[test]
    fn a_file_beneath_the_root_is_read_and_not_written() {
        let (folder, root) = root();
        std::os::unix::fs::symlink("a.db", folder.path().join("link.db")).expect("a link");
        for path in ["a.db", "link.db", "/app/data/a.db"] {
            let open = open_for_reading(&root, &address(path)).expect("opened");
            let n: i64 = open.query_row("SELECT n FROM t", [], |row| row.get(0)).expect("read");
            assert_eq!(n, 1);
            let error = open.execute_batch("DELETE FROM t").expect_err("refused");
            assert_eq!(fault(&error, &address(path)).kind(), FaultKind::Denied);
        }
    }

    #[test]
    fn what_leads_out_is_denied() {
        let (folder, root) = root();
        let outside = tempfile::tempdir().expect("a folder");
        Connection::open(outside.path().join("x.db"))
            .and_then(|db| db.execute_batch("CREATE TABLE t (n)"))
            .expect("made");
        std::os::unix::fs::symlink(outside.path().join("x.db"), folder.path().join("out.db")).expect("a link");
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).expect("a link");
        for path in ["out.db", "out/x.db", "../x.db", "/etc/passwd", ".quiver/quiver.db"] {
            assert_eq!(kind(&root, path), FaultKind::Denied, "{path}");
        }
        for path in ["none.db", "file:a.db?mode=rwc"] {
            assert_eq!(kind(&root, path), FaultKind::NotFound, "{path}");
        }
        assert!(!folder.path().join("none.db").exists());
    }

    #[test]
    fn another_file_is_no_database() {
        let (folder, root) = root();
        std::fs::write(folder.path().join("a.csv"), "id,name\n1,a and much more\n").expect("written");
        assert_eq!(kind(&root, "a.csv"), FaultKind::BadData);
        std::fs::write(folder.path().join("empty.db"), "").expect("written");
        assert!(open_for_reading(&root, &address("empty.db")).is_ok());
    }

    #[test]
    fn what_was_written_to_the_log_is_another_state() {
        let (folder, root) = root();
        let before = identity(&root, &address("a.db")).expect("identified");
        let writer = Connection::open(folder.path().join("a.db")).expect("opened");
        writer.execute_batch("PRAGMA journal_mode=WAL; INSERT INTO t VALUES (2)").expect("written");
        assert_ne!(identity(&root, &address("a.db")).expect("identified"), before);
    }
}
