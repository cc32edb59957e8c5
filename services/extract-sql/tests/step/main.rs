//! The tests of this step, as one program.

mod contract;
mod mysql;
mod mysql_types;
mod postgres;
mod postgres_ranges;
mod postgres_types;
mod sqlite;
mod support;
