//! The steps of a plan that run at once, and what they share.

use super::attend::Attendant;
use super::options::RunOptions;
use super::progress::Progress;
use super::report::StepOutcome;
use crate::pipeline::{Plan, PlannedNode};
use flight_common::spool::SpillSpace;
use flight_common::{EdgeStream, Fault};
use serde_json::Value;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch as signal};
use tokio_util::sync::CancellationToken;

/// Whether a step that commits may still be stopped: of the stop and the permission to commit, the first one holds.
#[derive(Default)]
pub(super) struct Gate(AtomicU8);

impl Gate {
    const PASSED: u8 = 1;
    const SHUT: u8 = 2;

    /// Lets it commit, unless it was stopped before.
    pub fn pass(&self) -> bool {
        self.decide(Self::PASSED)
    }

    /// Stops it, unless it was let commit before.
    pub fn shut(&self) -> bool {
        self.decide(Self::SHUT)
    }

    fn decide(&self, wanted: u8) -> bool {
        let decided = self.0.compare_exchange(0, wanted, Ordering::SeqCst, Ordering::SeqCst);
        decided.map_or_else(|before| before == wanted, |_| true)
    }
}

/// What the tasks of a run share.
pub(super) struct Shared {
    pub(super) run_id: String,
    pub(super) space: SpillSpace,
    pub(super) stop: CancellationToken,
    pub(super) progress: Arc<Progress>,
    pub(super) attendant: Arc<dyn Attendant>,
    first: Mutex<Option<(usize, Fault)>>,
    /// For each step, whether its output ended with a fault.
    pub(super) broken: Vec<Arc<AtomicBool>>,
    /// For each step, whether it was stopped or let commit.
    pub(super) gates: Vec<Gate>,
    /// For each step, what became of it.
    pub(super) ends: Vec<signal::Sender<End>>,
    /// What became of the run, for conditions of what runs finally.
    pub(super) run: Value,
}

/// What became of a step; nothing before its end.
pub(super) type End = Option<Arc<StepOutcome>>;

/// The steps that run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// All but those that run finally.
    Steps,
    /// Those that run when all others have ended.
    Finally,
}

impl Stage {
    /// Whether a step belongs to it.
    pub fn has(self, node: &PlannedNode) -> bool {
        node.finally == (self == Self::Finally)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steps => "the run",
            Self::Finally => "what runs finally",
        })
    }
}

impl Shared {
    pub fn new(
        options: &RunOptions,
        space: &SpillSpace,
        stop: CancellationToken,
        progress: Arc<Progress>,
        plan: &Plan,
    ) -> Self {
        Self {
            run_id: options.run_id.clone(),
            space: space.clone(),
            stop,
            progress,
            attendant: options.attendant.clone(),
            first: Mutex::default(),
            broken: plan.nodes.iter().map(|_| Arc::default()).collect(),
            gates: plan.nodes.iter().map(|_| Gate::default()).collect(),
            ends: plan.nodes.iter().map(|_| signal::Sender::new(None)).collect(),
            run: Value::Null,
        }
    }

    /// Remembers what became of the steps of an earlier stage, and of the run.
    pub fn following(self, earlier: &Self, run: Value) -> Self {
        Self { ends: earlier.ends.clone(), run, ..self }
    }

    /// Notes that the step at this place failed by itself, and stops the run. Only the first fault is kept: the others
    /// follow from it.
    pub fn note(&self, place: usize, fault: Fault) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((place, fault));
        self.stop.cancel();
    }

    pub fn first(&self) -> Option<(usize, Fault)> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The end of an edge at which its stream is handed over.
pub(super) type Hand<T> = oneshot::Sender<EdgeStream<T>>;
