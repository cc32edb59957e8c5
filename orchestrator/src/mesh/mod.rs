//! Where steps are: in this process, or behind Flight. The rest of the orchestrator sees these traits only.
//!
//! The two doors differ in what flows between steps: record batches in one process ([`InProcess`]), undecoded Flight
//! frames between processes ([`FlightMesh`]). The engine is written once, over [`Mesh::Item`].

mod flight;
mod in_process;
mod secrets;

pub use flight::FlightMesh;
pub use in_process::InProcess;
pub(crate) use secrets::secret_name;
pub use secrets::{Secrets, WithSecrets};

use arrow::datatypes::SchemaRef;
use flight_common::{
    DataRoot, Dataset, EdgeStream, Effects, Fault, Parcel, Permission, ReadFile, StepCommand, StepDescription,
    StepReport, Written,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Knows which steps there are, and plans them. Enough to check a pipeline.
pub trait Planner: Send + Sync {
    /// What the steps say of themselves.
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<Arc<StepDescription>>, Fault>>;

    /// Whether each step answers, by its name; a server of which nothing is known yet, by its address.
    fn health(&self) -> BoxFuture<'_, Vec<(String, Result<(), Fault>)>> {
        async move {
            match self.catalog().await {
                Ok(steps) => steps.iter().map(|step| (step.name.clone(), Ok(()))).collect(),
                Err(fault) => vec![("steps".to_owned(), Err(fault))],
            }
        }
        .boxed()
    }

    /// The servers that have never answered: which steps they have is not known.
    fn silent(&self) -> Vec<String> {
        Vec::new()
    }

    /// The files beneath the data root whose paths match a pattern, in order.
    fn files(&self, pattern: &str) -> Result<Matching, Fault>;

    /// Plans one step: its parameters and input schemas to its output schemas. The command names the inputs. No row is read.
    fn plan(&self, command: StepCommand, inputs: Vec<SchemaRef>) -> BoxFuture<'_, Result<StepPlan, Fault>>;
}

/// More files than one pipeline reads.
const MOST_FILES: usize = 1_000;

/// Files that match a pattern.
#[derive(Clone, Debug)]
pub struct Matching {
    /// Their paths, in order.
    pub files: Vec<String>,
    /// What they, and those that may be there later, are called among all data.
    pub called: ReadFile,
}

/// What [`Planner::files`] finds beneath this data root.
fn files_of(root: &DataRoot, pattern: &str) -> Result<Matching, Fault> {
    const PARAM: &str = "files";
    Ok(Matching {
        files: root.matching(pattern, PARAM, MOST_FILES)?,
        called: ReadFile::matching(root, pattern, PARAM)?,
    })
}

/// A step's answer to planning.
#[derive(Clone, Debug, Default)]
pub struct StepPlan {
    /// The schema of each output, in the order of the step's description.
    pub outputs: Vec<SchemaRef>,
    /// What identifies the source of an extract, or what a load writes.
    pub source: Option<String>,
    /// The data outside the pipeline that it reads or writes.
    pub datasets: Vec<Dataset>,
    /// The files that it reads.
    pub reads: Vec<ReadFile>,
    /// What it writes, each file and table by itself.
    pub writes: Vec<Written>,
    /// What it does to the world with these parameters; what it describes, if nothing is said.
    pub effects: Option<Effects>,
}

/// Runs steps.
pub trait Mesh: Planner + 'static {
    /// What flows between its steps.
    type Item: Parcel;

    /// Starts a step on its inputs. Returns once its output schemas are known; rows flow as they are read.
    fn start(&self, call: Call<Self::Item>) -> BoxFuture<'_, Result<Running<Self::Item>, Fault>>;
}

impl<M: Planner> Planner for Arc<M> {
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<Arc<StepDescription>>, Fault>> {
        M::catalog(self)
    }

    fn health(&self) -> BoxFuture<'_, Vec<(String, Result<(), Fault>)>> {
        M::health(self)
    }

    fn silent(&self) -> Vec<String> {
        M::silent(self)
    }

    fn files(&self, pattern: &str) -> Result<Matching, Fault> {
        M::files(self, pattern)
    }

    fn plan(&self, command: StepCommand, inputs: Vec<SchemaRef>) -> BoxFuture<'_, Result<StepPlan, Fault>> {
        M::plan(self, command, inputs)
    }
}

impl<M: Mesh> Mesh for Arc<M> {
    type Item = M::Item;

    fn start(&self, call: Call<M::Item>) -> BoxFuture<'_, Result<Running<M::Item>, Fault>> {
        M::start(self, call)
    }
}

/// A step to start.
pub struct Call<T> {
    /// The step, its parameters, the names of its inputs, the run, the further outputs that are claimed.
    pub command: StepCommand,
    /// Its inputs, in the order of their names.
    pub inputs: Vec<EdgeStream<T>>,
    /// How long it may take.
    pub limit: Option<Duration>,
    /// Whether it may commit.
    pub permission: Permission,
}

/// A step under way.
pub struct Running<T> {
    /// The main output, then those claimed, in the order of the claim.
    pub outputs: Vec<EdgeStream<T>>,
    /// Its figures: up to now in this process, at its end behind Flight.
    pub figures: Box<dyn Fn() -> Option<StepReport> + Send + Sync>,
    /// What may be told of its receipt.
    pub tellable: Box<dyn Fn(Value) -> Value + Send + Sync>,
}
