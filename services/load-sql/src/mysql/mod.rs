//! Writing to MariaDB and MySQL.
//!
//! | where | what |
//! |---|---|
//! | `table` | the table as it is, and whether the rows fit it |
//! | `types` | which types fit which; the table as it is made |
//! | `text` | values as `LOAD DATA` reads them |
//! | `write` | all of it in one transaction |
//! | `rows` | rows sent by `LOAD DATA`, and what the server says of them |
//! | `session` | a connection to write over |
//! | `ledger` | which runs have written |
//! | `staging` | a table that is being made, and what loads left behind that were killed while they made one |
//!
//! Rows travel by `LOAD DATA LOCAL INFILE`, in statements of some megabytes. Such a statement never fails for a value: the
//! server bends the value, or leaves out the row, and warns. So each warning is an error here.
//!
//! Here a statement that makes a table commits whatever came before it. A table that is there is written to in one transaction,
//! as elsewhere. One that is not is made under another name, filled in one transaction, and renamed when that is committed:
//!
//! 1. `GET_LOCK`, which ends with the connection, so that one load at a time makes this table; who finds it made lets go at once
//! 2. `CREATE TABLE quiver_staging_…`
//! 3. a transaction: the rows; for an append its line in the ledger, under the name of the staging table
//! 4. `RENAME TABLE quiver_staging_… TO …`, which is all or nothing
//! 5. the line in the ledger gets the name of the table
//!
//! Killed before the end of 3, it leaves an empty table, which the next load drops. Killed between 3 and 4, it leaves rows that
//! the ledger vouches for: the next load renames them. Killed between 4 and 5, it leaves the line, which the next load mends.

mod ledger;
mod rows;
mod session;
mod staging;
mod table;
mod text;
mod types;
mod write;

pub use table::{Table, plan};
pub use write::load;
