//! What the steps of a run write: no two of them may undo each other's work, and none what another reads. Pure.

use super::graph::{Graph, Node};
use super::problem::{Problem, Problems};
use crate::mesh::StepPlan;
use flight_common::{Dataset, FilePattern, ReadFile, StepKind, Written};
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

/// Refuses a file that is read and then written anew: when the run goes on after that, it would read its own work, and do it to that
/// once more. Who reads what a step before it has written may do so. (Rows of a table are often put back changed, which is for
/// whoever writes the query to make safe to repeat.)
pub(super) fn refuse_read<'a>(graph: &'a Graph, planned: &'a [Option<StepPlan>], problems: &mut Problems) {
    let mut read = Readers::default();
    for (place, (node, plan)) in graph.nodes.iter().zip(planned).enumerate() {
        let Some(plan) = plan else { continue };
        plan.reads.iter().for_each(|one| read.add(one, place));
        // Servers of before do not tell it apart. What cannot be identified is no file.
        let is_extract = node.description.as_ref().is_some_and(|step| step.kind == StepKind::Extract);
        if plan.reads.is_empty() && plan.source.is_some() && is_extract {
            plan.datasets.iter().for_each(|file| read.files.entry(file).or_default().push(place));
        }
    }
    let looked_up: Vec<FilePattern<'_>> = graph.looked_up.iter().filter_map(ReadFile::pattern).collect();
    for (place, plan) in planned.iter().enumerate() {
        let node = &graph.nodes[place];
        for target in plan.iter().flat_map(|plan| &plan.writes).filter(|target| !target.adds) {
            // What runs finally comes after all others.
            let mut readers = read.of(&target.dataset).filter(|reader| node.finally || !graph.nodes[*reader].finally);
            let mut after = None;
            let mut comes_after = |reader: &usize| after.get_or_insert_with(|| come_after(graph, place))[*reader];
            if let Some(reader) = readers.find(|reader| !comes_after(reader)) {
                let (reader, name) = (&graph.nodes[reader].id, &target.dataset.name);
                let message = format!("\"{}\" writes a file that \"{reader}\" reads: {name}", node.id);
                let help = "write another one: when a run goes on after that, it would read its own work";
                problems.push(Problem::at(&node.id_span, "same-source", message).help(help.to_owned()));
            } else if looked_up.iter().any(|files| files.matches(&target.dataset)) {
                let name = &target.dataset.name;
                let message = format!("\"{}\" writes a file that steps would be repeated for: {name}", node.id);
                let help = "write to another place: when a run goes on after that, `for_each` would find it";
                problems.push(Problem::at(&node.id_span, "same-source", message).help(help.to_owned()));
            }
        }
    }
}

/// Who reads which files: the places of nodes.
#[derive(Default)]
struct Readers<'a> {
    files: HashMap<&'a Dataset, Vec<usize>>,
    patterns: Vec<(FilePattern<'a>, usize)>,
}

impl<'a> Readers<'a> {
    fn add(&mut self, read: &'a ReadFile, place: usize) {
        match read.pattern() {
            Some(pattern) => self.patterns.push((pattern, place)),
            None => self.files.entry(&read.dataset).or_default().push(place),
        }
    }

    fn of(&self, written: &'a Dataset) -> impl Iterator<Item = usize> {
        let matching = self.patterns.iter().filter(|(pattern, _)| pattern.matches(written));
        self.files.get(written).into_iter().flatten().chain(matching.map(|(_, place)| place)).copied()
    }
}

/// Of each node whether it needs this one to have ended. They are in such an order that what a node needs stands before it.
fn come_after(graph: &Graph, place: usize) -> Vec<bool> {
    let mut after = vec![false; graph.nodes.len()];
    for (later, node) in graph.nodes.iter().enumerate().skip(place + 1) {
        let needed = node.inputs.iter().flatten().map(|input| input.node).chain(node.after.iter().copied());
        after[later] = needed.chain(node.asks.iter().copied()).any(|needed| needed == place || after[needed]);
    }
    after
}
