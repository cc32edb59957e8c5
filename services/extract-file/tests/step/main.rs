//! The tests of this step, as one program.

mod contract;
mod formats;
mod many_files;
mod refusals;
mod support;
