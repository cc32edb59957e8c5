//! The tests of this step, as one program.

mod contract;
mod join;
mod memory;
mod random;
mod support;
mod tables;
mod types;
