//! Which columns a query gives. Declared types are told without running it; for a column without one the first rows are
//! read.

use super::form::{Form, Seen};
use super::open::{Open, bound};
use crate::options::Options;
use arrow::datatypes::{Field, Schema, SchemaRef};
use flight_common::Fault;
use rusqlite::params_from_iter;
use std::collections::HashSet;
use std::sync::Arc;

/// Rows that tell what a column without a declared type holds.
const SAMPLE: usize = 1000;

/// The columns of the query.
///
/// # Errors
/// What SQLite says of it; [`flight_common::FaultKind::BadSchema`] for two columns of one name, and for one whose first
/// rows have no type in common.
pub fn describe(open: &Open, options: &Options) -> Result<(SchemaRef, Vec<Form>), Fault> {
    let statement = open.prepare(options)?;
    let columns: Vec<(String, Option<Form>)> = statement
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), column.decl_type().and_then(Form::declared)))
        .collect();
    drop(statement);
    let mut names = HashSet::new();
    if let Some((name, _)) = columns.iter().find(|(name, _)| !names.insert(name)) {
        return Err(refuse(name, "there are two of this name", "give one of them another name with AS"));
    }
    let sampled = match columns.iter().all(|(_, form)| form.is_some()) {
        true => Vec::new(),
        false => sampled(open, options, columns.len())?,
    };
    let form = |(place, (name, declared)): (usize, (String, Option<Form>))| {
        let form = declared.or_else(|| sampled.get(place)?.form());
        let help = "give it a type in the query: CAST(x AS TEXT), or CAST(x AS REAL)";
        form.map(|form| (Field::new(&name, form.data_type(), true), form))
            .ok_or_else(|| refuse(&name, "its first rows hold values that have no type in common", help))
    };
    let columns = columns.into_iter().enumerate().map(form).collect::<Result<Vec<_>, Fault>>()?;
    let (fields, forms): (Vec<Field>, Vec<Form>) = columns.into_iter().unzip();
    Ok((Arc::new(Schema::new(fields)), forms))
}

fn sampled(open: &Open, options: &Options, columns: usize) -> Result<Vec<Seen>, Fault> {
    let mut statement = open.prepare(options)?;
    let mut rows = statement.query(params_from_iter(bound(&options.values)?)).map_err(|error| open.fault(&error))?;
    let mut seen = vec![Seen::default(); columns];
    for _ in 0..SAMPLE {
        let Some(row) = rows.next().map_err(|error| open.fault(&error))? else { break };
        for (place, seen) in seen.iter_mut().enumerate() {
            seen.add(row.get_ref(place).map_err(|error| open.fault(&error))?.data_type());
        }
    }
    Ok(seen)
}

fn refuse(name: &str, what: &str, help: &str) -> Fault {
    let message = format!("column \"{name}\": {what}");
    Fault::bad_schema(message.clone()).column(name).help(help).violation("/query", message)
}
