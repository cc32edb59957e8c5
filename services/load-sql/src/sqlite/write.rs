//! All of a load in one transaction. SQLite blocks while it writes, so a thread of its own does it; the rows come to it over
//! a channel, at whose end they must be told to be all of them.
//!
//! SQLite lets one write at a time, and a file must not be there for a load that fails. So rows wait in a temporary table, and
//! the file is opened, or made, when all of them have come.

use super::cells::{self, Refused};
use super::table::Table;
use crate::ledger::{COLUMNS, Entry, LEDGER, Rows, Writer};
use crate::params::Mode;
use crate::plain::{Plain, count_nans};
use crate::target::Target;
use arrow::array::RecordBatch;
use databases::sqlite::Attached;
use databases::{Address, sqlite};
use flight_common::{BatchStream, Fault, StepContext};
use futures::StreamExt;
use rusqlite::{Connection, Error, params};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::spawn_blocking;

/// Where rows wait.
const STAGING: &str = "quiver_staging";
/// What the file is called beside it.
const PLACE: &str = "place";
/// How long whoever writes to the file is waited for: another load may have many rows to write, and indexes to keep.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How often is looked whether the load was given up meanwhile.
const GLANCE: Duration = Duration::from_secs(1);
/// How long those who read are waited for, once the rows are written.
const READERS: Duration = Duration::from_secs(60);

/// What the thread is told.
enum Told {
    Rows(RecordBatch),
    /// These were all.
    End,
}

/// Writes all rows, and tells how many there were.
///
/// # Errors
/// The input's fault, or what SQLite says. Then the table is as it was.
pub async fn load(
    address: &Address,
    target: &Target,
    plain: &Plain,
    table: Table,
    mut input: BatchStream,
    context: &StepContext,
) -> Result<u64, Fault> {
    let (sender, receiver) = channel(1);
    let work = Work {
        address: address.clone(),
        target: target.clone(),
        plain: plain.clone(),
        table,
        writer: Writer::of(target, context),
        context: context.clone(),
    };
    let writer = spawn_blocking(move || work.write(receiver));
    while let Some(batch) = input.next().await {
        // Who has stopped listening says why below.
        if sender.send(Told::Rows(batch?)).await.is_err() {
            break;
        }
    }
    // It may have stopped too.
    let _ = sender.send(Told::End).await;
    writer.await.map_err(Fault::internal)?
}

/// What there is to do.
struct Work {
    address: Address,
    target: Target,
    plain: Plain,
    table: Table,
    /// Who writes, if the ledger is kept.
    writer: Option<Writer>,
    context: StepContext,
}

impl Work {
    fn write(self, mut receiver: Receiver<Told>) -> Result<u64, Fault> {
        let connection = Connection::open_in_memory().map_err(|error| self.fault(&error))?;
        let rows = self.stage(&connection, &mut receiver)?;
        self.check_keys(&connection)?;
        let attached = self.begin(&connection, &receiver)?;
        let written = self.write_all(&connection, &attached, &rows);
        if written.is_err() {
            attached.take_back(&connection, &self.context.env.data_root, &self.address);
        }
        // Before the file may be opened otherwise.
        drop(connection);
        written
    }

    /// All that is done in the transaction.
    fn write_all(&self, connection: &Connection, attached: &Attached, rows: &Rows) -> Result<u64, Fault> {
        let table = self.current(connection)?;
        if let Some(before) = self.written_before(connection).map_err(|error| self.fault(&error))? {
            self.permitted()?;
            return self.target.repeated(&before, rows, table.is_there(), &self.context.meter);
        }
        if self.take_over(connection, rows)? {
            let count = self.target.repeated(&Entry::of(rows)?, rows, table.is_there(), &self.context.meter)?;
            self.commit(connection, attached)?;
            return Ok(count);
        }
        self.take(connection, &table)?;
        self.note(connection, rows)?;
        self.commit(connection, attached)?;
        Ok(rows.count)
    }

    /// Commits, if it may, to the file that is still there: another one may have been put in its place.
    fn commit(&self, connection: &Connection, attached: &Attached) -> Result<(), Fault> {
        self.permitted()?;
        attached.check(&self.context.env.data_root, &self.address)?;
        self.run(connection, "COMMIT")
    }

    /// Asks whether it may commit. This thread is there for what blocks.
    fn permitted(&self) -> Result<(), Fault> {
        Handle::current().block_on(self.context.permission.obtain()).map(drop)
    }

    /// Lets all rows wait, as they are: the columns have no types.
    fn stage(&self, connection: &Connection, receiver: &mut Receiver<Told>) -> Result<Rows, Fault> {
        let columns = self.target.column_list();
        self.run(connection, &format!("CREATE TEMP TABLE {STAGING} ({columns}); BEGIN"))?;
        let places = vec!["?"; self.target.columns.len()].join(", ");
        let sql = format!("INSERT INTO {STAGING} ({columns}) VALUES ({places})");
        let mut statement = connection.prepare(&sql).map_err(|error| self.fault(&error))?;
        let mut rows = Rows::default();
        loop {
            match receiver.blocking_recv() {
                None => return Err(Fault::cancelled("the load was given up")),
                Some(Told::End) => break,
                Some(Told::Rows(batch)) => {
                    let before = rows.count;
                    let at = |fault: Fault| match fault.row_number() {
                        Some(row) => fault.row(before + row),
                        None => fault,
                    };
                    let columns = self.plain.apply(&batch).map_err(at)?;
                    count_nans(&columns, &self.context.meter);
                    cells::insert(&columns, &mut statement, &mut rows).map_err(|refused| match refused {
                        Refused::Sqlite(row, error) => self.fault(&error).row(before + row),
                        Refused::Fault(fault) => fault,
                    })?;
                }
            }
        }
        self.run(connection, "COMMIT")?;
        Ok(rows)
    }

    /// Checks the keys of an upsert, while there need be no file.
    fn check_keys(&self, connection: &Connection) -> Result<(), Fault> {
        if self.target.mode != Mode::Upsert {
            return Ok(());
        }
        match connection.query_row(&self.target.bad_keys(STAGING, "text"), [], |row| row.get::<_, String>(0)) {
            Err(Error::QueryReturnedNoRows) => Ok(()),
            found => Err(self.target.bad_keys_fault(&found.map_err(|error| self.fault(&error))?)),
        }
    }

    /// Opens the file, waits until nobody else writes to it, and keeps others from it. Whoever gives the load up, which closes
    /// the channel, ends the wait.
    fn begin(&self, connection: &Connection, receiver: &Receiver<Told>) -> Result<Attached, Fault> {
        let patient = |time| connection.busy_timeout(time).map_err(|error| self.fault(&error));
        let deadline = Instant::now() + PATIENCE;
        let waits = || !receiver.is_closed() && Instant::now() < deadline;
        patient(GLANCE)?;
        let root = &self.context.env.data_root;
        let attached = sqlite::begin_writing(connection, root, &self.address, PLACE, &waits)?;
        patient(READERS)?;
        Ok(attached)
    }

    /// The table as it is now, which is as it was planned, or one that has come into being since and takes the rows.
    fn current(&self, connection: &Connection) -> Result<Table, Fault> {
        let now = Table::find(connection, PLACE, &self.address, &self.target)?;
        self.target.check_unchanged(now == self.table, self.table.is_there())?;
        now.check(&self.target, &self.plain)?;
        Ok(now)
    }

    /// Takes the rows into the table.
    fn take(&self, connection: &Connection, table: &Table) -> Result<(), Fault> {
        let place = Target { schema: Some(PLACE.to_owned()), ..self.target.clone() };
        if let Some(make) = table.make(&place, &self.plain) {
            self.run(connection, &make)?;
        }
        let (name, columns) = (place.quoted(), place.column_list());
        if place.mode == Mode::Upsert {
            return self.run(connection, &place.upsert_from(STAGING));
        }
        if place.mode == Mode::Replace {
            self.run(connection, &format!("DELETE FROM {name}"))?;
            self.forget(connection).map_err(|error| self.fault(&error))?;
        }
        let order = numbered_by(&place.columns).map(|number| format!(" ORDER BY {number}")).unwrap_or_default();
        self.run(connection, &format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {STAGING}{order}"))
    }

    /// Forgets all lines of a table whose rows are deleted: they are to be written again if their load is done again.
    fn forget(&self, connection: &Connection) -> Result<(), Error> {
        if !has_ledger(connection)? {
            return Ok(());
        }
        let sql = format!("DELETE FROM {PLACE}.{LEDGER} WHERE lower(loaded) = lower(?1)");
        connection.execute(&sql, [&self.target.table]).map(drop)
    }

    /// Notes in the ledger that this run has written these rows.
    fn note(&self, connection: &Connection, rows: &Rows) -> Result<(), Fault> {
        let Some(writer) = &self.writer else { return Ok(()) };
        self.run(connection, &format!("CREATE TABLE IF NOT EXISTS {PLACE}.{LEDGER} ({COLUMNS})"))?;
        let sql = format!("INSERT INTO {PLACE}.{LEDGER} (run, loaded, rows, digest) VALUES (?1, ?2, ?3, ?4)");
        let Entry { rows, digest } = Entry::of(rows)?;
        let line = params![writer.name, self.target.table, rows, digest];
        connection.execute(&sql, line).map(drop).map_err(|error| self.fault(&error))
    }

    /// What an earlier attempt of this run has written. Letters of either case are the same in the name of a table, as far as
    /// they are ASCII: so `lower` takes them.
    fn written_before(&self, connection: &Connection) -> Result<Option<Entry>, Error> {
        let Some(writer) = &self.writer else { return Ok(None) };
        if !has_ledger(connection)? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT rows, digest FROM {PLACE}.{LEDGER} WHERE run IN (?1, ?2) AND lower(loaded) = lower(?3) \
             ORDER BY run DESC LIMIT 1"
        );
        let line = params![writer.name, writer.run, self.target.table];
        match connection.query_row(&sql, line, |row| Ok(Entry { rows: row.get(0)?, digest: row.get(1)? })) {
            Err(Error::QueryReturnedNoRows) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Calls a line that tells of these rows by the load's own name, if it may have written it under another one: whether there
    /// was one.
    fn take_over(&self, connection: &Connection, rows: &Rows) -> Result<bool, Fault> {
        let Some(writer) = self.writer.as_ref().filter(|writer| !writer.former.is_empty()) else { return Ok(false) };
        let Entry { rows, digest } = Entry::of(rows)?;
        let take = || {
            if !has_ledger(connection)? {
                return Ok(false);
            }
            let sql = format!(
                "UPDATE {PLACE}.{LEDGER} SET run = ?1 \
                 WHERE run = ?2 AND lower(loaded) = lower(?3) AND rows = ?4 AND digest = ?5"
            );
            let mut statement = connection.prepare(&sql)?;
            for line in &writer.former {
                if statement.execute(params![writer.name, line, self.target.table, rows, digest])? > 0 {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        take().map_err(|error| self.fault(&error))
    }

    fn run(&self, connection: &Connection, sql: &str) -> Result<(), Fault> {
        connection.execute_batch(sql).map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &Error) -> Fault {
        sqlite::fault(error, &self.address)
    }
}

fn has_ledger(connection: &Connection) -> Result<bool, Error> {
    connection.table_exists(Some(PLACE), LEDGER)
}

/// What SQLite's own number of a row is called, by which it keeps them: a column of such a name hides it. If all are hidden, rows
/// come as they are kept.
fn numbered_by(columns: &[String]) -> Option<&'static str> {
    let is_hidden = |number: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(number));
    ["rowid", "_rowid_", "oid"].into_iter().find(|number| !is_hidden(number))
}
