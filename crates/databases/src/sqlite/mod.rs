//! A SQLite file beneath the data root.
//!
//! | where | what |
//! |---|---|
//! | `found` | the file by its path, and what identifies its content |
//! | `undo` | what somebody was ended in the middle of |
//! | `attach` | the file as a load writes to it |
//! | `fault` | what SQLite says |

mod attach;
mod fault;
mod found;
mod undo;

pub use attach::{Attached, begin_writing};
pub use fault::fault;
pub use found::{Identity, identity};

use crate::address::Address;
use flight_common::{DataRoot, Fault, OpenDatabase};
use found::Found;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection waits for others that is told nothing else.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection, whose file nobody in this process opens otherwise.
#[derive(Debug)]
pub struct Opened {
    // Closed first.
    connection: Connection,
    _kept: Arc<OpenDatabase>,
}

impl Deref for Opened {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// Opens the database for reading, and nothing else. What somebody who wrote to it was ended in the middle of is undone first.
///
/// # Errors
/// Why the file cannot be opened, or that it is no database; [`flight_common::FaultKind::Denied`] if what was left
/// cannot be undone.
pub fn open_for_reading(root: &DataRoot, address: &Address) -> Result<Opened, Fault> {
    let file = Found::new(root, address)?;
    let connection = open(root, address, &file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    match glanced_at(&connection, Duration::ZERO) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Err(fault(&error, address)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => {
            drop(connection);
            if !["-journal", "-wal"].iter().any(|suffix| file.beside(suffix).exists()) {
                let help = "a database in WAL mode needs files beside it: let this user write its folder, or copy it";
                return Err(fault(&error, address).help(help));
            }
            undo::undo(root, address, &file)?;
            open(root, address, &file, OpenFlags::SQLITE_OPEN_READ_ONLY)
        }
        // Whoever asks it something waits for who holds it, and is told what else is wrong.
        _ => Ok(connection),
    }
}

/// Opens the file that was found, by its real path, and sees to it that this is what was opened.
fn open(root: &DataRoot, address: &Address, file: &Found, access: OpenFlags) -> Result<Opened, Fault> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection =
        Connection::open_with_flags(file.real(), flags).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) => file.unreadable(address),
            _ => fault(&error, address),
        })?;
    let opened = Opened { connection, _kept: file.kept() };
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
