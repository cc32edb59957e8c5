//! Real servers for tests: found on the machine or installed by its package manager, started on a folder of their own,
//! and stopped with the last test that uses them, or with the test process if that is killed.

mod install;
mod postgres;
mod tether;

pub use postgres::Postgres;

use std::path::PathBuf;

/// A program on the path, installed with this Debian package if it is not there.
pub fn program(name: &str, package: &str) -> PathBuf {
    install::program(name, package, Vec::new)
}
