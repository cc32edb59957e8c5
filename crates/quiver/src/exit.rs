//! How the command ends: 0 done, 1 the run failed, 2 the pipeline or the call is wrong, 130 interrupted.

use flight_common::{Fault, FaultKind};
use std::process::ExitCode;

/// The end of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// The run failed.
    RunFailed,
    /// The pipeline or the call is wrong; nothing ran.
    Wrong,
    /// Ctrl-C, or SIGTERM.
    Interrupted,
}

impl Exit {
    /// What a fault before any run means.
    pub fn of(fault: &Fault) -> Self {
        match fault.kind() {
            FaultKind::BadParams
            | FaultKind::BadSchema
            | FaultKind::NotFound
            | FaultKind::Denied
            | FaultKind::Unauthenticated => Self::Wrong,
            _ => Self::RunFailed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::RunFailed => 1,
            Exit::Wrong => 2,
            Exit::Interrupted => 130,
        })
    }
}
