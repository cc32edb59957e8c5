//! A connection to MySQL or MariaDB that stops what it left running.
//!
//! A server in a long computation does not notice that its client is gone. So a [`Session`] that is dropped before
//! [`Session::close`] asks the server, on a connection of its own, to end it.

mod fault;
mod options;
mod watch;

pub use fault::fault;
pub use watch::Watch;

use crate::address::Address;
use flight_common::Fault;
use flight_common::farewell::Farewell;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, Opts};
use options::configured;
use std::time::Duration;
use tokio::time::timeout;

/// How long a connection, TLS and login may take.
const CONNECT: Duration = Duration::from_secs(20);
/// How long the request to end a query may take.
const CANCEL: Duration = Duration::from_secs(5);
/// What sessions here agree on. A fixed mode: in others `"` and `\` mean something else than the parser before us thinks.
/// Times are in UTC.
const AGREED: &str = "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
                      time_zone = '+00:00'";

/// An open connection.
pub struct Session {
    conn: Conn,
    address: Address,
    is_mariadb: bool,
    end: EndQuery,
}

impl Session {
    /// Connects, and logs in.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for an address with unknown options,
    /// [`flight_common::FaultKind::Upstream`] when the server cannot be reached, and what it says when it refuses.
    pub async fn open(address: &Address) -> Result<Self, Fault> {
        let connected = timeout(CONNECT, Self::connected(address)).await;
        connected.map_err(|_| {
            Fault::upstream(format!("{} did not answer within {} s", address.shown(), CONNECT.as_secs()))
        })?
    }

    async fn connected(address: &Address) -> Result<Self, Fault> {
        let (opts, may_be_plain) = configured(address)?;
        let said = |error: Error| fault(&error, address);
        let (mut conn, opts) = match Conn::new(opts.clone()).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) if may_be_plain => {
                let plain = options::without_tls(&opts);
                (Conn::new(plain.clone()).await.map_err(said)?, plain)
            }
            connected => (connected.map_err(said)?, opts),
        };
        conn.query_drop(AGREED).await.map_err(said)?;
        let version: Option<String> = conn.query_first("SELECT VERSION()").await.map_err(said)?;
        let is_mariadb = version.is_some_and(|version| version.to_lowercase().contains("mariadb"));
        let end = EndQuery { opts, running: Some((conn.id(), Farewell::default())) };
        Ok(Self { conn, address: address.clone(), is_mariadb, end })
    }

    /// What statements are sent through.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Where it leads to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is MariaDB; else it is MySQL.
    pub fn is_mariadb(&self) -> bool {
        self.is_mariadb
    }

    /// The fault for an error of this connection.
    pub fn fault(&self, error: &Error) -> Fault {
        fault(error, &self.address)
    }

    /// Runs a statement that gives no rows.
    ///
    /// # Errors
    /// What the server says.
    pub async fn run(&mut self, sql: &str) -> Result<(), Fault> {
        self.conn.query_drop(sql).await.map_err(|error| self.fault(&error))
    }

    /// The database in which tables are looked for that are named without one.
    ///
    /// # Errors
    /// What the server says.
    pub async fn database(&mut self) -> Result<Option<String>, Fault> {
        let found: Option<Option<String>> =
            self.conn.query_first("SELECT DATABASE()").await.map_err(|error| self.fault(&error))?;
        Ok(found.flatten())
    }

    /// What watches over this connection while something else has it.
    pub async fn watch(&self) -> Watch {
        Watch::new(self.address.clone(), self.end.opts.clone(), self.conn.id()).await
    }

    /// Ends it when nothing is running.
    pub async fn close(self) {
        let Self { conn, mut end, .. } = self;
        // The end of the process waits for this too.
        let _farewell = end.running.take();
        // All that was asked for is there: a server that does not hear the goodbye finds out by itself.
        if let Ok(Err(error)) = timeout(CANCEL, conn.disconnect()).await {
            tracing::debug!(%error, "a connection to MySQL was not closed");
        }
    }
}

/// Ends what runs on a connection when it is dropped.
struct EndQuery {
    opts: Opts,
    /// The connection, as the server counts them, and the goodbye; nothing when nothing runs there.
    running: Option<(u32, Farewell)>,
}

impl Drop for EndQuery {
    fn drop(&mut self) {
        let Some((id, farewell)) = self.running.take() else { return };
        let opts = self.opts.clone();
        farewell.say(async move {
            match timeout(CANCEL, end_connection(opts, id)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a query could not be ended"),
                Err(_) => tracing::warn!("a query could not be ended in time"),
            }
        });
    }
}

/// The whole connection: what is left of its rows would else be read to the end before it is closed.
async fn end_connection(opts: Opts, id: u32) -> mysql_async::Result<()> {
    let mut conn = Conn::new(opts).await?;
    match conn.query_drop(format!("KILL CONNECTION {id}")).await {
        // It is gone already.
        Err(Error::Server(said)) if said.code == 1094 => {}
        ended => ended?,
    }
    conn.disconnect().await
}
