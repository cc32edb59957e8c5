//! A database that a load writes to, in one transaction. Its file is made when rows are about to be written, since it must be
//! there for SQLite to lock it; a load that fails takes it back.

use super::fault;
use super::found::{self, Found};
use crate::address::Address;
use crate::quote;
use flight_common::{DataRoot, Fault, FaultKind};
use rusqlite::{Connection, Error, ErrorCode};
use std::time::Duration;

/// How often a file is looked for anew that another load has taken back.
const TRIES: usize = 10;

/// A file that a connection writes to.
pub struct Attached {
    file: Found,
    /// Whether it was made for that.
    is_new: bool,
}

/// Lets a connection write to the database too, under a name, and begins a transaction in which nobody else does. A file that
/// is not there is made. One that somebody else has locked is waited for while `waits` says so.
///
/// # Errors
/// Why the file cannot be opened, made or locked, or that it is no database.
pub fn begin_writing(
    connection: &Connection,
    root: &DataRoot,
    address: &Address,
    name: &str,
    waits: &dyn Fn() -> bool,
) -> Result<Attached, Fault> {
    let said = |error: Error| fault(&error, address);
    let name = quote::double(name);
    let attach = format!("ATTACH DATABASE ?1 AS {name}");
    for _ in 0..TRIES {
        // Another load may take the file back.
        let Some(attached) = Attached::new(root, address)? else { continue };
        let open = || connection.execute(&attach, [attached.file.real().to_string_lossy()]).map(drop);
        once_unlocked(waits, open).map_err(said)?;
        let begun = once_unlocked(waits, || connection.execute_batch("BEGIN IMMEDIATE"));
        if attached.file.is_in_place(root, address) {
            if begun.is_err() {
                attached.take_back(connection, root, address);
            }
            return begun.map(|()| attached).map_err(said);
        }
        // Of a file that is gone SQLite may say anything.
        if begun.is_ok() {
            connection.execute_batch("ROLLBACK").map_err(said)?;
        }
        connection.execute_batch(&format!("DETACH DATABASE {name}")).map_err(said)?;
    }
    Err(found::replaced(address))
}

/// Does what a lock of somebody else may keep from being done; then again, while `waits` says so. Each time the lock is waited
/// for as long as the connection was told to.
fn once_unlocked<T>(waits: &dyn Fn() -> bool, act: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    loop {
        match act() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waits() => {}
            done => return done,
        }
    }
}

impl Attached {
    /// The file, made if it is not there; nothing if it is gone again.
    fn new(root: &DataRoot, address: &Address) -> Result<Option<Self>, Fault> {
        let is_new = match Found::new(root, address) {
            Err(fault) if fault.kind() == FaultKind::NotFound => {
                // Made by its name, and not put in the place of one that another load has made meanwhile.
                root.make_file(&root.locate(address.secret(), address.param())?)?;
                true
            }
            _ => false,
        };
        match Found::new(root, address) {
            Err(fault) if [FaultKind::Upstream, FaultKind::NotFound].contains(&fault.kind()) => Ok(None),
            found => Ok(Some(Self { file: found?, is_new })),
        }
    }

    /// Whether the file is still the one that it was.
    ///
    /// # Errors
    /// [`FaultKind::Upstream`] if another one has been put in its place, or none.
    pub fn check(&self, root: &DataRoot, address: &Address) -> Result<(), Fault> {
        if self.file.is_in_place(root, address) { Ok(()) } else { Err(found::replaced(address)) }
    }

    /// Ends the transaction of a load that has failed, and removes the file if it was made for it and is still empty. Another
    /// load that has opened it meanwhile, and waits, looks whether it is still in its place once it may write: so it is removed
    /// by who has its lock.
    pub fn take_back(&self, connection: &Connection, root: &DataRoot, address: &Address) {
        // Some errors have ended it already.
        let _ = connection.execute_batch("ROLLBACK");
        if !self.is_new {
            return;
        }
        // Who holds the lock now keeps the file.
        let locked = connection.busy_timeout(Duration::ZERO).and_then(|()| connection.execute_batch("BEGIN IMMEDIATE"));
        let is_ours = locked.is_ok() && self.file.is_empty() && self.file.is_in_place(root, address);
        if let Some(Err(error)) = is_ours.then(|| std::fs::remove_file(self.file.real())) {
            tracing::warn!(%error, file = address.shown(), "an empty file is left");
        }
        let _ = connection.execute_batch("ROLLBACK");
    }
}
