//! What a step is: a name, parameters, and two functions.
//!
//! [`Step::plan`] looks at parameters and input schemas and says what will come out; it reads no rows of its inputs.
//! [`Step::process`] turns input streams into output streams; it is not asked again what the columns are. No gRPC type
//! appears in either. The same step runs in a process of its own behind Flight, or inside the `quiver` command.

use crate::compute;
use crate::data_root::DataRoot;
use crate::dataset::{Dataset, ReadFile, Written};
use crate::describe::{Effects, StepSpec};
use crate::fault::Fault;
use crate::memory::MemoryBudget;
use crate::outbound::AllowList;
use crate::permission::Permission;
use crate::report::Meter;
use crate::spool::SpillSpace;
use crate::stream::BatchStream;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// An extract, transform or load operation.
pub trait Step: Send + Sync + 'static {
    /// Its parameters. Unknown ones are refused (`#[serde(deny_unknown_fields)]`), and the doc comment of each field
    /// is what a user reads about it.
    type Params: DeserializeOwned + JsonSchema + Send;

    /// What [`Step::plan`] worked out and [`Step::process`] needs: column indices, compiled expressions.
    type Run: Send + 'static;

    /// What it is called and what it takes and gives.
    fn spec(&self) -> StepSpec;

    /// Checks parameters against the schemas of the inputs and says which schemas come out. Reads no rows of an
    /// input; an extract may look into its source.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadSchema`] for columns that are missing or of the wrong type,
    /// [`crate::FaultKind::BadParams`] for parameters that cannot be, and whatever the source of an extract says.
    fn plan(
        &self,
        params: Self::Params,
        inputs: &InputSchemas,
        env: &StepEnv,
    ) -> impl Future<Output = Result<Planned<Self::Run>, Fault>> + Send;

    /// Runs it. Streams are polled on the compute pool; work begins when the first output is polled.
    ///
    /// # Errors
    /// A fault before the first row. Later ones travel in the output streams.
    fn process(&self, run: Self::Run, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault>;
}

/// What a process gives to all its steps.
#[derive(Clone, Debug)]
pub struct StepEnv {
    /// Where files may be.
    pub data_root: DataRoot,
    /// Where rows that must wait may be kept.
    pub space: SpillSpace,
    /// Which addresses a step may reach over HTTP beyond public ones.
    pub http_allow: AllowList,
}

/// The schemas of a step's inputs, in the order of its [`StepSpec::inputs`]; where the caller names them, in the
/// caller's.
#[derive(Clone, Debug, Default)]
pub struct InputSchemas {
    names: Vec<String>,
    schemas: Vec<SchemaRef>,
}

impl InputSchemas {
    /// These schemas, one for each input, under the names that the step declares.
    pub fn new(schemas: Vec<SchemaRef>) -> Self {
        Self { names: Vec::new(), schemas }
    }

    /// The same schemas, under names of the caller's; of none, those that the step declares.
    pub fn called(self, names: &[String]) -> Self {
        Self { names: names.to_vec(), ..self }
    }

    /// The names of the inputs. The kit has seen to it that a step that plans sees one for each.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The schema of the input at this place. The kit has checked that there is one for each declared input.
    pub fn at(&self, index: usize) -> &SchemaRef {
        &self.schemas[index]
    }

    /// All of them, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SchemaRef)> {
        self.names.iter().map(String::as_str).zip(&self.schemas)
    }

    /// The schema of a step's only input.
    pub fn only(&self) -> &SchemaRef {
        self.at(0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.schemas.len()
    }

    /// Whether there is none: an extract.
    pub fn is_empty(&self) -> bool {
        self.schemas.is_empty()
    }
}

/// The answer of [`Step::plan`].
pub struct Planned<R> {
    /// The schema of each output, in the order of [`StepSpec::outputs`].
    pub outputs: Vec<SchemaRef>,
    /// What identifies the source of an extract at this moment: path, size and time of change; of a load, what it writes.
    /// Planned again before the run, it must be the same.
    pub source: Option<String>,
    /// The data outside the pipeline that an extract reads or a load writes.
    pub datasets: Vec<Dataset>,
    /// The files that it reads. None of them may be written by a step that another one of the run does not wait for.
    pub reads: Vec<ReadFile>,
    /// What it writes, each file and table by itself: no other step of a run may write the same, unless both only add to it.
    pub writes: Vec<Written>,
    /// What it does to the world with these parameters, where that is less than its [`StepSpec::effects`].
    pub effects: Option<Effects>,
    /// What to run.
    pub run: R,
}

impl<R> Planned<R> {
    /// A plan with one output.
    pub fn new(output: SchemaRef, run: R) -> Self {
        let (reads, writes) = (Vec::new(), Vec::new());
        Self { outputs: vec![output], source: None, datasets: Vec::new(), reads, writes, effects: None, run }
    }

    /// Adds the schema of a further output.
    pub fn output(mut self, schema: SchemaRef) -> Self {
        self.outputs.push(schema);
        self
    }

    /// Tells what identifies the source, or what a load writes.
    pub fn source(mut self, identity: impl Into<String>) -> Self {
        self.source = Some(identity.into());
        self
    }

    /// Says what it does to the world with these parameters: no more than its [`StepSpec::effects`], which is what those
    /// take it for who have not planned it.
    pub fn effects(mut self, effects: Effects) -> Self {
        self.effects = Some(effects);
        self
    }

    /// Names a file or table that is written: in the place of what is there, unless a [`Written`] says otherwise.
    pub fn writes(mut self, written: impl Into<Written>) -> Self {
        self.writes.push(written.into());
        self
    }

    /// Names files that are read.
    pub fn reads(mut self, read: impl IntoIterator<Item = ReadFile>) -> Self {
        self.reads.extend(read);
        self
    }

    /// Names data that are read or written.
    pub fn dataset(mut self, dataset: Dataset) -> Self {
        self.datasets.push(dataset);
        self
    }
}

/// The input streams of a run, in the order of the [`InputSchemas`] of its plan.
pub struct Inputs(Vec<Option<BatchStream>>);

impl Inputs {
    /// These streams, one for each input.
    pub fn new(streams: Vec<BatchStream>) -> Self {
        Self(streams.into_iter().map(Some).collect())
    }

    /// Takes the stream at this place, once.
    ///
    /// # Errors
    /// [`crate::FaultKind::Internal`] when it was taken before or was never declared.
    pub fn take(&mut self, index: usize) -> Result<BatchStream, Fault> {
        let stream = self.0.get_mut(index).and_then(Option::take);
        stream.ok_or_else(|| Fault::internal(format!("input {index} was taken twice, or is not declared")))
    }

    /// Takes a step's only input.
    ///
    /// # Errors
    /// As [`Inputs::take`].
    pub fn only(mut self) -> Result<BatchStream, Fault> {
        self.take(0)
    }
}

/// The output streams of a run, in the order of [`StepSpec::outputs`].
pub struct Outputs(pub(crate) Vec<Option<BatchStream>>);

impl Outputs {
    /// The main output.
    pub fn main(stream: BatchStream) -> Self {
        Self(vec![Some(stream)])
    }

    /// Adds a further output, or nothing for one that nobody claimed.
    pub fn and(mut self, stream: Option<BatchStream>) -> Self {
        self.0.push(stream);
        self
    }
}

/// What a run of a step may use. Cheap to clone into its streams.
#[derive(Clone)]
pub struct StepContext {
    /// The run it belongs to. Outputs are named by it.
    pub run_id: Arc<str>,
    /// What it is called in the pipeline of that run; empty where the caller did not say.
    pub node: Arc<str>,
    /// What it may have been called when an earlier attempt of the run let it commit: names that no step of the run has any
    /// more. What was written under one of them, of the same rows, it has written itself.
    pub formerly: Arc<[String]>,
    /// The data root and the spill space of this process; what this step spills is counted for it alone.
    pub env: StepEnv,
    /// Counters and findings of its own.
    pub meter: Arc<Meter>,
    /// The further outputs that somebody is going to read.
    pub claimed: Arc<[String]>,
    /// Whether it may commit: obtained at the last moment before.
    pub permission: Permission,
}

impl StepContext {
    /// Whether somebody is going to read this further output.
    pub fn claims(&self, output: &str) -> bool {
        self.claimed.iter().any(|name| name == output)
    }

    /// The memory budget of the process.
    pub fn budget(&self) -> &MemoryBudget {
        self.env.space.budget()
    }

    /// The spill space.
    pub fn space(&self) -> &SpillSpace {
        &self.env.space
    }

    /// What comes from outside of the run, from a database or over HTTP: while it has nothing, the step waits, as it does for
    /// an input.
    pub fn from_outside<S: futures::Stream + Send + 'static>(
        &self,
        items: S,
    ) -> impl futures::Stream<Item = S::Item> + Send + 'static {
        let meter = self.meter.clone();
        let mut items = Box::pin(items);
        futures::stream::poll_fn(move |cx| {
            let polled = items.as_mut().poll_next(cx);
            meter.starved(polled.is_pending());
            polled
        })
    }

    /// Applies a pure function to each batch on as many threads as there are cores, and keeps the order.
    ///
    /// For work that takes long per batch, such as parsing and formatting. At most one batch per core is under way.
    pub fn map_parallel<T, U, F>(
        &self,
        items: impl futures::Stream<Item = Result<T, Fault>> + Send + 'static,
        apply: F,
    ) -> impl futures::Stream<Item = Result<U, Fault>> + Send + 'static
    where
        T: Send + 'static,
        U: Send + 'static,
        F: Fn(T) -> Result<U, Fault> + Clone + Send + Sync + 'static,
    {
        let meter = self.meter.clone();
        items
            .map(move |item| {
                let (apply, meter) = (apply.clone(), meter.clone());
                async move {
                    let item = item?;
                    compute::run(move || {
                        let _job = meter.job();
                        apply(item)
                    })
                    .await
                }
            })
            .buffered(compute::workers())
    }

    /// As [`StepContext::map_parallel`], from batches to batches of this schema.
    pub fn map_batches_parallel<F>(&self, input: BatchStream, schema: SchemaRef, apply: F) -> BatchStream
    where
        F: Fn(RecordBatch) -> Result<RecordBatch, Fault> + Clone + Send + Sync + 'static,
    {
        BatchStream::new(schema, self.map_parallel(input, apply))
    }
}
