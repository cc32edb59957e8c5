//! The tests of this step, as one program; `large_answer.rs` needs a process of its own.

mod answers;
mod contract;
mod failures;
mod pages;
mod safety;
mod support;
