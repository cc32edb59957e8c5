//! Where steps are: in this process, or behind Flight. The rest of the orchestrator sees these traits only.

use arrow::datatypes::SchemaRef;
use flight_common::{Fault, StepCommand, StepDescription};
use futures::future::BoxFuture;

/// Knows which steps there are, and plans them. Enough to check a pipeline.
pub trait Planner: Send + Sync {
    /// What the steps say of themselves.
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<StepDescription>, Fault>>;

    /// Plans one step: its parameters and input schemas to its output schemas. No row is read.
    fn plan(&self, command: StepCommand, inputs: Vec<SchemaRef>) -> BoxFuture<'_, Result<StepPlan, Fault>>;
}

/// A step's answer to planning.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// The schema of each output, in the order of the step's description.
    pub outputs: Vec<SchemaRef>,
    /// What identifies the source of an extract.
    pub source: Option<String>,
}
