//! What the steps of a run write: no two of them may undo each other's work, and what is read may be written anew. Pure.

use super::graph::{Graph, Node};
use super::problem::{Problem, Problems};
use crate::mesh::StepPlan;
use flight_common::{Dataset, StepKind, Written};
use std::collections::{HashMap, HashSet};

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

/// The steps that write what an extract reads, for each node: as where a file is turned into another of the same name. Not those
/// that come before it, whose work it is there to read.
pub(super) fn rewritten(graph: &Graph, planned: &[Option<StepPlan>]) -> Vec<Vec<String>> {
    let mut writers: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (place, plan) in planned.iter().enumerate() {
        for Written { dataset, .. } in plan.iter().flat_map(|plan| &plan.writes) {
            let mut note = |name| writers.entry((&*dataset.namespace, name)).or_default().push(place);
            note(&*dataset.name);
            // A table within a file.
            dataset.name.rsplit_once('#').into_iter().for_each(|(file, _)| note(file));
        }
    }
    let of = |(place, (node, plan)): (usize, (&Node, &Option<StepPlan>))| {
        let is_extract = node.description.as_ref().is_some_and(|step| step.kind == StepKind::Extract);
        // Of what cannot be identified it is not known whether it is another.
        let plan = plan.as_ref().filter(|plan| is_extract && plan.source.is_some());
        let read = plan.into_iter().flat_map(|plan| &plan.datasets);
        let mut found: Vec<usize> =
            read.filter_map(|it| writers.get(&(&*it.namespace, &*it.name))).flatten().copied().collect();
        if !found.is_empty() {
            let before = before(graph, place);
            found.retain(|writer| !before.contains(writer) && (graph.nodes[*writer].finally || !node.finally));
        }
        found.into_iter().map(|writer| graph.nodes[writer].id.clone()).collect()
    };
    graph.nodes.iter().zip(planned).enumerate().map(of).collect()
}

/// The nodes that a node comes after.
fn before(graph: &Graph, place: usize) -> HashSet<usize> {
    let mut found = HashSet::new();
    let mut next = vec![place];
    while let Some(place) = next.pop() {
        let node = &graph.nodes[place];
        let fed = node.inputs.iter().flatten().map(|input| input.node);
        next.extend(
            fed.chain(node.after.iter().copied()).chain(node.asks.iter().copied()).filter(|it| found.insert(*it)),
        );
    }
    found
}
