//! What MySQL and MariaDB say, as a [`Fault`]. Their error numbers and SQLSTATE classes tell what is to be done about it
//! (their manuals, *Server Error Message Reference* and *Error Codes*).

use crate::address::Address;
use flight_common::{Fault, FaultKind};
use mysql_async::{DriverError, Error, IoError, ServerError};
use std::fmt::Display;
use std::io;

/// The fault for an error of a driver. The password is struck out of it.
pub fn fault(error: &Error, address: &Address) -> Fault {
    match error {
        Error::Server(said) => refused(said, address),
        Error::Driver(DriverError::Params(_) | DriverError::MixedParams) => {
            let help = "write ? for each value, and a space between / or - and a text in quotes that holds a colon";
            Fault::bad_params(format!("MariaDB or MySQL: {error}")).help(help)
        }
        Error::Io(IoError::Io(error)) if is_cut(error) => {
            Fault::upstream(format!("{} has broken the connection off ({error})", address.shown()))
                .help("see the server's log for why; run again")
        }
        Error::Io(IoError::Io(error)) => broken(error, address),
        other => broken(other, address),
    }
}

/// Whether the connection has ended before it should.
fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::UnexpectedEof | Kind::BrokenPipe | Kind::ConnectionReset | Kind::ConnectionAborted)
        // As the driver says that it ended within a packet.
        || error.to_string() == "bytes remaining on stream"
}

/// The connection, or what came over it, is at fault.
fn broken(error: &dyn Display, address: &Address) -> Fault {
    Fault::upstream(format!("{}: {}", address.shown(), address.clean(&error.to_string())))
}

fn refused(said: &ServerError, address: &Address) -> Fault {
    let message = address.clean(&said.message);
    let fault = Fault::new(kind(said.code, &said.state), format!("MariaDB or MySQL: {message}"));
    match said.code {
        1045 | 1044 | 1698 => {
            fault.help(format!("check user and password of {}", address.shown())).violation(address.pointer(), message)
        }
        1049 => fault.violation(address.pointer(), message),
        1142 | 1143 => fault.help(address.grant()),
        1792 => fault.help("this step only reads: it asks within a read-only transaction"),
        1205 => fault.help("another transaction holds the rows or the table: run it again when that is done"),
        _ if fault.kind() == FaultKind::TimedOut => {
            fault.help("raise timeout, or ask for less; the time in which later steps hold up the rows counts too")
        }
        _ => fault,
    }
}

/// What an error means for a caller.
fn kind(code: u16, state: &str) -> FaultKind {
    match code {
        // Statements that took too long: MariaDB, MySQL, a lock that was waited for.
        1969 | 3024 | 1205 => FaultKind::TimedOut,
        // No login, no right, a read-only transaction or server.
        1044 | 1045 | 1142 | 1143 | 1227 | 1290 | 1370 | 1698 | 1792 | 1836 => FaultKind::Denied,
        1049 => FaultKind::NotFound,
        // Connections, memory and disk that are used up.
        1021 | 1037 | 1038 | 1040 | 1041 | 1135 | 1203 | 1226 => FaultKind::Busy,
        // Shutdowns, ended queries and connections, deadlocks.
        1053 | 1158..=1161 | 1213 | 1317 | 1927 => FaultKind::Upstream,
        _ => match state.get(..2).unwrap_or_default() {
            // What cannot be prepared, such as SHOW in some versions.
            _ if code == 1295 => FaultKind::BadParams,
            "42" | "0A" => FaultKind::BadParams,
            "08" => FaultKind::Upstream,
            _ => FaultKind::BadData,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_what_may_be_tried_again() {
        for (code, state, wanted) in [
            (1969, "70100", FaultKind::TimedOut),
            (3024, "HY000", FaultKind::TimedOut),
            (1317, "70100", FaultKind::Upstream),
            (1064, "42000", FaultKind::BadParams),
            (1146, "42S02", FaultKind::BadParams),
            (1365, "22012", FaultKind::BadData),
            (1792, "25006", FaultKind::Denied),
            (1040, "08004", FaultKind::Busy),
        ] {
            assert_eq!(kind(code, state), wanted, "{code}");
        }
    }
}
