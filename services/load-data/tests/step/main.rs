//! The tests of this step, as one program; `disk_full.rs` needs a process of its own.

mod all_or_nothing;
mod contract;
mod formats;
mod refusals;
mod support;
