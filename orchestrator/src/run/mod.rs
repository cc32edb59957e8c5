//! Runs: the engine, the joints between its streams, and what it reports.

mod attend;
mod engine;
mod keep;
mod node;
mod progress;
mod report;
mod stage;
mod tee;
mod watch;

pub use attend::{Attendant, Kept, Settled, Unattended};
pub use engine::{Engine, RunOptions, Runner};
pub use progress::{Progress, Status, StepProgress};
pub use report::{RunReport, StepOutcome};
