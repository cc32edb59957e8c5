//! What can go wrong with the store.

use super::{Move, RunState};
use flight_common::Fault;

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It is not as the caller thought.
    #[error("{0}")]
    Conflict(String),
    /// An earlier request had this idempotency key, and was another one.
    #[error(
        "the idempotency key \"{key}\" was used for run {run}, with another pipeline, other parameters, or another place in the queue"
    )]
    KeyTaken {
        /// The key.
        key: String,
        /// What the earlier request made.
        run: String,
    },
    /// It was changed since the caller looked at it.
    #[error("{0}")]
    Stale(String),
    /// The run is in a state from which it cannot do that.
    #[error("run {run} is {state}: it cannot {}", step.asked())]
    Illegal {
        /// The run.
        run: String,
        /// Where it stands.
        state: RunState,
        /// What was asked of it.
        step: Move,
    },
    /// Another replica has the run now.
    #[error("run {0} was taken over by another replica")]
    LeaseLost(String),
    /// The database does not answer, or cannot write.
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
    /// The address is that of no store.
    #[error("--store {0} is no address of a store")]
    Unaddressed(String),
    /// It would be a file in a folder that is not there.
    #[error("there is no folder {0} for the store")]
    NoFolder(String),
    /// Its tables are not those of this version.
    #[error("the store was made by another version of Quiver: {0}")]
    OtherVersion(String),
    /// What it holds cannot be read.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    pub(super) fn no_run(id: &str) -> Self {
        Self::NotFound(format!("there is no run {id}"))
    }

    pub(super) fn migrating(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::VersionMissing(_) | sqlx::migrate::MigrateError::VersionMismatch(_) => {
                Self::OtherVersion(error.to_string())
            }
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
                Self::Corrupt(error.to_string())
            }
            // PostgreSQL keeps no NUL character, and so has nothing of that name.
            sqlx::Error::Database(error) if error.code().as_deref() == Some("22021") => {
                Self::NotFound("there is nothing with a NUL character in its name".to_owned())
            }
            sqlx::Error::Database(error) if error.is_foreign_key_violation() => {
                Self::Unavailable("what this belongs to was just being forgotten: ask again".to_owned())
            }
            sqlx::Error::PoolTimedOut => Self::Unavailable("no connection to it could be made in time".to_owned()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::NotFound(_) => Self::not_found(message),
            StoreError::Conflict(_) | StoreError::Stale(_) => Self::bad_params(message),
            StoreError::KeyTaken { .. } => {
                Self::bad_params(message).help("send a key of its own with it; the same key goes with the same request")
            }
            StoreError::Illegal { state, step, .. } => {
                let fault = Self::bad_params(message);
                match tries(step, state) {
                    Some(help) => fault.help(help),
                    None => fault,
                }
            }
            StoreError::LeaseLost(_) => Self::cancelled(message),
            StoreError::Unaddressed(_) => {
                Self::bad_params(message).help("write sqlite:///data/quiver.db or postgres://user@host/quiver")
            }
            StoreError::NoFolder(_) => Self::not_found(message).help("make it, or name another place by --store"),
            StoreError::Unavailable(_) => Self::upstream(message)
                .help("does it answer, may this user write it, is its disk full? `--store` names it"),
            StoreError::OtherVersion(_) => Self::bad_params(message)
                .help("start the newest version that has used it, or name another one by --store"),
            StoreError::Corrupt(_) => Self::internal(message),
        }
    }
}

/// What to try instead of what is not legal.
fn tries(step: Move, state: RunState) -> Option<&'static str> {
    match (step, state) {
        (Move::Resume, RunState::Done) => Some("only a failed or cancelled run is; submit it as a run of its own"),
        (Move::Resume, _) => Some("it has not ended yet: cancel it first, or wait"),
        _ => None,
    }
}
