//! A table that is being made: under a name of its own, until its rows are committed. And what is left of one whose load was
//! killed.

use super::ledger::Ledger;
use super::session::{helped, session_for_loading};
use super::table::Table;
use crate::plain::Plain;
use crate::target::Target;
use databases::Address;
use databases::mysql::Session;
use flight_common::Fault;
use flight_common::farewell::Farewell;
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tokio::sync::oneshot;
use twox_hash::XxHash3_64;

/// What the name of such a table begins with.
const PREFIX: &str = "quiver_staging_";
/// How long a load that makes the same table is waited for: it may have many rows to write before it commits, and failing would
/// not make it faster.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long a load that has failed waits to take away what it left. If another one has come to make the table, it does that.
const TIDYING: Duration = Duration::from_secs(60);
/// How long a load that replaces the rows is waited for: as long as for whoever else holds them.
const SHORTLY: Duration = Duration::from_secs(60);

/// The place where a table is made.
#[derive(Clone)]
pub struct Staging {
    /// What is made.
    made: Target,
    /// Where.
    staging: Target,
}

impl Staging {
    /// For this table of a database. The name is always the same, so that the next load finds what is left.
    pub fn new(database: &str, target: &Target) -> Self {
        let hash = XxHash3_64::oneshot(format!("{database}\0{}", target.table).as_bytes());
        let within = |table: String| Target { schema: Some(database.to_owned()), table, ..target.clone() };
        Self { made: within(target.table.clone()), staging: within(format!("{PREFIX}{hash:016x}")) }
    }

    /// The staging table, as something to write to.
    pub fn target(&self) -> &Target {
        &self.staging
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger::new(self.made.schema.as_deref().unwrap_or_default())
    }

    /// Waits until no other load makes this table, and keeps others from it until the connection ends.
    ///
    /// # Errors
    /// What the server says; [`flight_common::FaultKind::Upstream`] when another load takes too long.
    pub async fn hold(&self, session: &mut Session) -> Result<(), Fault> {
        self.held(session, PATIENCE).await
    }

    async fn held(&self, session: &mut Session, patience: Duration) -> Result<(), Fault> {
        self.locked(session, &self.staging.table, patience, "making the table").await
    }

    /// Waits until no other load replaces the rows of this table, and keeps others from it until the connection ends: how far
    /// a `DELETE` sees what others put in the place of the old rows depends on how transactions are kept apart.
    ///
    /// # Errors
    /// As [`Staging::hold`].
    pub async fn hold_rows(&self, session: &mut Session) -> Result<(), Fault> {
        let lock = format!("{}_rows", self.staging.table);
        self.locked(session, &lock, SHORTLY, "replacing the rows of").await
    }

    async fn locked(&self, session: &mut Session, lock: &str, patience: Duration, what: &str) -> Result<(), Fault> {
        let asked = session.conn().exec_first("SELECT GET_LOCK(?, ?)", (lock, patience.as_secs())).await;
        let held: Option<Option<i64>> = asked.map_err(|error| session.fault(&error))?;
        match held.flatten() {
            Some(1) => Ok(()),
            _ => Err(Fault::upstream(format!("another load is {what} {}", self.made.shown()))
                .help("run the pipeline again when it is done")),
        }
    }

    /// Lets others who wait go on: the table is there, and nobody makes it.
    ///
    /// # Errors
    /// What the server says.
    pub async fn let_go(&self, session: &mut Session) -> Result<(), Fault> {
        let released = session.conn().exec_drop("DO RELEASE_LOCK(?)", (&self.staging.table,)).await;
        released.map_err(|error| session.fault(&error))
    }

    /// Makes the staging table.
    ///
    /// # Errors
    /// What the server says.
    pub async fn make(&self, session: &mut Session, plain: &Plain) -> Result<(), Fault> {
        let made = session.run(&Table::make(&self.staging, plain)).await;
        made.map_err(|fault| {
            helped(fault, "to make a table needs the rights CREATE, ALTER, DROP and INSERT; or make it before")
        })
    }

    /// Gives the staging table its name, now that its rows are committed.
    ///
    /// # Errors
    /// What the server says; a table of this name that has come into being meanwhile.
    pub async fn publish(&self, session: &mut Session) -> Result<(), Fault> {
        if is_there(session, &self.made).await? {
            return Err(self.made.changed());
        }
        session.run(&format!("RENAME TABLE {} TO {}", self.staging.quoted(), self.made.quoted())).await?;
        self.mend_ledger(session).await
    }

    async fn mend_ledger(&self, session: &mut Session) -> Result<(), Fault> {
        if self.ledger().vouches(session, &self.staging.table).await? {
            self.ledger().renamed(session, &self.staging.table, &self.made.table).await?;
        }
        Ok(())
    }

    /// Whether a killed load has left anything.
    ///
    /// # Errors
    /// What the server says.
    pub async fn is_left(&self, session: &mut Session) -> Result<bool, Fault> {
        Ok(is_there(session, &self.staging).await? || self.ledger().vouches(session, &self.staging.table).await?)
    }

    /// Brings what a killed load has left to its end, or takes it away. No other load may be making the table:
    /// [`Staging::hold`].
    ///
    /// # Errors
    /// What the server says.
    pub async fn settle(&self, session: &mut Session) -> Result<(), Fault> {
        let (left, vouched) =
            (is_there(session, &self.staging).await?, self.ledger().vouches(session, &self.staging.table).await?);
        let made = is_there(session, &self.made).await?;
        match (left, vouched) {
            (false, false) => Ok(()),
            // It was killed between the commit and the name.
            (true, true) if !made => self.publish(session).await,
            // It was killed between the name and the ledger.
            (false, true) if made => self.mend_ledger(session).await,
            // It was killed before the commit; or what it wrote can no longer be put in its place.
            _ => {
                if vouched {
                    self.ledger().forget(session, &self.staging.table).await?;
                }
                session.run(&format!("DROP TABLE IF EXISTS {}", self.staging.quoted())).await
            }
        }
    }
}

async fn is_there(session: &mut Session, target: &Target) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
    let asked = session.conn().exec_first(sql, (&target.schema, &target.table)).await;
    let found: Option<i64> = asked.map_err(|error| session.fault(&error))?;
    Ok(found.is_some())
}

/// Takes a staging table away when its load fails, or is given up. The end of the process waits for it.
pub struct Tidy {
    address: Address,
    /// Nothing when there is nothing to do.
    left: Option<(Staging, Farewell)>,
}

impl Tidy {
    /// With nothing to do yet.
    pub fn new(address: &Address) -> Self {
        Self { address: address.clone(), left: None }
    }

    /// From now on there is this to take away.
    pub fn arm(&mut self, staging: &Staging) {
        self.left = Some((staging.clone(), Farewell::default()));
    }

    /// The load has ended: takes away what there is if it has failed. Whoever does not wait for that leaves it to itself.
    pub async fn end(mut self, failed: bool) {
        match failed {
            true => drop(self.tidied().await),
            false => self.left = None,
        }
    }

    /// Told when it is done.
    fn tidied(&mut self) -> oneshot::Receiver<()> {
        let (done, told) = oneshot::channel();
        if let Some((staging, farewell)) = self.left.take() {
            let address = self.address.clone();
            farewell.say(async move {
                tidy(&address, &staging).await;
                // Perhaps nobody waits.
                let _ = done.send(());
            });
        }
        told
    }
}

impl Drop for Tidy {
    fn drop(&mut self) {
        drop(self.tidied());
    }
}

/// On a connection of its own: the other one may be in the middle of something, or gone.
async fn tidy(address: &Address, staging: &Staging) {
    let done = async {
        let mut session = session_for_loading(address).await?;
        staging.held(&mut session, TIDYING).await?;
        staging.settle(&mut session).await?;
        session.close().await;
        Ok::<_, Fault>(())
    };
    if let Err(error) = done.await {
        tracing::warn!(%error, table = staging.staging.table, "a staging table is left for the next load to drop");
    }
}
