//! The tests of this step, as one program.

mod contract;
mod methods;
mod outliers;
