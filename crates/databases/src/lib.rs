//! The room of the kit for steps that talk to databases: where they are, and how they are reached. It lies apart so that
//! other steps do not build the drivers.
//!
//! | where | what |
//! |---|---|
//! | [`Database`] | the parameters `connection` and `db_url` |
//! | [`Connections`], [`Address`] | what they lead to, and what may be shown of it |
//! | [`postgres`] | a connection to PostgreSQL that cancels what it left running |
//! | [`mysql`] | the same to MySQL and MariaDB |
//! | [`sqlite`] | a file beneath the data root, opened so that it cannot lead out |
//! | [`quote`] | names in SQL |
//!
//! What a step reads or writes over a connection is its own business.

mod address;
mod connections;
mod database;
pub mod mysql;
pub mod postgres;
pub mod quote;
pub mod sqlite;

pub use address::{Address, Kind};
pub use connections::Connections;
pub use database::Database;
use std::time::Duration;

/// Silence after which a server is asked whether it is still there: without that, one whose host is gone is waited for
/// without end, or for hours.
const KEEPALIVE: Duration = Duration::from_secs(60);
