//! The rows of a query, as pieces.
//!
//! Without parameters they come by `COPY (…) TO STDOUT (FORMAT binary)`, the fastest way out of PostgreSQL; with
//! parameters, which `COPY` does not take, by the extended protocol, whose values have the same binary form.

use super::Query;
use super::describe::{check_unchanged, said};
use super::piece::Piece;
use super::values::Bound;
use crate::options::Options;
use crate::wait;
use async_stream::try_stream;
use bytes::Bytes;
use databases::postgres::Session;
use flight_common::{Fault, StepContext};
use futures::{Stream, StreamExt};
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio_postgres::RowStream;
use tokio_postgres::types::{FromSql, Type};

/// What `COPY` begins with: a signature, flags, and the length of what may follow (PostgreSQL's manual, COPY, Binary Format).
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// What it ends with, in the place of a row's number of fields.
const TRAILER: &[u8] = &(-1i16).to_be_bytes();

/// What a transaction sees.
#[derive(Clone, Copy)]
pub enum Isolation<'a> {
    /// Each statement what was committed before it.
    Statement,
    /// All statements what the first one saw.
    Transaction,
    /// What another transaction sees.
    Snapshot(&'a str),
}

/// Begins a transaction that cannot write and whose statements end in time. It may be idle: while ranges are read by others,
/// or while whoever takes the rows is slow.
///
/// # Errors
/// What the server says.
pub async fn begin(session: &Session, options: &Options, isolation: Isolation<'_>) -> Result<(), Fault> {
    let (level, snapshot) = match isolation {
        Isolation::Statement => ("READ COMMITTED", String::new()),
        Isolation::Transaction => ("REPEATABLE READ", String::new()),
        Isolation::Snapshot(id) => {
            ("REPEATABLE READ", format!("SET TRANSACTION SNAPSHOT {};", databases::quote::text(id)))
        }
    };
    let millis = options.timeout.as_millis();
    // A server that looks for its client while it computes (from 14 on) ends when we are killed.
    session
        .run(&format!(
            "BEGIN ISOLATION LEVEL {level} READ ONLY; {snapshot} SET LOCAL standard_conforming_strings = on; \
             SET LOCAL statement_timeout = {millis}; SET LOCAL idle_in_transaction_session_timeout = 0; \
             SELECT set_config(name, '2s', true) FROM pg_settings WHERE name = 'client_connection_check_interval'"
        ))
        .await
}

/// All rows of the query.
pub fn all(
    query: Arc<Query>,
    context: StepContext,
    total: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Piece, Fault>> + Send + 'static {
    try_stream! {
        let session = Session::open(&query.address).await?;
        waited(&query, async {
            begin(&session, &query.options, Isolation::Statement).await?;
            check_unchanged(&session, &query.options, &query.layout).await
        })
        .await??;
        let sql = query.options.query.clone();
        {
            let mut pieces = pin!(pieces(&session, &query, &sql, &context, &total));
            while let Some(piece) = pieces.next().await {
                yield piece?;
            }
        }
        finish(&query, session).await?;
    }
}

/// Ends the transaction and the connection.
///
/// # Errors
/// What the server says.
pub async fn finish(query: &Query, session: Session) -> Result<(), Fault> {
    waited(query, session.run("COMMIT")).await??;
    session.close();
    Ok(())
}

/// The rows of `sql`, which takes the values of the query.
pub fn pieces(
    session: &Session,
    query: &Query,
    sql: &str,
    context: &StepContext,
    total: &AtomicU64,
) -> impl Stream<Item = Result<Piece, Fault>> + Send {
    try_stream! {
        let mut piece = Piece::new(context.budget());
        let mut rows = pin!(rows(session, query, sql));
        while let Some(row) = rows.next().await {
            row?.put_into(&mut piece)?;
            if piece.is_full() {
                query.count(total, piece.rows())?;
                yield std::mem::replace(&mut piece, Piece::new(context.budget()));
            }
        }
        query.count(total, piece.rows())?;
        if piece.rows() > 0 {
            yield piece;
        }
    }
}

/// A row on its way into a piece.
enum Row {
    Copied(Bytes),
    Asked(tokio_postgres::Row),
}

impl Row {
    fn put_into(&self, piece: &mut Piece) -> Result<(), Fault> {
        match self {
            Self::Copied(bytes) => piece.push(bytes),
            Self::Asked(row) => {
                let field = |place| row.try_get::<usize, Field<'_>>(place).map(|field| field.0);
                let fields: Result<Vec<_>, _> = (0..row.len()).map(field).collect();
                piece.push_fields(fields.map_err(Fault::internal)?.into_iter());
            }
        }
        Ok(())
    }
}

/// The bytes of a field, whatever its type.
struct Field<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Field<'a> {
    fn from_sql(_type: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Some(bytes)))
    }

    fn from_sql_null(_type: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_type: &Type) -> bool {
        true
    }
}

fn rows(session: &Session, query: &Query, sql: &str) -> impl Stream<Item = Result<Row, Fault>> + Send {
    try_stream! {
        if query.options.values.is_empty() {
            let mut copied = pin!(copied(session, query, sql));
            while let Some(row) = copied.next().await {
                yield Row::Copied(row?);
            }
        } else {
            let asked = ask(session, query, sql).await?;
            let mut asked = pin!(asked);
            while let Some(row) = waited(query, asked.next()).await? {
                yield Row::Asked(row.map_err(|error| said(session, &error, sql))?);
            }
        }
    }
}

/// Asks `sql` with the values of the query.
///
/// # Errors
/// What the server says.
pub async fn ask(session: &Session, query: &Query, sql: &str) -> Result<RowStream, Fault> {
    let values: Vec<Bound<'_>> = query.options.values.iter().map(Bound).collect();
    let asked = async {
        let statement = session.client().prepare(sql).await?;
        session.client().query_raw(&statement, values).await
    };
    waited(query, asked).await?.map_err(|error| said(session, &error, sql))
}

/// The rows of `sql` as `COPY` gives them.
fn copied(session: &Session, query: &Query, sql: &str) -> impl Stream<Item = Result<Bytes, Fault>> + Send {
    // The query may end in a comment, though the guard cuts those off.
    let copy = format!("COPY ({sql}\n) TO STDOUT (FORMAT binary)");
    let (mut begun, mut ended) = (false, false);
    try_stream! {
        let messages = waited(query, session.client().copy_out(&copy)).await?;
        let messages = messages.map_err(|error| said(session, &error, ""))?;
        let mut messages = pin!(messages);
        while let Some(message) = waited(query, messages.next()).await? {
            let message = message.map_err(|error| said(session, &error, ""))?;
            let rows = if begun { message } else { after_header(&message)? };
            begun = true;
            match &rows[..] {
                [] => {}
                TRAILER => ended = true,
                _ => yield rows,
            }
        }
        if !ended {
            Err(Fault::upstream("the database stopped in the middle of the rows"))?;
        }
    }
}

fn after_header(message: &Bytes) -> Result<Bytes, Fault> {
    let strange = || Fault::upstream("the database sent something else than rows");
    let fixed = SIGNATURE.len() + 8;
    let rest = message.strip_prefix(SIGNATURE).ok_or_else(strange)?;
    let extension =
        rest.get(4..8).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes).ok_or_else(strange)?;
    let length = fixed + usize::try_from(extension).map_err(|_| strange())?;
    if message.len() < length {
        return Err(strange());
    }
    Ok(message.slice(length..))
}

/// Waits for an answer for as long as the query may take.
///
/// # Errors
/// [`flight_common::FaultKind::TimedOut`]
pub async fn waited<T>(query: &Query, answer: impl Future<Output = T>) -> Result<T, Fault> {
    wait::waited(&query.address, query.options.timeout, answer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_comes_behind_the_header() {
        let message = [SIGNATURE, &[0, 0, 0, 0, 0, 0, 0, 2, 9, 9, 0, 1]].concat();
        assert_eq!(&after_header(&message.into()).expect("a header")[..], [0, 1]);
        assert!(after_header(&Bytes::from_static(b"PGCOPY")).is_err());
        assert!(after_header(&Bytes::from([SIGNATURE, &[0, 0, 0, 0, 255, 0, 0, 0]].concat())).is_err());
    }
}
