//! A SQLite file beneath the data root.
//!
//! | where | what |
//! |---|---|
//! | `found` | the file by its path, and what identifies its content |
//! | `undo` | what somebody was ended in the middle of |
//! | `fault` | what SQLite says |

mod fault;
mod found;
mod undo;

pub use fault::fault;
pub use found::{Identity, identity};

use crate::address::Address;
use crate::quote;
use flight_common::{DataRoot, Fault, FaultKind};
use found::Found;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// How long a connection waits for others that is told nothing else.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the database for reading, and nothing else. What somebody who wrote to it was ended in the middle of is undone first.
///
/// # Errors
/// Why the file cannot be opened, or that it is no database; [`FaultKind::Denied`] if what was left cannot be undone.
pub fn open_for_reading(root: &DataRoot, address: &Address) -> Result<Connection, Fault> {
    let file = Found::new(root, address)?;
    let connection = open(root, address, &file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    match glanced_at(&connection, Duration::ZERO) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Err(fault(&error, address)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => {
            drop(connection);
            undo::undo(root, address, &file)?;
            open(root, address, &file, OpenFlags::SQLITE_OPEN_READ_ONLY)
        }
        // Whoever asks it something waits for who holds it, and is told what else is wrong.
        _ => Ok(connection),
    }
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
    let file = match Found::new(root, address) {
        Err(fault) if fault.kind() == FaultKind::NotFound => {
            // Made by its name, and not put in the place of one that another load has made meanwhile.
            root.append(&root.locate(address.secret(), address.param())?, b"")?;
            Found::new(root, address)?
        }
        found => found?,
    };
    checked(root, address, &file, |real| {
        let attach = format!("ATTACH DATABASE ?1 AS {}", quote::double(name));
        once_unlocked(waits, || connection.execute(&attach, [real.to_string_lossy()]).map(drop))
            .map_err(|error| fault(&error, address))
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

/// Opens the file that was found, by its real path.
fn open(root: &DataRoot, address: &Address, file: &Found, access: OpenFlags) -> Result<Connection, Fault> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    checked(root, address, file, |real| {
        Connection::open_with_flags(real, flags).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) => found::unreadable(root, address),
            _ => fault(&error, address),
        })
    })
}

/// Has the file that was found opened, by its real path, and sees to it that this is what was opened.
fn checked<T>(
    root: &DataRoot,
    address: &Address,
    file: &Found,
    open: impl FnOnce(&Path) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let opened = open(file.real())?;
    if file.is_in_place(root, address) { Ok(opened) } else { Err(found::replaced(address)) }
}

/// Takes the lock of those who read for a moment, which looks for what others have left. Nothing that is read stays known to
/// the connection.
fn glanced_at(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(patience)?;
    let glanced = connection.query_row("PRAGMA schema_version", [], |_| Ok(()));
    connection.busy_timeout(PATIENCE)?;
    glanced
}

#[cfg(test)]
mod tests;
