//! Which columns stay.

use crate::params::{Missing, Params};
use arrow::datatypes::SchemaRef;
use flight_common::params::Wrong;
use flight_common::{Fault, columns};
use std::sync::Arc;

/// The columns that stay, by their place in the input.
pub struct Kept {
    /// Places in the input, in order.
    pub places: Vec<usize>,
    /// Their schema.
    pub schema: SchemaRef,
}

/// Looks the names up.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] for names that are no columns, unless those are to be ignored.
pub fn kept(params: &Params, input: &SchemaRef) -> Result<Kept, Fault> {
    let mut wrong = Wrong::default();
    let mut removed = Vec::new();
    for (name, pointer) in params.columns.placed("/columns") {
        match columns::find(input, name, &pointer) {
            Ok(place) => removed.push(place),
            Err(_) if params.missing == Missing::Ignore => {}
            Err(fault) => wrong.push(fault),
        }
    }
    wrong.into_result()?;
    let places: Vec<usize> = (0..input.fields().len()).filter(|place| !removed.contains(place)).collect();
    if places.is_empty() {
        return Err(Fault::bad_schema("no column would be left")
            .help("leave at least one column out of `columns`")
            .violation("/columns", "no column would be left"));
    }
    let schema = Arc::new(input.project(&places)?);
    Ok(Kept { places, schema })
}
