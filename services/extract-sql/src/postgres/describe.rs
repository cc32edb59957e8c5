//! Which columns a query gives: the server prepares it and tells, without running it.

use super::piece::Layout;
use super::types::form;
use crate::options::Options;
use arrow::datatypes::{Field, Schema};
use databases::postgres::Session;
use flight_common::{Fault, FaultKind};
use std::collections::HashSet;
use std::sync::Arc;
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
    let mut names = HashSet::new();
    let (mut fields, mut forms, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for column in columns {
        let name = column.name();
        if !names.insert(name) {
            wrong.push((name, "there are two of this name".to_owned(), "give one of them another name with AS"));
        }
        match form(column.type_(), column.type_modifier()) {
            Ok(form) => {
                fields.push(Field::new(name, form.data_type(), true));
                forms.push(form);
            }
            Err(why) => wrong.push((name, why.what, why.help)),
        }
    }
    let Some((first, _, help)) = wrong.first() else {
        return Ok(Layout { schema: Arc::new(Schema::new(fields)), forms });
    };
    let all: Vec<String> = wrong.iter().map(|(name, what, _)| format!("column \"{name}\": {what}")).collect();
    let message = all.join("; ");
    Err(Fault::bad_schema(message.clone()).column(*first).help(*help).violation("/query", message))
}

/// Refuses a query that gives other columns than it was planned with.
///
/// # Errors
/// [`FaultKind::BadData`], or as [`describe`].
pub async fn check_unchanged(session: &Session, options: &Options, planned: &Layout) -> Result<(), Fault> {
    let now = describe(session, options).await.map_err(|fault| match fault.kind() {
        FaultKind::BadParams | FaultKind::BadSchema => {
            Fault::bad_data(format!("the source changed since it was planned: {}", fault.message()))
                .help("run the pipeline again")
        }
        _ => fault,
    })?;
    if now.schema == planned.schema && now.forms == planned.forms {
        return Ok(());
    }
    let (was, is) = (columns(planned), columns(&now));
    Err(Fault::bad_data(format!("the source changed since it was planned: it gave {was}, it gives {is}"))
        .help("run the pipeline again"))
}

/// The columns in words: `id Int32, name Utf8`.
pub fn columns(layout: &Layout) -> String {
    let fields = layout.schema.fields().iter();
    fields.map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>().join(", ")
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
