//! What the steps of a run write: no two of them may undo each other's work. Pure.

use super::graph::{Graph, Node};
use super::problem::{Problem, Problems};
use crate::mesh::StepPlan;
use flight_common::{Dataset, Written};
use std::collections::HashMap;

/// Refuses two steps that write the same, unless both only add to it: else one would take the place of the other, at this
/// attempt or at one that does not do both again, and both would report success. Of those that have a condition, perhaps
/// only one runs.
pub(super) fn refuse_same<'a>(graph: &'a Graph, planned: &'a [Option<StepPlan>], problems: &mut Problems) {
    let mut written: HashMap<&Dataset, (&Node, &Written)> = HashMap::new();
    let running = graph.nodes.iter().zip(planned).filter(|(node, _)| node.when.is_none());
    let targets = |plan: &'a Option<StepPlan>| plan.iter().flat_map(|plan| &plan.writes);
    for (node, target) in running.flat_map(|(node, plan)| targets(plan).map(move |target| (node, target))) {
        if let Some((first, other)) = written.insert(&target.dataset, (node, target))
            && !(other.adds && target.adds)
        {
            problems.push(refused(node, first, &target.dataset));
        }
    }
}

fn refused(node: &Node, first: &Node, target: &Dataset) -> Problem {
    let message = format!("\"{}\" writes the same as \"{}\": {}", node.id, first.id, target.name);
    let help =
        "give one of them another name (what is repeated may use {{ item }} in it), or let both add rows to a table";
    Problem::at(&node.id_span, "same-target", message).help(help.to_owned())
}
