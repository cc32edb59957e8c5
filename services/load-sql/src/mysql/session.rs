//! Connections to write over.

use databases::Address;
use databases::mysql::Session;
use flight_common::{Fault, FaultKind};

/// What holds for the session. Names are in double quotes, as elsewhere. Who holds the table is not waited for without end;
/// we are, however long the input takes.
const SETTINGS: &str = "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_AUTO_VALUE_ON_ZERO,STRICT_TRANS_TABLES,\
                        ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', autocommit = 1, sql_safe_updates = 0, \
                        max_error_count = 64, sql_notes = 1, lock_wait_timeout = 60, innodb_lock_wait_timeout = 60, \
                        net_read_timeout = 31536000, wait_timeout = 31536000";
/// As MariaDB only knows it.
const SETTINGS_OF_MARIADB: &str =
    "SET SESSION max_statement_time = 0, idle_transaction_timeout = 0, idle_write_transaction_timeout = 0";

/// A connection to write over.
///
/// # Errors
/// Why there is none.
pub async fn session_for_loading(address: &Address) -> Result<Session, Fault> {
    let mut session = Session::open(address).await?;
    session.run(SETTINGS).await?;
    if session.is_mariadb() {
        session.run(SETTINGS_OF_MARIADB).await?;
    }
    Ok(session)
}

/// A fault that says which right is missing, if it is one.
pub fn helped(fault: Fault, right: &str) -> Fault {
    if fault.kind() == FaultKind::Denied { fault.help(right) } else { fault }
}
