//! The tests of this step, as one program.

mod contract;
mod differences;
mod examples;
mod overflow;
mod queries;
mod refusals;
mod running;
mod support;
