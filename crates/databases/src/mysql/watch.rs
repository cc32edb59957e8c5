//! Whether the server still knows a connection.
//!
//! Whoever only writes to one does not hear that it was ended: what is written waits until the system gives up, which takes
//! minutes. So another connection asks.

use super::CANCEL;
use crate::address::Address;
use flight_common::Fault;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use std::future::pending;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(5);

/// Watches over a connection. See [`super::Session::watch`].
pub struct Watch {
    pub(super) opts: Opts,
    pub(super) address: Address,
    /// The connection, as the server counts them; nothing if it counts others, as behind a proxy.
    pub(super) id: Option<u32>,
}

impl Watch {
    /// Waits until the server does not know the connection any more, and tells so. Never ends where nobody can tell.
    pub async fn lost(&self) -> Fault {
        let Some(id) = self.id else { return pending().await };
        loop {
            sleep(EVERY).await;
            // Who gets no answer has learned nothing.
            if let Ok(Ok(false)) = timeout(CANCEL, self.asked(id)).await {
                return Fault::upstream(format!("{} has ended the connection", self.address.shown()))
                    .help("see its log for why; run again");
            }
        }
    }

    async fn asked(&self, id: u32) -> mysql_async::Result<bool> {
        let mut conn = Conn::new(self.opts.clone()).await?;
        let known = is_known(&mut conn, id).await?;
        conn.disconnect().await?;
        Ok(known)
    }
}

/// Whether the server has a connection of this number.
pub(super) async fn is_known(conn: &mut Conn, id: u32) -> mysql_async::Result<bool> {
    let asked = format!("SELECT 1 FROM information_schema.processlist WHERE id = {id}");
    Ok(conn.query_first::<u8, _>(asked).await?.is_some())
}
