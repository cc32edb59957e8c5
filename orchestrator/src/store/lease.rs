//! The right to run a run.
//!
//! A lease is a time until which a run belongs to a replica. It is prolonged while the replica lives; once it is over,
//! any replica may take the run. Each taking raises the run's *fence*, and whatever a replica writes names the fence it
//! was given: one that lost its lease without knowing can change nothing any more.

use super::{RunState, Store, StoreError};

/// The owner and the end of a lease of nobody, which is over: any replica takes such a run over.
pub(super) const NOBODYS_LEASE: (&str, i64) = ("", 0);

/// The right to run a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run: String,
    /// Which taking of it this is.
    pub fence: i64,
}

impl Lease {
    /// Whether a run in this state still belongs to anybody.
    pub(super) fn under_way(&self, state: RunState) -> Result<RunState, StoreError> {
        match state {
            RunState::Running | RunState::Cancelling => Ok(state),
            _ => Err(StoreError::LeaseLost(self.run.clone())),
        }
    }
}

impl Store {
    /// Whether nobody has taken the run since this lease was given.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn holds(&self, lease: &Lease) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM runs WHERE id = $1 AND fence = $2").bind(&lease.run).bind(lease.fence);
        Ok(row.fetch_optional(&self.reader).await?.is_some())
    }
}
