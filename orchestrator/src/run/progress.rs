//! What can be seen of a run while it is under way.

use serde::Serialize;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// The state of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not begun.
    Waiting,
    /// Rows may flow.
    Running,
    /// It ended well.
    Done,
    /// It failed by itself.
    Failed,
    /// It was stopped: somebody asked, or another step failed.
    Cancelled,
    /// It never began, because another step failed.
    Skipped,
    /// It did not run: an earlier attempt has done its work.
    Reused,
}

impl Status {
    const ALL: [Self; 7] =
        [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Cancelled, Self::Skipped, Self::Reused];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Reused => "reused",
        }
    }
}

/// Live figures of all steps of a run, in the order of the plan.
#[derive(Debug, Default)]
pub struct Progress {
    steps: Vec<StepProgress>,
}

/// Live figures of one step.
#[derive(Debug, Default)]
pub struct StepProgress {
    status: AtomicU8,
    /// Rows that reached it.
    pub rows_in: AtomicU64,
    /// Rows that left it by its main output.
    pub rows_out: AtomicU64,
    /// Bytes of those.
    pub bytes_out: AtomicU64,
}

impl Progress {
    /// For this many steps.
    pub fn new(steps: usize) -> Self {
        Self { steps: (0..steps).map(|_| StepProgress::default()).collect() }
    }

    /// The step at this place of the plan.
    pub fn step(&self, place: usize) -> &StepProgress {
        &self.steps[place]
    }
}

impl StepProgress {
    /// Its state.
    pub fn status(&self) -> Status {
        Status::ALL[usize::from(self.status.load(Ordering::Relaxed))]
    }

    /// Rows that reached it, and rows that left it by its main output.
    pub fn rows(&self) -> (u64, u64) {
        (self.rows_in.load(Ordering::Relaxed), self.rows_out.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, status: Status) {
        self.status.store(status as u8, Ordering::Relaxed);
    }
}
