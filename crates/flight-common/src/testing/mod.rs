//! For tests: batch literals, a step run in a line, the contract that every step must keep, and the locks of files.

mod batches;
pub mod contract;
mod locks;
mod run;

pub use batches::{batch, make_batch};
pub use contract::ContractCase;
pub use locks::locks_on;
pub use run::{Bench, Ran, refused, slices};
