//! Which columns a query gives. Declared types are told without running it, and what a column is cast to by its text; for
//! others the first rows are read, for a short while.

use super::form::{Form, Seen};
use super::open::{Open, bound};
use crate::options::Options;
use arrow::datatypes::{Field, Schema, SchemaRef};
use flight_common::{Fault, FaultKind};
use rusqlite::params_from_iter;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Rows that tell what a column holds whose type nothing tells.
const SAMPLE: usize = 1000;
/// How long they are waited for: a sum gives its one row when it has read all that there is.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the file is asked to plan a query that may run for `timeout`.
pub fn patience(timeout: Duration) -> Duration {
    PATIENCE.min(timeout)
}

/// The columns of the query.
///
/// # Errors
/// What SQLite says of it; [`FaultKind::BadSchema`] for two columns of one name, and for one whose first rows have no type
/// in common; [`FaultKind::BadParams`] for first rows that do not come.
pub fn describe(open: &Open, options: &Options) -> Result<(SchemaRef, Vec<Form>), Fault> {
    let columns = told(open, options)?;
    let mut names = HashSet::new();
    if let Some((name, _)) = columns.iter().find(|(name, _)| !names.insert(name)) {
        return Err(refuse(name, "there are two of this name", "give one of them another name with AS"));
    }
    let untold: Vec<&str> = columns.iter().filter(|(_, form)| form.is_none()).map(|(name, _)| name.as_str()).collect();
    let sampled = match untold[..] {
        [] => Vec::new(),
        _ => sampled(open, options, columns.len()).map_err(|fault| match fault.kind() {
            FaultKind::TimedOut => too_slow(&untold, options),
            _ => fault,
        })?,
    };
    let form = |(place, (name, told)): (usize, (String, Option<Form>))| {
        let form = told.or_else(|| sampled.get(place)?.form());
        let help = "give it a type in the query: CAST(x AS TEXT), or CAST(x AS REAL)";
        form.map(|form| (Field::new(&name, form.data_type(), true), form))
            .ok_or_else(|| refuse(&name, "its first rows hold values that have no type in common", help))
    };
    let columns = columns.into_iter().enumerate().map(form).collect::<Result<Vec<_>, Fault>>()?;
    let (fields, forms): (Vec<Field>, Vec<Form>) = columns.into_iter().unzip();
    Ok((Arc::new(Schema::new(fields)), forms))
}

/// The columns, each with its form if it has a declared type, or is cast to one.
fn told(open: &Open, options: &Options) -> Result<Vec<(String, Option<Form>)>, Fault> {
    let statement = open.prepare(options)?;
    let columns = statement.columns();
    // Where the text lists other columns than there are, it is not understood.
    let casts = if options.told.len() == columns.len() { &options.told[..] } else { &[] };
    let cast = |place: usize| casts.get(place)?.as_deref().and_then(Form::cast);
    let form = |(place, column): (usize, &rusqlite::Column<'_>)| {
        (column.name().to_owned(), column.decl_type().and_then(Form::declared).or_else(|| cast(place)))
    };
    Ok(columns.iter().enumerate().map(form).collect())
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

/// The fault of a query whose types only its rows tell, if these do not come. They would not come another time either.
fn too_slow(untold: &[&str], options: &Options) -> Fault {
    let (first, names) = (untold.first().copied().unwrap_or_default(), untold.join("\", \""));
    let waited = humantime::format_duration(patience(options.timeout));
    let message = format!("the types of \"{names}\" are those of the first rows, which did not come within {waited}");
    Fault::bad_params(message.clone())
        .column(first)
        .help("cast each in the query, by which its type is told before it runs: CAST(sum(x) AS REAL) AS total")
        .violation("/query", message)
}

fn refuse(name: &str, what: &str, help: &str) -> Fault {
    let message = format!("column \"{name}\": {what}");
    Fault::bad_schema(message.clone()).column(name).help(help).violation("/query", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_rows_are_waited_for_no_longer_than_the_query_may_run() {
        let seconds = |timeout| patience(Duration::from_secs(timeout)).as_secs();
        assert_eq!((seconds(3600), seconds(2)), (30, 2));
    }
}
