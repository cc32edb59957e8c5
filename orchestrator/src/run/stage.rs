//! The steps of a plan that run at once: what they share, and how they are joined to each other.

use super::attend::Attendant;
use super::engine::RunOptions;
use super::node::NodeTask;
use super::progress::Progress;
use super::report::StepOutcome;
use crate::mesh::Mesh;
use crate::pipeline::{Plan, PlannedNode};
use flight_common::spool::SpillSpace;
use flight_common::{EdgeStream, Fault};
use opentelemetry::trace::TraceContextExt;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch as signal};
use tokio_util::sync::CancellationToken;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What the tasks of a run share.
pub(super) struct Shared {
    pub(super) run_id: String,
    pub(super) space: SpillSpace,
    pub(super) stop: CancellationToken,
    pub(super) progress: Arc<Progress>,
    pub(super) attendant: Arc<dyn Attendant>,
    first: Mutex<Option<(usize, Fault)>>,
    /// For each step, whether its output ended with a fault.
    pub(super) broken: Vec<Arc<AtomicBool>>,
    /// For each step, what became of it.
    pub(super) ends: Vec<signal::Sender<End>>,
    /// What became of the run, for conditions of what runs finally.
    pub(super) run: Value,
}

/// What became of a step; nothing before its end.
pub(super) type End = Option<Arc<StepOutcome>>;

/// The steps that run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// All but those that run finally.
    Steps,
    /// Those that run when all others have ended.
    Finally,
}

impl Stage {
    /// Whether a step belongs to it.
    pub fn has(self, node: &PlannedNode) -> bool {
        node.finally == (self == Self::Finally)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steps => "the run",
            Self::Finally => "what runs finally",
        })
    }
}

impl Shared {
    pub fn new(
        options: &RunOptions,
        space: &SpillSpace,
        stop: CancellationToken,
        progress: Arc<Progress>,
        plan: &Plan,
    ) -> Self {
        Self {
            run_id: options.run_id.clone(),
            space: space.clone(),
            stop,
            progress,
            attendant: options.attendant.clone(),
            first: Mutex::default(),
            broken: plan.nodes.iter().map(|_| Arc::default()).collect(),
            ends: plan.nodes.iter().map(|_| signal::Sender::new(None)).collect(),
            run: Value::Null,
        }
    }

    /// Remembers what became of the steps of an earlier stage, and of the run.
    pub fn following(self, earlier: &Self, run: Value) -> Self {
        Self { ends: earlier.ends.clone(), run, ..self }
    }

    /// Notes that the step at this place failed by itself, and stops the run. Only the first fault is kept: the others
    /// follow from it.
    pub fn note(&self, place: usize, fault: Fault) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((place, fault));
        self.stop.cancel();
    }

    pub fn first(&self) -> Option<(usize, Fault)> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The end of an edge at which its stream is handed over.
pub(super) type Hand<T> = oneshot::Sender<EdgeStream<T>>;

/// The tasks of a plan, joined to each other.
pub(super) fn node_tasks<M: Mesh>(plan: &Plan, stage: Stage, mesh: &Arc<M>, shared: &Arc<Shared>) -> Vec<NodeTask<M>> {
    let mut readers: Vec<HashMap<String, Vec<Hand<M::Item>>>> = plan.nodes.iter().map(|_| HashMap::new()).collect();
    let ends = |places: &[usize]| places.iter().map(|place| shared.ends[*place].subscribe()).collect();
    let own = || plan.nodes.iter().enumerate().filter(|(_, node)| stage.has(node));
    let spans: HashMap<usize, tracing::Span> =
        own().map(|(place, node)| (place, node_span(node, &shared.run_id))).collect();
    let held = held_up(plan);
    let mut tasks = Vec::with_capacity(spans.len());
    for (place, node) in own() {
        let mut inputs = Vec::new();
        // Nobody holds anything back for what is left out.
        let sources = if node.left_out { &[] } else { node.inputs.as_slice() };
        for source in sources {
            let (hand, receiver) = oneshot::channel();
            readers[source.node].entry(source.output.clone()).or_default().push(hand);
            inputs.push(receiver);
            if node.inputs.len() > 1 {
                let context = spans[&source.node].context();
                spans[&place].add_link(context.span().span_context().clone());
            }
        }
        tasks.push(NodeTask {
            place,
            node: node.clone(),
            mesh: mesh.clone(),
            shared: shared.clone(),
            inputs,
            sources: node.inputs.iter().map(|source| source.node).collect(),
            readers: HashMap::new(),
            reads_ahead: held[place],
            after: ends(&node.after),
            asks: ends(&node.asks),
            keeping: Vec::new(),
            span: spans[&place].clone(),
        });
    }
    for task in &mut tasks {
        task.readers = std::mem::take(&mut readers[task.place]);
    }
    tasks
}

/// For each step, whether it may have to wait before it reads: for other steps to end, or for an input that comes from a
/// step that does. What feeds it meanwhile must flow, for others may wait for that in turn.
fn held_up(plan: &Plan) -> Vec<bool> {
    let mut held: Vec<bool> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let waits = !node.after.is_empty() || !node.asks.is_empty();
        held.push(waits || node.inputs.iter().any(|input| held[input.node]));
    }
    held
}

fn node_span(node: &PlannedNode, run_id: &str) -> tracing::Span {
    tracing::info_span!(
        "step",
        otel.name = %node.id,
        otel.kind = "client",
        otel.status_code = tracing::field::Empty,
        step = %node.step,
        run_id = %run_id,
        rows_in = tracing::field::Empty,
        rows_out = tracing::field::Empty,
        waiting_ms = tracing::field::Empty,
        computing_ms = tracing::field::Empty,
        blocked_ms = tracing::field::Empty,
    )
}
