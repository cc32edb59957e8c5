//! The room of the kit for whoever asks DataFusion queries: the `sql` step and the front door. It lies apart so that
//! others do not build DataFusion.
//!
//! | where | what |
//! |---|---|
//! | [`WorkingMemory`] | the memory of a query, of the budget of the process |
//! | [`runtime`] | what a query draws on: that memory, and spill files in the spill space |
//! | [`fitted`] | batches and sorts as large as that memory bears |
//! | [`shaped`] | rows in batches of that size, which hold nothing else |
//! | [`carried`], [`into_error`] | faults on their way through DataFusion |
//!
//! Which tables there are, and what may be asked, is the business of whoever asks.

mod disk;
mod faults;
mod memory;
mod session;
mod shape;

pub use faults::{carried, into_error};
pub use memory::WorkingMemory;
pub use session::{fitted, row_bytes, runtime};
pub use shape::shaped;
