//! All of a load in one transaction. SQLite blocks while it writes, so a thread of its own does it; the rows come to it over
//! a channel, at whose end they must be told to be all of them.

use super::cells::{self, Refused};
use super::table::Table;
use crate::ledger::{COLUMNS, LEDGER, Rows};
use crate::params::Mode;
use crate::plain::Plain;
use crate::target::Target;
use arrow::array::RecordBatch;
use databases::{Address, sqlite};
use flight_common::{BatchStream, Fault, StepContext};
use futures::StreamExt;
use rusqlite::{Connection, Error, params};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::spawn_blocking;

/// Where the rows of an upsert wait.
const STAGING: &str = "temp.quiver_staging";
/// How long another writer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the thread is told.
enum Told {
    Rows(RecordBatch),
    /// These were all.
    End,
}

/// Writes all rows, and tells how many there were.
///
/// # Errors
/// The input's fault, or what SQLite says. Then the table is as it was, and a file that was not there is not there.
pub async fn load(
    address: &Address,
    target: &Target,
    plain: &Plain,
    table: Table,
    mut input: BatchStream,
    context: &StepContext,
) -> Result<u64, Fault> {
    // Nobody is kept from writing while nothing has come.
    let first = input.next().await.transpose()?;
    let (sender, receiver) = channel(1);
    let work = Work {
        address: address.clone(),
        target: target.clone(),
        plain: plain.clone(),
        table,
        context: context.clone(),
    };
    let writer = spawn_blocking(move || work.write(receiver));
    let mut fault = None;
    let mut next = first.map(Ok);
    loop {
        let told = match next {
            Some(Ok(batch)) => Told::Rows(batch),
            None => Told::End,
            Some(Err(failed)) => {
                fault = Some(failed);
                break;
            }
        };
        let end = matches!(told, Told::End);
        // Who has stopped listening says why below.
        if sender.send(told).await.is_err() || end {
            break;
        }
        next = input.next().await;
    }
    drop(sender);
    let written = writer.await.map_err(Fault::internal)?;
    fault.map_or(written, Err)
}

/// What there is to do.
struct Work {
    address: Address,
    target: Target,
    plain: Plain,
    table: Table,
    context: StepContext,
}

impl Work {
    fn write(self, receiver: Receiver<Told>) -> Result<u64, Fault> {
        let root = &self.context.env.data_root;
        let (mut connection, made) = sqlite::open_for_writing(root, &self.address)?;
        let written = self.write_to(&mut connection, receiver);
        drop(connection);
        match written {
            Err(fault) if made => {
                sqlite::remove(root, &self.address)?;
                Err(fault)
            }
            written => written,
        }
    }

    fn write_to(&self, connection: &mut Connection, mut receiver: Receiver<Told>) -> Result<u64, Fault> {
        connection.busy_timeout(PATIENCE).map_err(|error| self.fault(&error))?;
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(|error| self.fault(&error))?;
        if Table::find(&transaction, &self.address, &self.target)? != self.table {
            return Err(self.target.changed());
        }
        let before = self.written_before(&transaction).map_err(|error| self.fault(&error))?;
        // Rows that are only to be compared wait too: in the table they would be there twice.
        let staged = self.target.mode == Mode::Upsert || before.is_some();
        self.prepare(&transaction, staged).map_err(|error| self.fault(&error))?;
        let into = if staged { STAGING } else { &self.target.quoted() };
        let rows = self.insert(&transaction, into, &mut receiver)?;
        if let Some((count, digest)) = before {
            let same = i64::try_from(rows.count) == Ok(count) && digest == rows.digest();
            return if same { Ok(rows.count) } else { Err(self.target.written_before()) };
        }
        self.finish(&transaction, &rows)?;
        transaction.commit().map_err(|error| self.fault(&error))?;
        Ok(rows.count)
    }

    /// What comes before the rows.
    fn prepare(&self, connection: &Connection, staged: bool) -> Result<(), Error> {
        let (target, make) = (&self.target, self.table.make(&self.target, &self.plain));
        let (name, columns) = (target.quoted(), target.column_list());
        if let Some(make) = make {
            connection.execute_batch(&make)?;
        }
        if self.is_noted() {
            connection.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {LEDGER} ({COLUMNS})"))?;
        }
        if target.mode == Mode::Replace {
            connection.execute_batch(&format!("DELETE FROM {name}"))?;
        }
        match staged {
            true => connection.execute_batch(&format!("CREATE TABLE {STAGING} AS SELECT {columns} FROM {name} LIMIT 0")),
            false => Ok(()),
        }
    }

    fn insert(&self, connection: &Connection, into: &str, receiver: &mut Receiver<Told>) -> Result<Rows, Fault> {
        let places = vec!["?"; self.target.columns.len()].join(", ");
        let sql = format!("INSERT INTO {into} ({}) VALUES ({places})", self.target.column_list());
        let mut statement = connection.prepare(&sql).map_err(|error| self.fault(&error))?;
        let mut rows = Rows::default();
        loop {
            match receiver.blocking_recv() {
                None => return Err(Fault::cancelled("the load was given up")),
                Some(Told::End) => return Ok(rows),
                Some(Told::Rows(batch)) => {
                    let before = rows.count;
                    let at = |fault: Fault| match fault.row_number() {
                        Some(row) => fault.row(before + row),
                        None => fault,
                    };
                    let columns = self.plain.apply(&batch).map_err(at)?;
                    cells::insert(&columns, &mut statement, &mut rows).map_err(|refused| match refused {
                        Refused::Sqlite(row, error) => self.fault(&error).row(before + row),
                        Refused::Fault(fault) => fault,
                    })?;
                }
            }
        }
    }

    /// What comes after the rows.
    fn finish(&self, connection: &Connection, rows: &Rows) -> Result<(), Fault> {
        let target = &self.target;
        if target.mode == Mode::Upsert {
            let bad: Option<String> = match connection.query_row(&target.bad_keys(STAGING), [], |row| row.get(0)) {
                Err(Error::QueryReturnedNoRows) => None,
                found => Some(found.map_err(|error| self.fault(&error))?),
            };
            if let Some(bad) = bad {
                return Err(target.bad_keys_fault(&bad));
            }
            let sql = format!("{}; DROP TABLE {STAGING}", target.upsert_from(STAGING));
            connection.execute_batch(&sql).map_err(|error| self.fault(&error))?;
        }
        if self.is_noted() {
            let sql = format!("INSERT INTO {LEDGER} (run, loaded, rows, digest) VALUES (?1, ?2, ?3, ?4)");
            let count = i64::try_from(rows.count).map_err(Fault::internal)?;
            let line = params![&*self.context.run_id, target.table, count, rows.digest()];
            connection.execute(&sql, line).map_err(|error| self.fault(&error))?;
        }
        Ok(())
    }

    /// How many rows an earlier attempt of this run has written, and which.
    fn written_before(&self, connection: &Connection) -> Result<Option<(i64, String)>, Error> {
        let there = connection.table_exists(None, LEDGER)?;
        if !self.is_noted() || !there {
            return Ok(None);
        }
        let sql = format!("SELECT rows, digest FROM {LEDGER} WHERE run = ?1 AND loaded = ?2");
        let line = params![&*self.context.run_id, self.target.table];
        match connection.query_row(&sql, line, |row| Ok((row.get(0)?, row.get(1)?))) {
            Err(Error::QueryReturnedNoRows) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Whether the ledger is kept: other modes are safe to repeat by themselves.
    fn is_noted(&self) -> bool {
        self.target.mode == Mode::Append && !self.context.run_id.is_empty()
    }

    fn fault(&self, error: &Error) -> Fault {
        sqlite::fault(error, &self.address)
    }
}
