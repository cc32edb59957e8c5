//! Writing to a SQLite file.
//!
//! | where | what |
//! |---|---|
//! | `table` | the table as it is, and whether the rows fit it; the table as it is made |
//! | `types` | which types fit which |
//! | `cells` | values as SQLite holds them |
//! | `write` | all of it in one transaction, by a thread of its own: SQLite blocks while it writes |

mod cells;
mod table;
mod types;
mod write;

pub use table::{Table, plan};
pub use write::load;
