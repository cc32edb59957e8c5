//! Flight SQL, read-only: kept outputs are tables, and DataFusion does the query.
//!
//! A table is called after its step, its schema after the pipeline (the newest run that has kept it) or after a run:
//! `SELECT * FROM "hr-analytics".outliers`.
//!
//! | file | what |
//! |---|---|
//! | [`tables`] | which kept output a name means, and its rows as a table |
//! | [`statement`] | a query's text and the values of its parameters |
//! | [`reading`] | what may be asked |
//! | [`query`] | one query, planned and run under a memory limit and a time-out |
//! | [`service`] | what JDBC, ODBC and ADBC drivers ask |

mod query;
mod reading;
mod service;
mod statement;
mod tables;

use crate::access::Access;
use crate::seats::Seats;
use crate::service::Service;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{Any, SqlInfo};
use flight_common::{Fault, SpillSpace};
use prost::Message;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Queries at a time.
const QUERIES: usize = 8;
/// Queries that are planned at a time; others wait.
const PLANS: usize = 8;
/// What the type of every command of Flight SQL begins with.
const TYPES: &str = "type.googleapis.com/arrow.flight.protocol.sql.";

/// Whether a command or ticket is one of Flight SQL.
pub fn is_command(bytes: &[u8]) -> bool {
    Any::decode(bytes).is_ok_and(|any| any.type_url.starts_with(TYPES))
}

/// Answers queries over kept outputs. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    service: Service,
    space: SpillSpace,
    seats: Seats,
    planning: Arc<Semaphore>,
    about: Arc<SqlInfoData>,
}

impl Engine {
    /// Queries over what the runs of this service have kept. Sorts, joins and groups take the memory of this space, and
    /// go to its disk.
    ///
    /// # Errors
    /// Why what Flight SQL tells of itself cannot be told.
    pub fn new(service: Service, space: SpillSpace, access: Access) -> Result<Self, Fault> {
        let mut about = SqlInfoDataBuilder::new();
        about.append(SqlInfo::FlightSqlServerName, "Quiver");
        about.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
        about.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
        about.append(SqlInfo::FlightSqlServerReadOnly, true);
        about.append(SqlInfo::FlightSqlServerSql, true);
        about.append(SqlInfo::FlightSqlServerTransaction, 0_i32);
        about.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
        let about = Arc::new(about.build().map_err(Fault::internal)?);
        let (seats, planning) = (Seats::new("queries", QUERIES, access), Arc::new(Semaphore::new(PLANS)));
        Ok(Self { service, space, seats, planning, about })
    }
}
