//! A value that cannot be taken: what it is, where it stands, and what to try.

use flight_common::Fault;

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
