//! A step run in a line, in this process.

use crate::data_root::DataRoot;
use crate::drive::{Driven, Part, drive};
use crate::fault::{Fault, FaultKind};
use crate::memory::MemoryBudget;
use crate::outbound::AllowList;
use crate::permission::Permission;
use crate::registry::{AnyStep, erase};
use crate::report::StepReport;
use crate::spool::SpillSpace;
use crate::step::{InputSchemas, Step, StepEnv};
use crate::stream::BatchStream;
use crate::{BATCH_ROWS, compute};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use serde_json::Value;
use std::path::Path;

/// What came out of a step.
#[derive(Debug)]
pub struct Ran {
    /// The schema of the main output.
    pub schema: SchemaRef,
    /// The batches of the main output, as they came.
    pub batches: Vec<RecordBatch>,
    /// The rows of each further output that was claimed, by its place in the step's outputs.
    pub further: Vec<Option<RecordBatch>>,
    /// The step's figures.
    pub report: StepReport,
}

impl Ran {
    /// All rows of the main output as one batch.
    pub fn rows(&self) -> RecordBatch {
        concat_batches(&self.schema, &self.batches).expect("a step's batches share its schema")
    }

    /// The names of the columns with their types, and the rows as text with `∅` for null.
    pub fn shown(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let rows = self.rows();
        let options = FormatOptions::default().with_null("∅");
        let columns = rows.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("shown"));
        let columns: Vec<_> = columns.collect();
        let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
        let named = self.schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type()));
        (named.collect(), (0..rows.num_rows()).map(row).collect())
    }

    /// The rows as text.
    pub fn cells(&self) -> Vec<Vec<String>> {
        self.shown().1
    }
}

/// The fault of a run that must fail: of this kind, with these words in what it says or advises.
pub fn refused(ran: Result<Ran, Fault>, kind: FaultKind, words: &[&str]) -> Fault {
    let fault = ran.expect_err("refused");
    assert_eq!(fault.kind(), kind, "{fault:?}");
    let said = format!("{} | {}", fault.message(), fault.help_text().unwrap_or_default());
    for word in words {
        assert!(said.contains(word), "\"{word}\" in: {said}");
    }
    fault
}

/// A step with its surroundings, to be run on literals.
pub struct Bench {
    /// Where files may be, and the memory there is.
    pub env: StepEnv,
    /// How many rows each input batch gets.
    pub batch_rows: usize,
    /// The further outputs that are read.
    pub claimed: Vec<String>,
    /// What the inputs are called, for a step that takes any.
    pub names: Vec<String>,
    /// The run that it is part of.
    pub run_id: String,
    /// What it is called in the pipeline of that run.
    pub node: String,
    /// What it may have been called before.
    pub formerly: Vec<String>,
    /// Whether it may commit.
    pub permission: Permission,
}

impl Bench {
    /// Surroundings with this data root and the default memory.
    pub fn at(data_root: &Path) -> Self {
        let data_root = DataRoot::open(data_root).expect("the data root of a test is a folder");
        Self {
            env: StepEnv { data_root, space: SpillSpace::default(), http_allow: AllowList::default() },
            batch_rows: BATCH_ROWS,
            claimed: Vec::new(),
            names: Vec::new(),
            run_id: "test-run".to_owned(),
            node: String::new(),
            formerly: Vec::new(),
            permission: Permission::default(),
        }
    }

    /// Surroundings for a step that touches no file.
    pub fn new() -> Self {
        Self::at(&std::env::temp_dir())
    }

    /// Cuts inputs into batches of this many rows.
    pub fn batches_of(mut self, rows: usize) -> Self {
        self.batch_rows = rows;
        self
    }

    /// Lets nothing commit, with these words.
    pub fn forbidding(mut self, why: &'static str) -> Self {
        self.permission = Permission::by_asking(move || async move { Err(Fault::cancelled(why)) });
        self
    }

    /// Allows this much memory.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.env.space = SpillSpace::new(MemoryBudget::new(bytes), std::env::temp_dir(), u64::MAX);
        self
    }

    /// Lets the step reach these hosts and networks over HTTP.
    pub fn http_allow(mut self, allowed: AllowList) -> Self {
        self.env.http_allow = allowed;
        self
    }

    /// Reads this further output too.
    pub fn claim(mut self, output: &str) -> Self {
        self.claimed.push(output.to_owned());
        self
    }

    /// Calls the inputs so, for a step that takes any.
    pub fn called<N: AsRef<str>>(mut self, names: &[N]) -> Self {
        self.names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Makes it part of this run.
    pub fn of_run(mut self, run_id: &str) -> Self {
        self.run_id = run_id.to_owned();
        self
    }

    /// Calls it so in the pipeline of its run.
    pub fn at_node(mut self, node: &str) -> Self {
        self.node = node.to_owned();
        self
    }

    /// Says that it may have been called so by earlier attempts of its run.
    pub fn formerly(mut self, names: &[&str]) -> Self {
        self.formerly = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Runs the step to its end.
    ///
    /// # Errors
    /// The step's fault, from planning or from running.
    pub async fn run(&self, step: impl Step, params: Value, inputs: &[RecordBatch]) -> Result<Ran, Fault> {
        let streams = inputs.iter().map(|input| slices(input, self.batch_rows)).collect();
        self.run_streams(step, params, streams).await
    }

    /// Runs the step on these streams.
    ///
    /// # Errors
    /// As [`Bench::run`].
    pub async fn run_streams(&self, step: impl Step, params: Value, inputs: Vec<BatchStream>) -> Result<Ran, Fault> {
        self.run_erased(&*erase(step), &params, inputs).await
    }

    /// As [`Bench::run_streams`], for a step that runs more than once.
    ///
    /// # Errors
    /// As [`Bench::run`].
    pub async fn run_erased(&self, step: &dyn AnyStep, params: &Value, inputs: Vec<BatchStream>) -> Result<Ran, Fault> {
        let (schema, Driven { mut outputs, gauge }) = self.start(step, params, inputs).await?;
        let further = outputs.split_off(1);
        let further = further
            .into_iter()
            .map(|stream| stream.map(|stream| compute::spawn(async move { stream.collect_rows().await })));
        let further: Vec<_> = further.collect();
        let main = outputs.remove(0).expect("a step has a main output");
        let batches = compute::spawn(async move { main.try_collect::<Vec<_>>().await });
        let batches = batches.await.map_err(Fault::internal)??;
        let mut rows = Vec::new();
        for task in further {
            rows.push(match task {
                Some(task) => Some(task.await.map_err(Fault::internal)??),
                None => None,
            });
        }
        Ok(Ran { schema, batches, further: rows, report: gauge.report() })
    }

    /// Plans the step and starts it on these streams; the caller polls its outputs. The schema is that of the main one.
    ///
    /// # Errors
    /// The step's fault, from planning or from starting.
    pub async fn start(
        &self,
        step: &dyn AnyStep,
        params: &Value,
        inputs: Vec<BatchStream>,
    ) -> Result<(SchemaRef, Driven), Fault> {
        let schemas = InputSchemas::new(inputs.iter().map(BatchStream::schema).collect()).called(&self.names);
        let planned = step.plan(params, &schemas, &self.env).await?;
        let schema = planned.outputs[0].clone();
        let Self { run_id, node, formerly, permission, .. } = self;
        let part = Part { run_id, node, formerly, permission: permission.clone() };
        Ok((schema, drive(planned, inputs, &self.env, part, &self.claimed)?))
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

/// A batch as a stream of slices of `rows` rows.
pub fn slices(whole: &RecordBatch, rows: usize) -> BatchStream {
    let parts = (0..whole.num_rows()).step_by(rows.max(1));
    let parts = parts.map(|start| whole.slice(start, rows.min(whole.num_rows() - start)));
    BatchStream::from_batches(whole.schema(), parts.collect())
}
