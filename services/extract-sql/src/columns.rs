//! Which columns a query gives, whatever database tells it; and that they are still the same when it runs.

use crate::trouble::Wrong;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::{Fault, FaultKind};
use std::collections::HashSet;
use std::sync::Arc;

/// A column by its name, and what it becomes: an Arrow type, and how its values are read.
pub type Told<'a, F> = (&'a str, Result<(DataType, F), Wrong>);

/// The schema of the columns, and how each is read. All may hold nulls: what a query gives is never known not to.
///
/// # Errors
/// [`FaultKind::BadSchema`] for columns that cannot be taken, all of them told at once.
pub fn taken<'a, F>(columns: impl Iterator<Item = Told<'a, F>>) -> Result<(SchemaRef, Vec<F>), Fault> {
    let mut names = HashSet::new();
    let (mut fields, mut forms, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for (name, told) in columns {
        if !names.insert(name) {
            wrong.push((name, "there are two of this name".to_owned(), "give one of them another name with AS"));
        }
        match told {
            Ok((data_type, form)) => {
                fields.push(Field::new(name, data_type, true));
                forms.push(form);
            }
            Err(why) => wrong.push((name, why.what, why.help)),
        }
    }
    let Some((first, _, help)) = wrong.first() else {
        return Ok((Arc::new(Schema::new(fields)), forms));
    };
    let all: Vec<String> = wrong.iter().map(|(name, what, _)| format!("column \"{name}\": {what}")).collect();
    let message = all.join("; ");
    Err(Fault::bad_schema(message.clone()).column(*first).help(*help).violation("/query", message))
}

/// The columns in words: `id Int32, name Utf8`.
pub fn shown(schema: &Schema) -> String {
    let fields = schema.fields().iter();
    fields.map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>().join(", ")
}

/// The fault for a query that gives other columns than it was planned with.
pub fn changed(was: &Schema, is: &Schema) -> Fault {
    let (was, is) = (shown(was), shown(is));
    Fault::bad_data(format!("the source changed since it was planned: it gave {was}, it gives {is}"))
        .help("run the pipeline again")
}

/// What is wrong with a query now, though it was good when it was planned.
pub fn good_before(fault: Fault) -> Fault {
    match fault.kind() {
        FaultKind::BadParams | FaultKind::BadSchema => {
            Fault::bad_data(format!("the source changed since it was planned: {}", fault.message()))
                .help("run the pipeline again")
        }
        _ => fault,
    }
}
