//! The tests of this step, as one program.

mod contract;
mod safety;
mod sheets;
mod support;
mod values;
