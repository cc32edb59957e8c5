//! The tests of this step, as one program.

mod contract;
mod data_quality;
mod drift;
mod row_rules;
