//! Real servers for tests: found on the machine or installed by its package manager, started on a folder of their own,
//! and stopped with the last test that uses them, or with the test process if that is killed.

mod install;
mod postgres;
mod tether;

pub use postgres::Postgres;
