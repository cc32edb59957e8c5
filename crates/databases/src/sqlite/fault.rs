//! What SQLite says, as a [`Fault`].

use crate::address::Address;
use flight_common::Fault;
use rusqlite::{Error, ErrorCode};

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
                ErrorCode::AuthorizationForStatementDenied | ErrorCode::PermissionDenied => Fault::denied(message),
                ErrorCode::ReadOnly => {
                    Fault::denied(message).help("let this user write the file and its folder, or name another file")
                }
                ErrorCode::OperationInterrupted => Fault::timed_out(message),
                ErrorCode::DiskFull => Fault::busy(message).help("free some disk space, then run again"),
                ErrorCode::OutOfMemory => Fault::busy(message),
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => Fault::upstream(message),
                ErrorCode::NotADatabase => no_database(address),
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

fn no_database(address: &Address) -> Fault {
    let what = format!("{} is not a SQLite database", address.secret());
    Fault::bad_data(what.clone()).violation(address.pointer(), what)
}
