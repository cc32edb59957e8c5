//! Writing to PostgreSQL.
//!
//! | where | what |
//! |---|---|
//! | `table` | the table as it is, and whether the rows fit it; the table as it is made |
//! | `types` | which types fit which |
//! | `text` | rows as the text of `COPY` |
//! | `write` | all of it in one transaction |
//! | `ledger` | which runs have written |
//!
//! Rows travel by `COPY` in its text format: the server reads each value as the type of its column, so that enums, JSON,
//! UUIDs, domains and arrays need no rule here, and what does not fit is told by the server, with row and column.

mod ledger;
mod table;
mod text;
mod types;
mod write;

pub use table::{Table, plan};
pub use write::load;
