//! What PostgreSQL says, as faults. Codes: PostgreSQL's documentation, appendix A; the first two characters are the class.

use crate::address::Address;
use flight_common::{Fault, FaultKind};
use std::error::Error as _;
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

/// The fault for an error of a driver. The password is struck out of it.
pub fn fault(error: &Error, address: &Address) -> Fault {
    match error.as_db_error() {
        Some(said) => refused(said, address),
        None => broken(error, address),
    }
}

fn refused(said: &DbError, address: &Address) -> Fault {
    let message = address.clean(said.message());
    let code = said.code().code();
    let fault = Fault::new(kind(code, &message), format!("PostgreSQL: {message}"));
    let help = said.hint().or(said.detail()).map(|text| address.clean(text));
    match (code, help) {
        ("57014", _) if fault.kind() == FaultKind::TimedOut => {
            fault.help("raise timeout, or ask for less; the time in which later steps hold up the rows counts too")
        }
        ("25006", _) => fault.help("this step only reads: it asks within a read-only transaction"),
        ("28P01" | "28000", _) => {
            fault.help(format!("check user and password of {}", address.shown())).violation(address.pointer(), message)
        }
        ("3D000", _) => fault.violation(address.pointer(), message),
        ("42501", None) => fault.help(address.grant()),
        (_, Some(help)) => fault.help(help),
        (_, None) => fault,
    }
}

/// What a code means for a caller.
fn kind(code: &str, message: &str) -> FaultKind {
    match code {
        "57014" if message.contains("timeout") => FaultKind::TimedOut,
        "55P03" => FaultKind::TimedOut,
        "28P01" | "28000" | "42501" | "25006" => FaultKind::Denied,
        "3D000" => FaultKind::NotFound,
        "0A000" | "26000" => FaultKind::BadParams,
        "22023" => FaultKind::BadParams,
        _ => match code.get(..2).unwrap_or_default() {
            "42" => FaultKind::BadParams,
            // P0: what a trigger or a function raises.
            "21" | "22" | "23" | "P0" => FaultKind::BadData,
            "53" => FaultKind::Busy,
            "54" => FaultKind::BadParams,
            // Connections, shutdowns, conflicts between transactions, and what a server alone can be at fault for.
            _ => FaultKind::Upstream,
        },
    }
}

/// The connection, or what came over it, is at fault.
fn broken(error: &Error, address: &Address) -> Fault {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    Fault::upstream(format!("{}: {}", address.shown(), address.clean(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_what_may_be_tried_again() {
        assert_eq!(kind("57014", "canceling statement due to statement timeout"), FaultKind::TimedOut);
        assert_eq!(kind("57014", "canceling statement due to user request"), FaultKind::Upstream);
        assert_eq!(kind("P0001", "no orders on Sundays"), FaultKind::BadData);
        assert_eq!(kind("57P01", "terminating connection"), FaultKind::Upstream);
        assert_eq!(kind("42P01", "relation does not exist"), FaultKind::BadParams);
        assert_eq!(kind("22012", "division by zero"), FaultKind::BadData);
        assert_eq!(kind("25006", "cannot execute"), FaultKind::Denied);
        assert_eq!(kind("53300", "too many connections"), FaultKind::Busy);
    }
}
