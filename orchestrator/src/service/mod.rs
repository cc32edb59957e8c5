//! Runs that outlive the process: submitted to the store, taken from it with a lease, run by the engine, and brought to
//! an end that the store knows.
//!
//! | file | what |
//! |---|---|
//! | [`settings`] | what an operator can set |
//! | [`request`] | what is asked to be run, and why it is refused |
//! | [`intake`] | submit, cancel, resume |
//! | [`worker`] | takes runs while there is room, and keeps their leases |
//! | [`attempt`] | one attempt of a run, from planning to its end |
//! | [`ended`] | how it ended |
//! | [`tell`] | what lineage and metrics are told of it |
//! | [`finally`] | what runs finally, when a run is over |
//! | [`attendant`] | what the engine asks and tells meanwhile, answered by the store |
//! | [`earlier`] | what earlier attempts have left for the next one |
//! | [`former`] | what loads may have been called then |
//! | [`kept`] | the files of kept outputs: where they lie, whether they are whole, when they go |
//! | [`audit`] | what ran, written down |
//! | [`log`] | what happened to a run, line by line: pure |
//! | [`hooks`] | tells whom a pipeline names how its runs ended |
//! | [`lineage`] | tells an OpenLineage consumer which jobs read and wrote which data |
//! | [`fingerprint`], [`reuse`] | what need not be done again: pure |
//! | [`retry`] | when it is tried again: pure |
//! | [`scheduler`] | runs pipelines when their time has come |
//! | [`backfill`] | fills a range of a schedule's times back |
//! | [`retention`] | what was kept goes in the end |

mod attempt;
mod attendant;
mod audit;
mod backfill;
mod earlier;
mod ended;
mod finally;
mod fingerprint;
mod former;
mod hooks;
mod intake;
mod kept;
mod lineage;
pub mod log;
mod request;
mod retention;
mod retry;
mod reuse;
mod scheduler;
mod settings;
mod tell;
mod worker;

pub use backfill::{Backfill, Occurrence, Outcome};
pub use hooks::HookSettings;
pub use lineage::LineageSettings;
pub use request::{Refused, RunRequest, Submission, UNNAMED};
pub use retry::RetryPolicy;
pub use settings::Settings;

use crate::run::Runner;
use crate::store::Store;
use flight_common::{DataRoot, Fault};
use lineage::Lineage;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The durable orchestrator: one replica of it. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    store: Store,
    runner: Arc<dyn Runner>,
    data_root: DataRoot,
    own: DataRoot,
    settings: Settings,
    lineage: Option<Lineage>,
    /// What this replica is called in the store: unlike any other, also of the same machine.
    owner: String,
    /// Told when there may be something to take.
    wake: Notify,
    under_way: Mutex<HashMap<String, UnderWay>>,
    pulse: Mutex<Pulse>,
    /// Nothing more happens to runs of this replica: it has gone down.
    over: CancellationToken,
    whole: kept::Whole,
    /// One is held by the upload whose file is put into its place: by its name, so that a long one keeps few others waiting.
    publishing: [AsyncMutex<()>; 64],
}

/// What the worker of a replica does.
#[derive(Clone, Copy, Debug, Default)]
pub enum Pulse {
    /// It has not begun.
    #[default]
    Still,
    /// It went round at this time.
    Beat(std::time::Instant),
    /// It takes no more runs: the replica goes down.
    Draining,
}

/// An attempt of this replica.
#[derive(Clone)]
struct UnderWay {
    fence: i64,
    /// Ends it. Why it was ended is in those below.
    stop: CancellationToken,
    /// Ends also what runs finally: this replica has no more to do with the run.
    abandon: CancellationToken,
    /// Its run belongs to another replica now.
    lost: CancellationToken,
    /// This replica is going down.
    released: CancellationToken,
}

impl UnderWay {
    /// Whether this replica has no more to do with the run: another one has it, or will have it.
    fn is_given_up(&self) -> bool {
        self.lost.is_cancelled() || self.released.is_cancelled()
    }

    /// Ends it at once, with all that would run finally.
    fn end(&self) {
        self.abandon.cancel();
        self.stop.cancel();
    }
}

impl Service {
    /// Told when this replica has gone down, and nothing more happens to its runs.
    pub fn over(&self) -> CancellationToken {
        self.0.over.clone()
    }

    /// A replica that keeps its runs in `store` and runs them by `runner`.
    ///
    /// # Errors
    /// Why the orchestrator's own folder in the data root cannot be had.
    pub fn new(store: Store, runner: Arc<dyn Runner>, data_root: DataRoot, settings: Settings) -> Result<Self, Fault> {
        let own = data_root.own_folder()?;
        Ok(Self(Arc::new(Inner {
            store,
            runner,
            data_root,
            own,
            lineage: settings.lineage.clone().map(Lineage::new),
            settings,
            owner: uuid::Uuid::now_v7().to_string(),
            wake: Notify::new(),
            under_way: Mutex::default(),
            pulse: Mutex::default(),
            over: CancellationToken::new(),
            whole: kept::Whole::default(),
            publishing: std::array::from_fn(|_| AsyncMutex::default()),
        })))
    }

    /// Waits for the turn to look what is at this path, and to replace it: other uploads to this orchestrator wait meanwhile. Paths
    /// that lead to one folder, as links do, have the name of the file in common. Other orchestrators know nothing of it.
    pub async fn publishing(&self, path: &Path) -> AsyncMutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        path.file_name().hash(&mut hasher);
        self.0.publishing[hasher.finish() as usize % self.0.publishing.len()].lock().await
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What runs plans.
    pub fn runner(&self) -> &Arc<dyn Runner> {
        &self.0.runner
    }

    /// Where files are.
    pub fn data_root(&self) -> &DataRoot {
        &self.0.data_root
    }

    /// The orchestrator's own folder.
    pub fn own_folder(&self) -> &DataRoot {
        &self.0.own
    }

    /// What an operator has set.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The name of this replica.
    pub fn owner(&self) -> &str {
        &self.0.owner
    }

    /// What the worker does.
    pub fn pulse(&self) -> Pulse {
        *self.0.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_pulse(&self, pulse: Pulse) {
        *self.0.pulse.lock().unwrap_or_else(PoisonError::into_inner) = pulse;
    }

    /// Takes and runs runs until `stop`, and then lets those under way end, as long as the settings allow.
    pub fn start(&self, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(worker::work(self.clone(), stop))
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, UnderWay>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
