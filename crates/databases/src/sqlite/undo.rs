//! What somebody who wrote to a file was ended in the middle of. Its journal tells how to undo it, and SQLite does so when the
//! file is next read: not for a connection that may not write, though. So one that may is opened for that alone.

use super::found::Found;
use super::{PATIENCE, fault, glanced_at, open};
use crate::address::Address;
use flight_common::{DataRoot, Fault, FaultKind};
use rusqlite::{Error, ErrorCode, OpenFlags, ffi};
use std::os::unix::fs::FileExt;

/// How a journal ends that names another file, of which all journals of one transaction know:
/// <https://www.sqlite.org/src/file/src/pager.c>, `readSuperJournal`.
const NAMES_ANOTHER: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Undoes what was left in the middle. If somebody else is at it, they do.
///
/// # Errors
/// [`FaultKind::Denied`] for who may not write the file and its folder, and if other files were written too; what SQLite says.
pub(super) fn undo(root: &DataRoot, address: &Address, file: &Found) -> Result<(), Fault> {
    if names_another(root, address, file)? {
        return Err(left(address, "look which files they wrote to, and open it once with sqlite3"));
    }
    let connection = open(root, address, file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    match glanced_at(&connection, PATIENCE) {
        Err(error) if is_held(&error) => Ok(()),
        Err(error) if is_denied(&error) => {
            Err(left(address, "that has to be undone by a user who may write the file and its folder"))
        }
        glanced => glanced.map_err(|error| fault(&error, address)),
    }
}

/// Whether the journal names a file that SQLite would remove with it. Any file may be named there, also one outside the root.
fn names_another(root: &DataRoot, address: &Address, file: &Found) -> Result<bool, Fault> {
    let journal = file.beside("-journal");
    let Some(journal) = journal.to_str() else { return Ok(true) };
    let journal = match root.open_file(journal, address.param()) {
        Ok(journal) => journal.into_std(),
        // Somebody else has just undone it, or it is a log.
        Err(fault) if fault.kind() == FaultKind::NotFound => return Ok(false),
        Err(fault) => return Err(fault),
    };
    let unreadable = |error: std::io::Error| Fault::io(format!("{}-journal", address.secret()), &error);
    let Some(place) = journal.metadata().map_err(unreadable)?.len().checked_sub(NAMES_ANOTHER.len() as u64) else {
        return Ok(false);
    };
    let mut end = [0; NAMES_ANOTHER.len()];
    let read = journal.read_at(&mut end, place).map_err(unreadable)?;
    Ok(end[..read] == NAMES_ANOTHER)
}

fn is_held(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether the file, its journal or their folder may not be written.
fn is_denied(error: &Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied))
        || error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_DELETE)
}

fn left(address: &Address, help: &str) -> Fault {
    Fault::denied(format!("{} was left in the middle of being written", address.shown()))
        .help(format!("whoever wrote to it was ended in the middle: {help}"))
}
