//! How a step that was planned becomes a node of the plan.

use super::graph::{Graph, Node};
use super::plan::{PlannedNode, node_params};
use crate::mesh::StepPlan;
use flight_common::{Effects, StepKind};

/// What is known of all nodes when one of them becomes one of the plan.
pub(super) struct Known<'a> {
    graph: &'a Graph,
    left_out: Vec<bool>,
    effects: Vec<Effects>,
}

impl<'a> Known<'a> {
    /// What their plans say.
    pub fn of(graph: &'a Graph, left_out: Vec<bool>, planned: &[Option<StepPlan>]) -> Self {
        let effects = graph.nodes.iter().zip(planned).map(|(node, plan)| effects(node, plan)).collect();
        Self { graph, left_out, effects }
    }

    fn is_external(&self, place: usize) -> bool {
        self.effects[place] == Effects::External
    }

    /// The nodes that are not left out, with their places.
    fn running(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.graph.nodes.iter().enumerate().filter(|(place, _)| !self.left_out[*place])
    }

    /// Whether a step reads what a load tells of its work: a row, which is kept so that the load need not be done again.
    fn is_read_load(&self, place: usize, kind: StepKind) -> bool {
        let mut inputs = self.running().flat_map(|(_, reader)| reader.inputs.iter().flatten());
        kind == StepKind::Load && inputs.any(|input| input.node == place)
    }

    /// Whether a step reads from a node that cannot take back what it does.
    fn feeds_external(&self, place: usize) -> bool {
        let readers = self.running().filter(|(reader, _)| self.is_external(*reader));
        readers.flat_map(|(_, reader)| reader.inputs.iter().flatten()).any(|input| input.node == place)
    }

    /// The node of a step that was planned so.
    pub fn planned_node(&self, place: usize, plan: StepPlan) -> Option<PlannedNode> {
        let node = &self.graph.nodes[place];
        let description = node.description.as_ref()?;
        let main = description.outputs.first();
        let mut claimed: Vec<String> = Vec::new();
        for input in self.running().filter_map(|(_, reader)| reader.inputs.as_ref()).flatten() {
            if input.node == place && Some(&input.output) != main && !claimed.contains(&input.output) {
                claimed.push(input.output.clone());
            }
        }
        // What cannot be taken back waits until its input has ended well, so that a failed gate comes before it. What it reads
        // and what it gives is kept, so that another attempt need not do it again; and what comes after it waits until then,
        // so that no failure there breaks it off.
        let external = self.is_external(place);
        let mut after = node.after.clone();
        let fed = node.inputs.iter().flatten().map(|input| input.node);
        after.extend(fed.filter(|source| external || self.is_external(*source)));
        after.sort_unstable();
        after.dedup();
        let kept = (external && description.kind != StepKind::Load)
            || self.feeds_external(place)
            || self.is_read_load(place, description.kind);
        Some(PlannedNode {
            id: node.id.clone(),
            step: description.name.clone(),
            version: description.version.clone(),
            kind: description.kind,
            effects: self.effects[place],
            params: node_params(node),
            inputs: node.inputs.clone()?,
            after,
            outputs: description.outputs.iter().cloned().zip(plan.outputs).collect(),
            claimed,
            source: plan.source,
            datasets: plan.datasets,
            when: node.when.clone(),
            asks: node.asks.clone(),
            left_out: self.left_out[place],
            finally: node.finally,
            timeout: node.timeout,
            checkpoint: node.checkpoint || kept,
        })
    }
}

/// What a step does to the world: what it planned, else what it describes.
fn effects(node: &Node, plan: &Option<StepPlan>) -> Effects {
    let described = node.description.as_ref().map_or(Effects::None, |step| step.effects);
    plan.as_ref().and_then(|plan| plan.effects).unwrap_or(described)
}
