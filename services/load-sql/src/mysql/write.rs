//! All of a load in one transaction: what is there of the rows is seen when it is committed, or never.

use super::ledger::Ledger;
use super::rows;
use super::session::{helped, session_for_loading};
use super::staging::{Staging, Tidy};
use super::table::Table;
use super::text;
use crate::ledger::{Entry, Rows, Writer};
use crate::lines::{Lines, begun, counted, printed};
use crate::params::Mode;
use crate::plain::{Plain, count_nans};
use crate::target::Target;
use crate::waiting::Waiting;
use databases::mysql::Session;
use databases::{Address, quote};
use flight_common::{BatchStream, Fault, StepContext};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use mysql_async::prelude::Queryable;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};

/// Lines under way.
type Printed = BoxStream<'static, Result<Lines, Fault>>;

/// Where the rows of an upsert wait: a table that ends with the connection.
const WAITING: &str = "quiver_staging";

/// How the transaction is kept apart that replaces rows, whatever the server is set to: once it has deleted the old ones nobody else
/// adds any, so that the lines it then finds in the ledger are theirs; and what it finds there it does not lock.
const REPLACING: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";

/// Writes all rows, and tells how many there were.
///
/// # Errors
/// The input's fault, or what the server says. Then the table is as it was.
pub async fn load(
    address: &Address,
    target: &Target,
    plain: &Plain,
    table: &Table,
    input: BatchStream,
    context: &StepContext,
) -> Result<u64, Fault> {
    let input = begun(input).await?;
    let writer = Writer::of(target, context);
    let load = Load { target, plain, planned: table, writer, staging: Staging::new(&table.database, target), context };
    let mut tidy = Tidy::new(address);
    let mut session = session_for_loading(address).await?;
    let written = load.write(&mut session, input, &mut tidy).await;
    match &written {
        Ok(_) => session.close().await,
        // The server is told to end what it is at.
        Err(_) => drop(session),
    }
    tidy.end(written.is_err()).await;
    written
}

/// What there is to do.
struct Load<'a> {
    target: &'a Target,
    plain: &'a Plain,
    /// The table as it was planned.
    planned: &'a Table,
    /// Who writes, if the ledger is kept.
    writer: Option<Writer>,
    staging: Staging,
    context: &'a StepContext,
}

impl Load<'_> {
    async fn write(&self, session: &mut Session, input: BatchStream, tidy: &mut Tidy) -> Result<u64, Fault> {
        let ledger = Ledger::new(&self.planned.database);
        if self.writer.is_some() {
            ledger.make(session).await?;
        }
        let table = self.current(session).await?;
        let mut lines = self.printed(input, &table).boxed();
        if let Some(writer) = &self.writer {
            lines = match self.repeated(session, &ledger, &table, writer, lines).await? {
                ControlFlow::Continue(lines) => lines,
                ControlFlow::Break(count) => return Ok(count),
            };
        }
        let into = self.into(session, tidy, &table).await?;
        let rows = self.fill(session, &into, &table, pin!(lines)).await?;
        if let Some(writer) = &self.writer {
            ledger.note(session, self.target, &into.table, writer, &rows).await?;
        }
        self.context.permission.obtain().await?;
        session.run("COMMIT").await?;
        if !table.is_there() {
            self.staging.publish(session).await?;
        }
        Ok(rows.count)
    }

    /// How many rows there are, if an earlier attempt of the run has written just these; else the rows, to be written.
    async fn repeated(
        &self,
        session: &mut Session,
        ledger: &Ledger<'_>,
        table: &Table,
        writer: &Writer,
        lines: Printed,
    ) -> Result<ControlFlow<u64, Printed>, Fault> {
        let StepContext { permission, meter, .. } = self.context;
        if let Some(before) = ledger.written_before(session, &self.target.table, writer).await? {
            let rows = counted(lines).await?;
            permission.obtain().await?;
            return self.target.repeated(&before, &rows, table.is_there(), meter).map(ControlFlow::Break);
        }
        let former = ledger.former(session, &self.target.table, writer).await?;
        if former.is_empty() {
            return Ok(ControlFlow::Continue(lines));
        }
        let waiting = Waiting::all(lines, self.context.space()).await?;
        let brought = Entry::of(waiting.rows())?;
        session.run("START TRANSACTION").await?;
        if !ledger.take_over(session, self.target, writer, &former, &brought).await? {
            // What it has looked for and not found is locked too: others could not note their lines.
            session.run("ROLLBACK").await?;
            return Ok(ControlFlow::Continue(waiting.lines().boxed()));
        }
        let count = self.target.repeated(&brought, waiting.rows(), table.is_there(), meter)?;
        permission.obtain().await?;
        session.run("COMMIT").await?;
        Ok(ControlFlow::Break(count))
    }

    /// The rows of the input as lines.
    fn printed(&self, input: BatchStream, table: &Table) -> impl Stream<Item = Result<Lines, Fault>> + Send + 'static {
        let (types, meter) = (table.types(self.target), self.context.meter.clone());
        let print = move |columns: &[_], names: &[String]| {
            count_nans(columns, &meter);
            text::lines(columns, names, &types)
        };
        printed(input, self.target, self.plain, self.context, print)
    }

    /// The table as it is now, which is as it was planned, or one that has come into being since and takes the rows. One that is
    /// not there is kept from others who would make it; one that has come into being is for all who wait.
    async fn current(&self, session: &mut Session) -> Result<Table, Fault> {
        let held = !self.planned.is_there() || self.staging.is_left(session).await?;
        if held {
            self.staging.hold(session).await?;
            self.staging.settle(session).await?;
        }
        let now = Table::find(session, self.target).await?;
        if held && now.is_there() {
            self.staging.let_go(session).await?;
        }
        self.target.check_unchanged(now == *self.planned, self.planned.is_there())?;
        now.check(self.target, self.plain)?;
        Ok(now)
    }

    /// Where rows are written: the table, or one that becomes it.
    async fn into(&self, session: &mut Session, tidy: &mut Tidy, table: &Table) -> Result<Target, Fault> {
        if table.is_there() {
            return Ok(Target { schema: Some(table.database.clone()), ..self.target.clone() });
        }
        tidy.arm(&self.staging);
        self.staging.make(session, self.plain).await?;
        Ok(self.staging.target().clone())
    }

    /// Writes the rows, in a transaction that is left open.
    async fn fill<L>(
        &self,
        session: &mut Session,
        into: &Target,
        table: &Table,
        lines: Pin<&mut L>,
    ) -> Result<Rows, Fault>
    where
        L: Stream<Item = Result<Lines, Fault>> + Send,
    {
        let (types, name) = (table.types(self.target), into.quoted());
        let waiting = Target { table: WAITING.to_owned(), ..into.clone() }.quoted();
        let (upsert, columns) = (self.target.mode == Mode::Upsert, self.target.column_list());
        if upsert {
            let like =
                format!("CREATE TEMPORARY TABLE {waiting} ENGINE=InnoDB AS SELECT {columns} FROM {name} LIMIT 0");
            let right =
                "an upsert needs the right to make temporary tables: GRANT CREATE TEMPORARY TABLES ON the database";
            session.run(&like).await.map_err(|fault| helped(fault, right))?;
        }
        let ledger = Ledger::new(&self.planned.database);
        let replaces = self.target.mode == Mode::Replace;
        let empties = replaces && table.is_there();
        let forgets = replaces && ledger.is_there(session).await?;
        if empties {
            self.staging.hold_rows(session).await?;
        }
        if replaces {
            session.run(REPLACING).await?;
        }
        session.run("START TRANSACTION").await?;
        // Its readers see the old rows until the new ones are there.
        if empties {
            session.run(&format!("DELETE FROM {name}")).await?;
        }
        if forgets {
            ledger.emptied(session, &self.target.table).await?;
        }
        let statement = rows::statement(if upsert { &waiting } else { &name }, self.target, self.plain, &types);
        let rows = rows::send(session, &statement, self.target, self.plain, lines).await?;
        if upsert {
            self.merge(session, &name, &waiting, table).await?;
        }
        Ok(rows)
    }

    /// Puts the rows that wait in the place of those with the same keys. Not by `ON DUPLICATE KEY`: that would also take a row
    /// for the same that has the value of another unique index. The index is named: a server that has not yet counted the rows of
    /// a table takes it for a small one, and would read all of it for each row.
    async fn merge(&self, session: &mut Session, name: &str, waiting: &str, table: &Table) -> Result<(), Fault> {
        let asked = session.conn().query_first(self.target.bad_keys(waiting, "char")).await;
        let bad: Option<String> = asked.map_err(|error| session.fault(&error))?;
        if let Some(bad) = bad {
            return Err(self.target.bad_keys_fault(&bad));
        }
        let keys = self.target.keys.iter().map(|key| quote::double(key));
        let same: Vec<String> = keys.map(|key| format!("t.{key} = s.{key}")).collect();
        let same = same.join(" AND ");
        let index = if table.is_there() { table.index(session, self.target).await? } else { None };
        let index = index.map(|index| format!(" FORCE INDEX ({})", quote::double(&index))).unwrap_or_default();
        let others = self.target.columns.iter().filter(|column| !self.target.keys.contains(column));
        let set: Vec<String> =
            others.map(|column| quote::double(column)).map(|column| format!("t.{column} = s.{column}")).collect();
        if !set.is_empty() {
            session
                .run(&format!(
                    "UPDATE {waiting} AS s STRAIGHT_JOIN {name} AS t{index} ON {same} SET {}",
                    set.join(", ")
                ))
                .await?;
        }
        let taken: Vec<String> =
            self.target.columns.iter().map(|column| format!("s.{}", quote::double(column))).collect();
        let key = quote::double(&self.target.keys[0]);
        let insert = format!(
            "INSERT INTO {name} ({columns}) SELECT {taken} FROM {waiting} AS s LEFT JOIN {name} AS t{index} ON {same} \
             WHERE t.{key} IS NULL",
            columns = self.target.column_list(),
            taken = taken.join(", ")
        );
        session.run(&insert).await
    }
}
