//! Which columns a query gives: the server prepares it and tells, without running it.

use super::piece::Layout;
use super::types::form;
use super::values::Bound;
use crate::options::Options;
use crate::trouble::of_query;
use crate::{columns, given};
use databases::postgres::Session;
use flight_common::{Fault, FaultKind, TextPlace};
use futures::future::join_all;
use serde_json::Value;
use tokio_postgres::error::{ErrorPosition, SqlState};
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{Column, Error};

/// Prepares the query, and reads which columns it gives. All may hold nulls: what a query gives is never known not to.
///
/// # Errors
/// What the server says of the query; [`FaultKind::BadSchema`] for columns that cannot be taken, all of them told at once;
/// [`FaultKind::BadParams`] for values that do not fit its placeholders.
pub async fn describe(session: &Session, options: &Options) -> Result<Layout, Fault> {
    let prepared = session.client().prepare(&options.query).await;
    let statement = prepared.map_err(|error| said(session, &error, &options.query))?;
    let types = statement.params();
    let wanted: Vec<String> =
        types.iter().enumerate().map(|(place, expected)| format!("${} ({})", place + 1, spelled(expected))).collect();
    given::check_count(&wanted, options.values.len())?;
    check_values(session, types, &options.values).await?;
    layout(statement.columns())
}

/// A type as a cast names it.
fn spelled(data_type: &Type) -> String {
    match data_type.kind() {
        Kind::Array(item) => format!("{}[]", item.name()),
        _ => data_type.name().to_owned(),
    }
}

/// Has the server read each value as the type that it has in the query, so that a bad one is told by its place. They are
/// asked for all at once, within the transaction: after a bad one it refuses the others for that alone.
async fn check_values(session: &Session, types: &[Type], values: &[Value]) -> Result<(), Fault> {
    let bound: Vec<Bound<'_>> = values.iter().map(Bound).collect();
    let asked: Vec<[(&(dyn ToSql + Sync), Type); 1]> =
        bound.iter().zip(types).map(|(value, expected)| [(value as _, expected.clone())]).collect();
    let read = asked.iter().map(|value| session.client().query_typed("SELECT $1 IS NULL", value));
    let read = join_all(read).await;
    let is_own = |error: &Error| error.code() != Some(&SqlState::IN_FAILED_SQL_TRANSACTION);
    let refused = read.into_iter().enumerate().find_map(|(place, read)| Some((place, read.err().filter(is_own)?)));
    refused.map_or(Ok(()), |(place, error)| Err(bad_value(place, &types[place], session.fault(&error))))
}

/// The fault of a value that the server does not read as the type that it has in the query.
fn bad_value(place: usize, expected: &Type, said: Fault) -> Fault {
    if !matches!(said.kind(), FaultKind::BadData | FaultKind::BadParams) {
        return said;
    }
    let (number, name) = (place + 1, spelled(expected));
    let message = format!("params: the value for ${number} is no {name}: {}", said.message());
    Fault::bad_params(message.clone())
        .help(format!("give a value that PostgreSQL reads as {name}, or another type in the query: ${number}::text"))
        .violation(format!("/params/{place}"), message)
}

fn layout(columns: &[Column]) -> Result<Layout, Fault> {
    let told = columns.iter().map(|column| {
        let form = form(column.type_(), column.type_modifier());
        (column.name(), form.map(|form| (form.data_type(), form)))
    });
    columns::taken(told).map(|(schema, forms)| Layout { schema, forms })
}

/// Refuses a query that gives other columns than it was planned with.
///
/// # Errors
/// [`FaultKind::BadData`], or as [`describe`].
pub async fn check_unchanged(session: &Session, options: &Options, planned: &Layout) -> Result<(), Fault> {
    let now = describe(session, options).await.map_err(columns::good_before)?;
    match now.schema == planned.schema && now.forms == planned.forms {
        true => Ok(()),
        false => Err(columns::changed(&planned.schema, &now.schema)),
    }
}

/// What the server says of the query, with its place in it, if `query` is what it was asked.
pub fn said(session: &Session, error: &Error, query: &str) -> Fault {
    let fault = session.fault(error);
    if !matches!(fault.kind(), FaultKind::BadParams | FaultKind::Denied | FaultKind::BadData) {
        return fault;
    }
    let place = match error.as_db_error().and_then(|said| said.position()) {
        Some(ErrorPosition::Original(at)) if !query.is_empty() => {
            let byte = query.char_indices().nth((*at as usize).saturating_sub(1)).map_or(query.len(), |(byte, _)| byte);
            Some(TextPlace::of(query, byte))
        }
        _ => None,
    };
    let told = of_query(&fault, place);
    match error.code() {
        Some(&SqlState::INDETERMINATE_DATATYPE) => {
            told.help("each of $1, $2, … stands in the query, with a type that is plain or given there: $1::int")
        }
        _ => told,
    }
}
