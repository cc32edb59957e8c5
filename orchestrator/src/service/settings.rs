//! What an operator can set.

use super::{HookSettings, LineageSettings, RetryPolicy};
use crate::store::Limits;
use std::time::Duration;

/// How runs are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Runs of this replica at a time.
    pub slots: usize,
    /// Runs at a time, over all replicas.
    pub limits: Limits,
    /// How long a run belongs to a replica that is not heard of.
    pub lease: Duration,
    /// How long a run may take; none means any time. A pipeline may allow itself less.
    pub run_limit: Option<Duration>,
    /// When a failed run is tried again, unless its pipeline says otherwise.
    pub retry: RetryPolicy,
    /// How long runs under way may go on once the replica was told to stop. What is not done then is given back.
    pub drain: Duration,
    /// How long kept outputs are kept after their run has ended.
    pub keep_for: Duration,
    /// Bytes that kept outputs of ended runs may take.
    pub keep_bytes: u64,
    /// How long runs are remembered after they have ended.
    pub remember: Duration,
    /// How the hooks of pipelines are told.
    pub hooks: HookSettings,
    /// Where lineage is told, if anywhere.
    pub lineage: Option<LineageSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: 8,
            limits: Limits::default(),
            lease: Duration::from_secs(15),
            run_limit: None,
            retry: RetryPolicy::default(),
            drain: Duration::from_secs(20),
            keep_for: Duration::from_secs(7 * 24 * 3600),
            keep_bytes: 10 << 30,
            remember: Duration::from_secs(90 * 24 * 3600),
            hooks: HookSettings::default(),
            lineage: None,
        }
    }
}
