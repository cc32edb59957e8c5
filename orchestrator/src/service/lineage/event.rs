//! What is told of runs, as OpenLineage (openlineage.io, spec 2-0-2) has it. Pure.
//!
//! A pipeline is a job, and each of its steps a job beneath it. A step's run is one attempt of it. A load names, beside what
//! it writes, what the rows that reach it were read from, so that a consumer need not know what lies between. Steps are
//! told of when their attempt has ended: until then they all run at once.

use crate::pipeline::{Plan, PlannedNode};
use crate::run::{RunReport, Status, StepOutcome};
use arrow::datatypes::{DataType, FieldRef};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use flight_common::{Dataset, Fault, StepKind};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Whose metadata this is.
const PRODUCER: &str = concat!("urn:quiver:orchestrator:", env!("CARGO_PKG_VERSION"));
const EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
/// Longer messages of faults are cut.
const LONGEST_MESSAGE: usize = 4_000;

/// The attempt that is told of.
#[derive(Clone, Debug)]
pub(in crate::service) struct About {
    /// The namespace of jobs.
    pub namespace: String,
    /// The pipeline.
    pub pipeline: String,
    /// The id of the run.
    pub run: String,
    /// The attempt, from 1.
    pub attempt: i64,
    /// The trace of the run.
    pub trace: Option<String>,
}

/// What becomes of a job's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) enum Turn {
    /// It begins.
    Start,
    /// It goes on with another attempt.
    Running,
    /// It ended well.
    Complete,
    /// It failed.
    Fail,
    /// It was stopped.
    Abort,
}

impl Turn {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Fail => "FAIL",
            Self::Abort => "ABORT",
        }
    }
}

/// The data that a pipeline, or a step of it, has read and written: `inputs` and `outputs` of an event.
#[derive(Clone, Debug, Default)]
pub(in crate::service) struct Touched {
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

impl Touched {
    /// This, and what was touched later.
    pub fn and(self, later: Self) -> Self {
        let both = |first: Vec<Value>, second: Vec<Value>| first.into_iter().chain(second).collect();
        Self { inputs: both(self.inputs, later.inputs), outputs: both(self.outputs, later.outputs) }
    }
}

impl About {
    /// What is told of the whole pipeline.
    pub fn pipeline(&self, turn: Turn, now: DateTime<Utc>, fault: Option<&str>, touched: Touched) -> Value {
        let job = self.job(self.pipeline.clone(), "PIPELINE");
        self.event(turn, now, run_uuid(&self.run), self.run_facets(fault), job, touched)
    }

    /// What is told of the steps that ran in an attempt that ended now: that each began, and how it ended.
    pub fn steps(&self, plan: &Plan, report: &RunReport, now: DateTime<Utc>) -> Vec<Value> {
        let all = plan.nodes.iter().zip(&report.steps).enumerate();
        let ran = all.filter_map(|(place, (node, step))| Some((place, node, step, turn(step.status)?)));
        ran.flat_map(|(place, node, step, turn)| {
            let began = now - TimeDelta::microseconds((step.duration_ms * 1e3) as i64);
            let told = |turn, at, fault, touched| {
                let job = self.job(format!("{}.{}", self.pipeline, node.id), "STEP");
                let mut facets = self.run_facets(fault);
                facets.insert("parent".to_owned(), self.parent());
                self.event(turn, at, self.step_uuid(&node.id), facets, job, touched)
            };
            let fault = step.fault.as_ref().map(Fault::to_string);
            let touched = touched(plan, report, place);
            [
                told(Turn::Start, began, None, Touched::default()),
                told(turn, now, fault.as_deref().filter(|_| turn == Turn::Fail), touched),
            ]
        })
        .collect()
    }

    fn event(
        &self,
        turn: Turn,
        at: DateTime<Utc>,
        run: Uuid,
        facets: Map<String, Value>,
        job: Value,
        touched: Touched,
    ) -> Value {
        json!({
            "eventType": turn.name(),
            "eventTime": at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "run": {"runId": run, "facets": facets},
            "job": job,
            "inputs": touched.inputs,
            "outputs": touched.outputs,
            "producer": PRODUCER,
            "schemaURL": EVENT,
        })
    }

    fn job(&self, name: String, kind: &str) -> Value {
        let of_kind = json!({"processingType": "BATCH", "integration": "QUIVER", "jobType": kind});
        json!({
            "namespace": self.namespace,
            "name": name,
            "facets": {"jobType": facet("2-0-3/JobTypeJobFacet", of_kind)},
        })
    }

    fn run_facets(&self, fault: Option<&str>) -> Map<String, Value> {
        let mut facets = Map::new();
        let engine = json!({"name": "Quiver", "version": env!("CARGO_PKG_VERSION")});
        facets.insert("processing_engine".to_owned(), facet("1-1-1/ProcessingEngineRunFacet", engine));
        let tag = |key: &str, value: String| json!({"key": key, "value": value, "source": "QUIVER"});
        let mut tags = vec![tag("attempt", self.attempt.to_string())];
        tags.extend(self.trace.iter().map(|trace| tag("trace_id", trace.clone())));
        facets.insert("tags".to_owned(), facet("1-0-0/TagsRunFacet", json!({"tags": tags})));
        if let Some(fault) = fault {
            let message: String = fault.chars().take(LONGEST_MESSAGE).collect();
            let error = json!({"message": message, "programmingLanguage": "RUST"});
            facets.insert("errorMessage".to_owned(), facet("1-0-1/ErrorMessageRunFacet", error));
        }
        facets
    }

    fn parent(&self) -> Value {
        let run = json!({"runId": run_uuid(&self.run)});
        let job = json!({"namespace": self.namespace, "name": self.pipeline});
        facet("1-1-0/ParentRunFacet", json!({"run": run, "job": job, "root": {"run": run, "job": job}}))
    }

    fn step_uuid(&self, id: &str) -> Uuid {
        derived(&[&self.run, &self.attempt.to_string(), id])
    }
}

/// How a step's run ended; nothing for one that did not run.
fn turn(status: Status) -> Option<Turn> {
    match status {
        Status::Done => Some(Turn::Complete),
        Status::Failed => Some(Turn::Fail),
        Status::Cancelled => Some(Turn::Abort),
        _ => None,
    }
}

/// The data of the whole attempt: of all steps that ran, each once.
pub(in crate::service) fn touched_by_all(plan: &Plan, report: &RunReport) -> Touched {
    let mut all = Touched::default();
    for place in 0..plan.nodes.len().min(report.steps.len()) {
        let one = touched(plan, report, place);
        all.inputs.extend(one.inputs);
        all.outputs.extend(one.outputs);
    }
    for side in [&mut all.inputs, &mut all.outputs] {
        let mut known = Vec::new();
        side.retain(|dataset| {
            let name = (dataset["namespace"].clone(), dataset["name"].clone());
            let new = !known.contains(&name);
            known.push(name);
            new
        });
    }
    all
}

/// What a step reads and writes outside the pipeline; of a load, also what its rows were read from.
fn touched(plan: &Plan, report: &RunReport, place: usize) -> Touched {
    let node = &plan.nodes[place];
    match node.kind {
        StepKind::Extract => Touched { inputs: inputs(node, &report.steps[place]), outputs: Vec::new() },
        StepKind::Transform => Touched::default(),
        StepKind::Load if !matches!(report.steps[place].status, Status::Done | Status::Reused) => Touched::default(),
        StepKind::Load => {
            let sources = sources_of(plan, place).into_iter();
            let inputs = sources.flat_map(|source| inputs(&plan.nodes[source], &report.steps[source])).collect();
            Touched { inputs, outputs: outputs(plan, node, &report.steps[place]) }
        }
    }
}

/// The extracts from which a node's rows come.
fn sources_of(plan: &Plan, place: usize) -> Vec<usize> {
    let mut reached = vec![false; plan.nodes.len()];
    let mut ahead = vec![place];
    while let Some(next) = ahead.pop() {
        if !std::mem::replace(&mut reached[next], true) {
            ahead.extend(plan.nodes[next].inputs.iter().map(|input| input.node));
        }
    }
    let extracts = |place: &usize| reached[*place] && plan.nodes[*place].kind == StepKind::Extract;
    (0..plan.nodes.len()).filter(extracts).collect()
}

fn inputs(node: &PlannedNode, step: &StepOutcome) -> Vec<Value> {
    let columns = node.outputs.first().map_or_else(Vec::new, |(_, schema)| fields(schema.fields()));
    let read = facet("1-0-0/InputStatisticsInputDatasetFacet", json!({"rowCount": step.rows_out}));
    // Of several files together the rows are known, not those of each; of a step that was not done again perhaps none.
    let known = node.datasets.len() == 1 && (step.status != Status::Reused || step.rows_out > 0);
    let figures = if known { json!({"inputStatistics": read}) } else { json!({}) };
    let named = node.datasets.iter().map(|dataset| with_facets(dataset, &columns, "inputFacets", figures.clone()));
    named.collect()
}

fn outputs(plan: &Plan, node: &PlannedNode, step: &StepOutcome) -> Vec<Value> {
    let fed = node.inputs.first().and_then(|input| {
        let outputs = &plan.nodes[input.node].outputs;
        outputs.iter().find(|(name, _)| *name == input.output)
    });
    let columns = fed.map_or_else(Vec::new, |(_, schema)| fields(schema.fields()));
    let receipt = step.receipt.as_ref();
    let figure = |name: &str| receipt.and_then(|receipt| receipt[name].as_u64());
    let mut written = json!({"rowCount": figure("rows").unwrap_or(step.rows_in)});
    if let Some(bytes) = figure("bytes") {
        written["size"] = bytes.into();
    }
    let figures = json!({"outputStatistics": facet("1-0-2/OutputStatisticsOutputDatasetFacet", written)});
    node.datasets.iter().map(|dataset| with_facets(dataset, &columns, "outputFacets", figures.clone())).collect()
}

fn with_facets(dataset: &Dataset, columns: &[Value], side: &str, figures: Value) -> Value {
    let schema = facet("1-1-1/SchemaDatasetFacet", json!({"fields": columns}));
    json!({"namespace": dataset.namespace, "name": dataset.name, "facets": {"schema": schema}, side: figures})
}

fn fields<'a>(fields: impl IntoIterator<Item = &'a FieldRef>) -> Vec<Value> {
    let field = |field: &FieldRef| match field.data_type() {
        DataType::Struct(inner) => json!({"name": field.name(), "type": "Struct", "fields": self::fields(inner)}),
        other => json!({"name": field.name(), "type": other.to_string()}),
    };
    fields.into_iter().map(field).collect()
}

/// A facet of this version and type.
fn facet(schema: &str, mut content: Value) -> Value {
    let name = schema.rsplit('/').next().unwrap_or(schema);
    content["_producer"] = Value::from(PRODUCER);
    content["_schemaURL"] = Value::from(format!("https://openlineage.io/spec/facets/{schema}.json#/$defs/{name}"));
    content
}

/// The id of a run, which is one already unless somebody has chosen it.
fn run_uuid(id: &str) -> Uuid {
    id.parse().unwrap_or_else(|_| derived(&[id]))
}

/// An id that is the same for the same parts.
fn derived(parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Uuid::new_v8(bytes)
}
