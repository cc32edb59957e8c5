//! For tests: batch literals, a step run in a line, and the contract that every step must keep.

mod batches;
pub mod contract;
mod run;

pub use batches::{batch, make_batch};
pub use contract::ContractCase;
pub use run::{Bench, Ran, refused, slices};
