//! Columns named by parameters, and looked up by name with errors that show the nearest one.

use crate::fault::{Fault, Violation};
use crate::params::did_you_mean;
use arrow::datatypes::{DataType, Schema};
use schemars::JsonSchema;
use serde::Deserialize;

/// Column names, as a parameter.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ColumnList {
    /// `[a, b]`
    List(Vec<String>),
    /// `a, b`
    Text(String),
}

impl ColumnList {
    /// The names, without the white space around those of a text.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::List(names) => names.iter().map(String::as_str).collect(),
            Self::Text(text) => text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect(),
        }
    }

    /// The names, each with its JSON pointer, where `pointer` is that of the whole. Those of a text share its place.
    pub fn placed(&self, pointer: &str) -> Vec<(&str, String)> {
        let at = |place: usize| match self {
            Self::List(_) => format!("{pointer}/{place}"),
            Self::Text(_) => pointer.to_owned(),
        };
        self.names().into_iter().enumerate().map(|(place, name)| (name, at(place))).collect()
    }
}

/// The place of a column. Names are case-sensitive; of two equal ones the first is meant. `pointer` is the JSON
/// pointer of the parameter that names it.
///
/// # Errors
/// [`crate::FaultKind::BadSchema`] with the nearest name.
pub fn find(schema: &Schema, name: &str, pointer: &str) -> Result<usize, Fault> {
    if let Some(place) = schema.fields().iter().position(|field| field.name() == name) {
        return Ok(place);
    }
    let message = format!("no column \"{name}\"");
    let help = did_you_mean(name, schema.fields().iter().map(|field| field.name().as_str()));
    let violation = Violation::new(pointer, message.as_str()).help(help.clone());
    Err(Fault::bad_schema(message).column(name).help(help).with_violations(vec![violation]))
}

/// The fault for a column whose type a step cannot take. `wanted` says which it can: "a number".
pub fn wrong_type(name: &str, found: &DataType, wanted: &str, pointer: &str) -> Fault {
    let message = format!("column \"{name}\" is {found}, not {wanted}");
    Fault::bad_schema(message.clone()).column(name).violation(pointer, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_list_has_its_own_place() {
        let list = ColumnList::List(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(list.placed("/columns"), [("a", "/columns/0".to_owned()), ("b", "/columns/1".to_owned())]);
        let text = ColumnList::Text("a, b".to_owned());
        assert_eq!(text.placed("/columns"), [("a", "/columns".to_owned()), ("b", "/columns".to_owned())]);
    }
}
