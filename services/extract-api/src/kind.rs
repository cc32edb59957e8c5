//! What a column holds: a value of a type, a list of them, or JSON as text.

use arrow::datatypes::{DataType, Field};
use flight_common::values::types;
use std::sync::Arc;

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Values of a type.
    Plain(DataType),
    /// Lists of values of a type.
    List(DataType),
    /// Whatever stands there, as JSON text.
    Json,
}

impl Kind {
    /// Reads a name that a user wrote: `int64`, `list(string)`, `json`.
    ///
    /// # Errors
    /// What is wrong with it, and what to try.
    pub fn parse(name: &str) -> Result<Self, (String, String)> {
        let folded = name.trim().to_ascii_lowercase();
        if folded == "json" {
            return Ok(Self::Json);
        }
        let inner =
            folded.strip_prefix("list").map(str::trim_start).and_then(|rest| rest.strip_prefix(['(', '<', '[']));
        let inner = inner.and_then(|inner| inner.strip_suffix([')', '>', ']']));
        match inner {
            // A zone keeps its case.
            Some(inner) => {
                let end = name.trim_end().len() - 1;
                types::parse(&name[end - inner.len()..end]).map(Self::List)
            }
            None => types::parse(name).map(Self::Plain),
        }
    }

    /// The name under which [`Kind::parse`] knows it.
    pub fn name(&self) -> String {
        match self {
            Self::Plain(data_type) => types::name(data_type),
            Self::List(data_type) => format!("list({})", types::name(data_type)),
            Self::Json => "json".to_owned(),
        }
    }

    /// The Arrow type.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Plain(data_type) => data_type.clone(),
            Self::List(data_type) => DataType::List(Arc::new(Field::new_list_field(data_type.clone(), true))),
            Self::Json => DataType::Utf8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_the_name_it_is_shown_with() {
        for name in ["int64", "json", "list(string)", "list(decimal(10,2))", "list(timestamp[us, Europe/Berlin])"] {
            assert_eq!(Kind::parse(name).expect("a kind").name(), name);
        }
        assert_eq!(Kind::parse(" List<int64> "), Ok(Kind::List(DataType::Int64)));
        assert!(Kind::parse("list(strin)").expect_err("no type").1.contains("string"));
    }
}
