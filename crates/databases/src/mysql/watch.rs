//! Whether the server still knows a connection.
//!
//! Whoever only writes to one does not hear that it was ended: what is written waits until the system gives up, which takes
//! minutes. So another connection asks. It may lead to another server, behind a balancer, or to one that counts the
//! connections of a proxy: so it is only believed to have lost a connection that it has known before.

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
    address: Address,
    /// The connection, as the server counts them.
    id: u32,
    /// Another one to the same server; nothing where nobody can tell.
    asking: Option<Conn>,
}

impl Watch {
    pub(super) async fn new(address: Address, opts: Opts, id: u32) -> Self {
        let asking = timeout(CANCEL, async {
            let mut conn = Conn::new(opts).await?;
            let known = is_known(&mut conn, id).await?;
            Ok::<_, mysql_async::Error>(known.then_some(conn))
        });
        let asking = asking.await.ok().and_then(Result::ok).flatten();
        Self { address, id, asking }
    }

    /// Waits until the server does not know the connection any more, and tells so. Never ends where nobody can tell.
    pub async fn lost(&mut self) -> Fault {
        while let Some(conn) = &mut self.asking {
            sleep(EVERY).await;
            match timeout(CANCEL, is_known(conn, self.id)).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    return Fault::upstream(format!("{} has ended the connection", self.address.shown()))
                        .help("see its log for why; run again");
                }
                // Who got no answer has learned nothing, and cannot go on asking there.
                Ok(Err(_)) | Err(_) => self.asking = None,
            }
        }
        pending().await
    }
}

/// Whether the server has a connection of this number.
async fn is_known(conn: &mut Conn, id: u32) -> mysql_async::Result<bool> {
    let asked = format!("SELECT 1 FROM information_schema.processlist WHERE id = {id}");
    Ok(conn.query_first::<u8, _>(asked).await?.is_some())
}
