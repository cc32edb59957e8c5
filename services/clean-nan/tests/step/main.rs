//! The tests of this step, as one program.

mod columns_apart;
mod contract;
mod drop_and_fill;
mod figures;
mod neighbours;
mod strategies;
mod support;
