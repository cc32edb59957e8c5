//! Real servers for tests: found on the machine, installed by its package manager or built, started on a folder of their own,
//! and stopped with the last test that uses them, or with the test process if that is killed.

mod database;
mod go;
pub mod http;
mod install;
mod jaeger;
mod maria_database;
mod mariadb;
mod postgres;
mod postgres_database;
mod prometheus;
mod shared;
mod tether;
mod versitygw;

pub use database::Database;
pub use jaeger::{Collector, Jaeger};
pub use maria_database::MariaDatabase;
pub use mariadb::MariaDb;
pub use postgres::Postgres;
pub use postgres_database::PostgresDatabase;
pub use prometheus::{Prometheus, promtool};
pub use versitygw::S3;

use std::path::PathBuf;

/// A program on the path, installed with this Debian package if it is not there.
pub fn program(name: &str, package: &str) -> PathBuf {
    install::program(name, package, Vec::new)
}
