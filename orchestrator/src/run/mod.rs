//! Runs: the engine, the joints between its streams, and what it reports.

mod attend;
mod engine;
mod keep;
mod node;
mod options;
mod progress;
mod report;
mod stage;
mod tee;
mod watch;
mod wiring;

pub use attend::{Attendant, Kept, Settled, Unattended};
pub use engine::{Engine, Runner};
pub use options::RunOptions;
pub use progress::{Progress, Status, StepProgress};
pub use report::{Figures, RunReport, StepOutcome};
