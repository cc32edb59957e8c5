//! All of a load in one transaction: what is there of the rows is seen when it is committed, or never.

use super::ledger;
use super::table::Table;
use super::text;
use crate::ledger::{Entry, Rows, Writer};
use crate::lines::{Lines, begun, counted, printed};
use crate::params::Mode;
use crate::plain::Plain;
use crate::target::Target;
use crate::waiting::Waiting;
use bytes::Bytes;
use databases::Address;
use databases::postgres::Session;
use flight_common::{BatchStream, Fault, StepContext};
use futures::stream::BoxStream;
use futures::{SinkExt, Stream, StreamExt};
use std::ops::ControlFlow;
use std::pin::pin;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use twox_hash::XxHash3_64;

/// Lines under way.
type Printed = BoxStream<'static, Result<Lines, Fault>>;

/// Where the rows of an upsert wait.
const STAGING: &str = "quiver_staging";
/// What holds within the transaction. Who holds the table is not waited for without end. What another load commits while it is
/// waited for must be seen, whatever the database would have transactions see.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
                     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
                     SET LOCAL lock_timeout = '60s'";
/// Waits, under a lock of this number, for a load that makes the table: it may have many rows to write before it commits, and
/// failing would not make it faster. What comes after is waited for as shortly as before.
const WAIT: &str = "SAVEPOINT waiting; SET LOCAL lock_timeout = '1h'; SELECT pg_advisory_xact_lock($1); \
                    SET LOCAL lock_timeout = '60s'";
/// Gives back the lock that was waited for.
const LET_GO: &str = "ROLLBACK TO SAVEPOINT waiting; RELEASE SAVEPOINT waiting";
/// The locks under which the rows of a table are replaced: with the table's oid in the lower half.
const REPLACING: i64 = 0x7175_6976 << 32;

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
    let session = Session::open(address).await?;
    let writer = Writer::of(target, context);
    if writer.is_some() {
        ledger::make(&session, target).await?;
    }
    session.run(BEGIN).await?;
    let table = &current(&session, target, plain, table).await?;
    let types = table.types(target);
    let print = move |columns: &[_], names: &[String]| text::lines(columns, names, &types);
    let mut lines = printed(input, target, plain, context, print).boxed();
    if let Some(writer) = &writer {
        lines = match repeated(&session, target, table, writer, lines, context).await? {
            ControlFlow::Continue(lines) => lines,
            ControlFlow::Break(count) => {
                session.close();
                return Ok(count);
            }
        };
    }
    prepare(&session, target, plain, table).await?;
    let into = if target.mode == Mode::Upsert { STAGING } else { &target.quoted() };
    let rows = copy(&session, into, target, lines).await?;
    if target.mode == Mode::Upsert {
        upsert(&session, target).await?;
    }
    if let Some(writer) = &writer {
        ledger::note(&session, target, writer, &rows).await?;
    }
    context.permission.obtain().await?;
    session.run("COMMIT").await?;
    session.close();
    Ok(rows.count)
}

/// How many rows there are, if an earlier attempt of the run has written just these; else the rows, to be written.
async fn repeated(
    session: &Session,
    target: &Target,
    table: &Table,
    writer: &Writer,
    lines: Printed,
    context: &StepContext,
) -> Result<ControlFlow<u64, Printed>, Fault> {
    if let Some(before) = ledger::written_before(session, target, writer).await? {
        let rows = counted(lines).await?;
        context.permission.obtain().await?;
        return target.repeated(&before, &rows, table.is_there(), &context.meter).map(ControlFlow::Break);
    }
    let former = ledger::former(session, target, writer).await?;
    if former.is_empty() {
        return Ok(ControlFlow::Continue(lines));
    }
    let waiting = Waiting::all(lines, context.space()).await?;
    let brought = Entry::of(waiting.rows())?;
    if !ledger::take_over(session, target, writer, &former, &brought).await? {
        return Ok(ControlFlow::Continue(waiting.lines().boxed()));
    }
    let count = target.repeated(&brought, waiting.rows(), table.is_there(), &context.meter)?;
    context.permission.obtain().await?;
    session.run("COMMIT").await?;
    Ok(ControlFlow::Break(count))
}

/// The table as it is now, which is as it was planned, or one that has come into being since and takes the rows. One that is
/// not there is kept from others who would make it; one that has come into being is for all who wait.
async fn current(session: &Session, target: &Target, plain: &Plain, planned: &Table) -> Result<Table, Fault> {
    if !planned.is_there() {
        let lock = XxHash3_64::oneshot(target.quoted().as_bytes()).cast_signed();
        session.run(&WAIT.replace("$1", &lock.to_string())).await?;
    }
    let now = Table::find(session, target).await?;
    if !planned.is_there() && now.is_there() {
        session.run(LET_GO).await?;
    }
    target.check_unchanged(now == *planned, planned.is_there())?;
    now.check(target, plain)?;
    Ok(now)
}

/// What comes before the rows.
async fn prepare(session: &Session, target: &Target, plain: &Plain, table: &Table) -> Result<(), Fault> {
    let make = table.make(target, plain);
    let made = make.is_some();
    if let Some(make) = make {
        session.client().batch_execute(&make).await.map_err(|error| match error.code() {
            // The second: of two that are made at the same moment.
            Some(&SqlState::DUPLICATE_TABLE | &SqlState::UNIQUE_VIOLATION) => target.changed(),
            _ => session.fault(&error),
        })?;
    }
    let (name, columns) = (target.quoted(), target.column_list());
    match target.mode {
        // Its readers see the old rows until the new ones are there.
        Mode::Replace if !made => {
            hold_rows(session, &name).await?;
            ledger::empty(session, target).await
        }
        Mode::Replace => ledger::forget(session, target).await,
        Mode::Upsert => {
            let sql =
                format!("CREATE TEMP TABLE {STAGING} ON COMMIT DROP AS SELECT {columns} FROM {name} WITH NO DATA");
            session.run(&sql).await
        }
        Mode::Append => Ok(()),
    }
}

/// Waits until no other load replaces the rows of this table: a `DELETE` that waits for the old rows alone does not see those
/// that have come into their place.
async fn hold_rows(session: &Session, name: &str) -> Result<(), Fault> {
    let sql = "SELECT pg_advisory_xact_lock($1 | to_regclass($2)::oid::bigint)";
    let held = session.client().execute(sql, &[&REPLACING, &name]).await;
    held.map(drop).map_err(|error| session.fault(&error))
}

async fn copy(
    session: &Session,
    into: &str,
    target: &Target,
    lines: impl Stream<Item = Result<Lines, Fault>>,
) -> Result<Rows, Fault> {
    let sql = format!("COPY {into} ({}) FROM STDIN (FORMAT text, ENCODING 'UTF8')", target.column_list());
    let sink = session.client().copy_in::<_, Bytes>(&sql).await.map_err(|error| session.fault(&error))?;
    let (mut sink, mut lines) = (pin!(sink), pin!(lines));
    let mut rows = Rows::default();
    while let Some(piece) = lines.next().await {
        let Lines { text, rows: more } = piece?;
        rows.merge(more);
        if let Err(error) = sink.send(Bytes::from(text)).await {
            // What the server said is told when it is asked for the end.
            let said = sink.as_mut().finish().await.err().unwrap_or(error);
            return Err(refused(session, &said));
        }
    }
    sink.as_mut().finish().await.map_err(|error| refused(session, &error))?;
    Ok(rows)
}

/// The fault of a row that the server does not take. It tells where: `COPY t, line 3, column a: "x"`.
fn refused(session: &Session, error: &Error) -> Fault {
    let mut fault = session.fault(error);
    let Some(place) = error.as_db_error().and_then(|said| said.where_()) else { return fault };
    let between = |begin: &str, end: &[char]| {
        let (_, rest) = place.split_once(begin)?;
        rest.split(end).next().map(str::to_owned)
    };
    if let Some(row) = between(", line ", &[',', ':', '\n']).and_then(|row| row.trim().parse().ok()) {
        fault = fault.row(row);
    }
    if let Some(column) = between(", column ", &[':', '\n']) {
        fault = fault.column(column);
    }
    fault
}

async fn upsert(session: &Session, target: &Target) -> Result<(), Fault> {
    let said = |error| session.fault(&error);
    if let Some(row) = session.client().query_opt(&target.bad_keys(STAGING, "text"), &[]).await.map_err(said)? {
        return Err(target.bad_keys_fault(row.get(0)));
    }
    session.run(&target.upsert_from(STAGING)).await
}
