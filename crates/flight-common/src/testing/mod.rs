//! For tests: batch literals, a step run in a line, and the contract that every step must keep.

mod batches;

pub use batches::{batch, make_batch};
