//! Which columns a query gives: the server prepares it and tells, without running it.

use super::piece::Layout;
use super::types::form;
use crate::columns;
use crate::options::Options;
use databases::postgres::Session;
use flight_common::{Fault, FaultKind};
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
        Some(ErrorPosition::Original(at)) if !query.is_empty() => place(query, *at),
        _ => String::new(),
    };
    let message = format!("{}{place}", fault.message());
    let told = Fault::new(fault.kind(), message.clone()).violation("/query", message);
    match fault.help_text() {
        Some(help) => told.help(help),
        None => told,
    }
}

/// Where a character (counted from 1) stands.
fn place(query: &str, at: u32) -> String {
    let before: Vec<char> = query.chars().take((at as usize).saturating_sub(1)).collect();
    let line = before.iter().filter(|letter| **letter == '\n').count() + 1;
    let column = before.iter().rev().take_while(|letter| **letter != '\n').count() + 1;
    format!(" (line {line}, column {column})")
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_is_told_by_line_and_column() {
        assert_eq!(place("SELECT 1", 8), " (line 1, column 8)");
        assert_eq!(place("SELECT é,\n  x", 13), " (line 2, column 3)");
    }
}
