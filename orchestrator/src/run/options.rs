//! How a plan is run.

use super::attend::{Attendant, Unattended};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How to run a plan.
#[derive(Clone)]
pub struct RunOptions {
    /// The run's id: outputs are named by it.
    pub run_id: String,
    /// Ends the run when it is cancelled.
    pub cancel: CancellationToken,
    /// Ends it at once: what runs finally as well.
    pub abandon: CancellationToken,
    /// How long the run may take, but for what runs finally. Its pipeline may allow it less.
    pub limit: Option<Duration>,
    /// Whom to ask and tell.
    pub attendant: Arc<dyn Attendant>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            run_id: String::new(),
            cancel: CancellationToken::new(),
            abandon: CancellationToken::new(),
            limit: None,
            attendant: Arc::new(Unattended),
        }
    }
}
