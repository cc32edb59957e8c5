//! The tests of this step, as one program.

mod completes;
mod contract;
mod failures;
mod local;
mod local_refusals;
mod refusals;
mod safety;
mod support;
