//! A value, or a word of the query, that cannot be taken: what it is, where it stands, and what to try.

use flight_common::{Fault, TextPlace};

/// What is wrong with the query, told with its place there.
pub fn of_query(said: &Fault, place: Option<TextPlace>) -> Fault {
    let message = match place {
        Some(TextPlace { line, column }) => format!("{} (line {line}, column {column})", said.message()),
        None => said.message().to_owned(),
    };
    let fault = Fault::new(said.kind(), message.as_str()).violation("/query", message);
    let fault = place.into_iter().fold(fault, Fault::in_text);
    said.help_text().into_iter().fold(fault, Fault::help)
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// What it is.
    pub what: String,
    /// What to try.
    pub help: &'static str,
}

impl Wrong {
    /// A value with which this is wrong.
    pub fn new(what: impl Into<String>, help: &'static str) -> Self {
        Self { what: what.into(), help }
    }
}

/// A value of a batch that cannot be taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// Rows before it in its batch.
    pub row: u64,
    /// The column.
    pub column: String,
    /// What is wrong.
    pub wrong: Wrong,
}

impl Trouble {
    /// The fault, with `before` rows before the batch.
    pub fn fault(self, before: u64) -> Fault {
        let Self { row, column, wrong } = self;
        let row = before + row + 1;
        Fault::bad_data(format!("row {row}, column \"{column}\": {}", wrong.what))
            .column(column)
            .row(row)
            .help(wrong.help)
    }
}
