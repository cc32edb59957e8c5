//! Which columns a query gives: the server prepares it and tells, without running it.

use super::piece::Layout;
use super::types::form;
use crate::columns;
use crate::options::Options;
use databases::postgres::Session;
use flight_common::{Fault, FaultKind, TextPlace};
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::{Column, Error};

/// Prepares the query, and reads which columns it gives. All may hold nulls: what a query gives is never known not to.
///
/// # Errors
/// What the server says of the query; [`FaultKind::BadSchema`] for columns that cannot be taken, all of them told at once.
pub async fn describe(session: &Session, options: &Options) -> Result<Layout, Fault> {
    let prepared = session.client().prepare(&options.query).await;
    let statement = prepared.map_err(|error| said(session, &error, &options.query))?;
    let (wanted, given) = (statement.params().len(), options.values.len());
    if wanted != given {
        let what = format!("the query asks for {wanted} values (up to ${wanted}), and params has {given}");
        return Err(Fault::bad_params(what.clone()).violation("/params", what));
    }
    layout(statement.columns())
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
    let message = match place {
        Some(TextPlace { line, column }) => format!("{} (line {line}, column {column})", fault.message()),
        None => fault.message().to_owned(),
    };
    let told = Fault::new(fault.kind(), message.as_str()).violation("/query", message);
    let told = place.into_iter().fold(told, Fault::in_text);
    fault.help_text().into_iter().fold(told, Fault::help)
}
