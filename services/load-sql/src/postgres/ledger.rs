//! Which runs have written: see [`crate::ledger`].

use crate::ledger::{COLUMNS, Entry, LEDGER, Rows, Writer};
use crate::target::Target;
use databases::postgres::Session;
use databases::quote;
use flight_common::{Fault, FaultKind};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

/// The lock under which ledgers are made: two at once would be in each other's way.
const MAKING: i64 = 0x7175_6976_6572;

/// That of a schema, in SQL.
fn name(target: &Target) -> String {
    let schema = target.schema.as_deref().map(|schema| quote::double(schema) + ".").unwrap_or_default();
    schema + LEDGER
}

/// Makes it, if it is not there. It stays when the load fails.
///
/// # Errors
/// What the server says.
pub async fn make(session: &Session, target: &Target) -> Result<(), Fault> {
    let name = name(target);
    let there = session.client().query_one("SELECT to_regclass($1) IS NOT NULL", &[&name]).await;
    if there.map_err(|error| session.fault(&error))?.get(0) {
        return Ok(());
    }
    let sql =
        format!("BEGIN; SELECT pg_advisory_xact_lock({MAKING}); CREATE TABLE IF NOT EXISTS {name} ({COLUMNS}); COMMIT");
    session.run(&sql).await.map_err(|fault| match fault.kind() {
        FaultKind::Denied => fault.help(format!(
            "an append needs the table {name} to be safe to repeat: let the user make it, or make it for them and let them \
             read and write it: CREATE TABLE {name} ({COLUMNS})"
        )),
        _ => fault,
    })
}

/// What an earlier attempt of the run has written.
///
/// # Errors
/// What the server says.
pub async fn written_before(session: &Session, target: &Target, writer: &Writer) -> Result<Option<Entry>, Fault> {
    let ledger = name(target);
    let sql =
        format!("SELECT rows, digest FROM {ledger} WHERE run IN ($1, $2) AND loaded = $3 ORDER BY run DESC LIMIT 1");
    let asked = session.client().query_opt(&sql, &[&writer.name, &writer.run, &target.table]).await;
    let row = asked.map_err(|error| session.fault(&error))?;
    Ok(row.map(|row| Entry { rows: row.get(0), digest: row.get(1) }))
}

/// The lines that the load may have written under other names, those first that are likelier its own.
///
/// # Errors
/// What the server says.
pub async fn former(session: &Session, target: &Target, writer: &Writer) -> Result<Vec<String>, Fault> {
    if writer.former.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT run FROM {} WHERE run = ANY ($1) AND loaded = $2 ORDER BY array_position($1, run)",
        name(target)
    );
    let asked = session.client().query(&sql, &[&writer.former, &target.table]).await;
    Ok(asked.map_err(|error| session.fault(&error))?.iter().map(|row| row.get(0)).collect())
}

/// Calls one of these lines by the load's own name, if it tells of these rows: whether there was one. Of two loads at once that
/// want the same line, the later one waits here, and does not get it when the first has committed.
///
/// # Errors
/// What the server says.
pub async fn take_over(
    session: &Session,
    target: &Target,
    writer: &Writer,
    former: &[String],
    brought: &Entry,
) -> Result<bool, Fault> {
    let sql =
        format!("UPDATE {} SET run = $1 WHERE run = $2 AND loaded = $3 AND rows = $4 AND digest = $5", name(target));
    for line in former {
        let values: [&(dyn ToSql + Sync); 5] = [&writer.name, line, &target.table, &brought.rows, &brought.digest];
        let taken = session.client().execute(&sql, &values).await;
        if taken.map_err(|error| refused(session, target, &error))? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes what a run has written. Two attempts at once: the later one waits here, and fails when the first has committed.
///
/// # Errors
/// What the server says.
pub async fn note(session: &Session, target: &Target, writer: &Writer, rows: &Rows) -> Result<(), Fault> {
    let sql = format!("INSERT INTO {} (run, loaded, rows, digest) VALUES ($1, $2, $3, $4)", name(target));
    let Entry { rows, digest } = Entry::of(rows)?;
    let noted = session.client().execute(&sql, &[&writer.name, &target.table, &rows, &digest]).await;
    noted.map(drop).map_err(|error| refused(session, target, &error))
}

/// Deletes all rows of a table, and all lines of it: what was there of both when it began, so that a load which commits
/// meanwhile keeps its rows and its line. Lines that this user may not delete stay.
///
/// # Errors
/// What the server says.
pub async fn empty(session: &Session, target: &Target) -> Result<(), Fault> {
    let table = target.quoted();
    match may_forget(session, target).await? {
        true => {
            change(session, target, &format!("WITH forgotten AS ({}) DELETE FROM {table}", forgetting(target))).await
        }
        false => session.run(&format!("DELETE FROM {table}")).await,
    }
}

/// Deletes the lines of a table that was not there any more. Those that this user may not delete stay.
///
/// # Errors
/// What the server says.
pub async fn forget(session: &Session, target: &Target) -> Result<(), Fault> {
    match may_forget(session, target).await? {
        true => change(session, target, &forgetting(target)).await,
        false => Ok(()),
    }
}

fn forgetting(target: &Target) -> String {
    format!("DELETE FROM {} WHERE loaded = $1", name(target))
}

async fn change(session: &Session, target: &Target, sql: &str) -> Result<(), Fault> {
    let changed = session.client().execute(sql, &[&target.table]).await;
    changed.map(drop).map_err(|error| session.fault(&error))
}

/// Whether there is one, and this user may delete lines. It is asked before: a statement that is refused ends the transaction.
async fn may_forget(session: &Session, target: &Target) -> Result<bool, Fault> {
    let sql = "SELECT count(*) > 0 FROM (SELECT to_regclass($1)::oid AS ledger) AS found
        WHERE has_table_privilege(ledger, 'SELECT') AND has_table_privilege(ledger, 'DELETE')";
    let asked = session.client().query_one(sql, &[&name(target)]).await;
    Ok(asked.map_err(|error| session.fault(&error))?.get(0))
}

fn refused(session: &Session, target: &Target, error: &Error) -> Fault {
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => target.written_meanwhile(),
        _ => session.fault(error),
    }
}
