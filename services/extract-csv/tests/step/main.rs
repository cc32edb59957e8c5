//! The tests of this step, as one program.

mod bad_files;
mod contract;
mod files;
mod many_files;
mod support;
mod values;
