//! The tasks of the steps that run at once, joined to each other.

use super::node::NodeTask;
use super::stage::{Hand, Shared, Stage};
use crate::mesh::Mesh;
use crate::pipeline::{Plan, PlannedNode};
use opentelemetry::trace::TraceContextExt;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing_opentelemetry::OpenTelemetrySpanExt;

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
        let settled = if node.left_out { None } else { shared.attendant.settled(&node.id) };
        // Nobody holds anything back for what does not run.
        let sources = if node.left_out || settled.is_some() { &[] } else { node.inputs.as_slice() };
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
            settled,
            inputs,
            sources: node.inputs.iter().map(|source| source.node).collect(),
            readers: HashMap::new(),
            reads_ahead: held[place],
            after: ends(&node.after),
            asks: ends(&node.asks),
            is_asked: plan.nodes.iter().any(|other| other.asks.contains(&place)),
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
