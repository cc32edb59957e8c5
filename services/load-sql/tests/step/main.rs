//! The tests of this step, as one program; `mysql_killed.rs` needs a process of its own.

mod contract;
mod mysql;
mod mysql_tables;
mod postgres;
mod renamed;
mod replaced;
mod sqlite;
mod support;
