//! Planning through the steps: parameters and schemas checked for the whole graph, before a row moves.

use super::graph::{Graph, Input, Node};
use super::problem::{Problem, Problems};
use super::source::{Source, Span};
use super::spec::load;
use super::yaml::Yaml;
use crate::mesh::{Planner, StepPlan};
use arrow::datatypes::SchemaRef;
use flight_common::{Effects, Fault, FaultKind, StepCommand, StepDescription, StepKind, Violation, params};
use serde_json::{Map, Value};
use std::time::Duration;

/// A pipeline ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// Its steps, each after what it needs.
    pub nodes: Vec<PlannedNode>,
}

/// A step ready to run.
#[derive(Clone, Debug)]
pub struct PlannedNode {
    /// Its id in the pipeline.
    pub id: String,
    /// The step to call.
    pub step: String,
    /// Extract, transform or load.
    pub kind: StepKind,
    /// What it does to the world.
    pub effects: Effects,
    /// Its parameters, checked.
    pub params: Value,
    /// What feeds its inputs, in order.
    pub inputs: Vec<Input>,
    /// Nodes that must have ended before it begins.
    pub after: Vec<usize>,
    /// Its outputs with their schemas, the main one first.
    pub outputs: Vec<(String, SchemaRef)>,
    /// The further outputs that some step reads.
    pub claimed: Vec<String>,
    /// What identifies the source of an extract at planning.
    pub source: Option<String>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// Reads, joins and plans a pipeline, with `sets` (`step.param=value`) applied to it. Steps behind one that cannot be
/// planned are left out; all others are still checked.
///
/// # Errors
/// All that is wrong, in the order of the text.
pub async fn check(source: &Source, sets: &[String], steps: &dyn Planner) -> Result<Plan, Problems> {
    let mut problems = Problems::none();
    let mut spec = load(source, &mut problems);
    spec.apply(sets, &mut problems);
    let nowhere = Span { line: 1, column: 1, bytes: 0..0 };
    let catalog = steps.catalog().await.map_err(|fault| from_fault(&fault, &nowhere))?;
    let graph = Graph::build(&spec, &catalog, &mut problems);
    let plan = plan(&graph, steps, &mut problems).await;
    problems.or(plan)
}

/// Plans every step that can be, each with the schemas of what feeds it.
async fn plan(graph: &Graph, steps: &dyn Planner, problems: &mut Problems) -> Plan {
    let mut planned: Vec<Option<StepPlan>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs = input_schemas(graph, node, &planned);
        planned.push(match &node.description {
            Some(description) => plan_node(node, description, inputs, steps, problems).await,
            None => None,
        });
    }
    let nodes = graph.nodes.iter().zip(planned).enumerate();
    let nodes = nodes.filter_map(|(place, (node, plan))| planned_node(graph, place, node, plan?)).collect();
    Plan { name: graph.name.clone(), nodes }
}

/// The schemas of a node's inputs; nothing if one of them could not be planned.
fn input_schemas(graph: &Graph, node: &Node, planned: &[Option<StepPlan>]) -> Option<Vec<SchemaRef>> {
    let schema = |input: &Input| {
        let names = &graph.nodes[input.node].description.as_ref()?.outputs;
        let place = names.iter().position(|name| *name == input.output)?;
        planned.get(input.node)?.as_ref()?.outputs.get(place).cloned()
    };
    node.inputs.as_ref()?.iter().map(schema).collect()
}

async fn plan_node(
    node: &Node,
    description: &StepDescription,
    inputs: Option<Vec<SchemaRef>>,
    steps: &dyn Planner,
    problems: &mut Problems,
) -> Option<StepPlan> {
    let given = node_params(node);
    let wrong = match params::check(&description.params_schema, &given) {
        Ok(wrong) => wrong,
        Err(fault) => {
            problems.push(from_fault(&fault, &node.service_span));
            return None;
        }
    };
    if !wrong.is_empty() {
        for violation in &wrong {
            problems.push(from_violation(node, "bad-params", violation));
        }
        return None;
    }
    let command = StepCommand { step: description.name.clone(), params: given, ..StepCommand::default() };
    match steps.plan(command, inputs?).await {
        Ok(plan) => Some(plan),
        Err(fault) => {
            for violation in fault.violations() {
                let mut problem = from_violation(node, code(fault.kind()), violation);
                problem.help = problem.help.or_else(|| fault.help_text().map(str::to_owned));
                problems.push(problem);
            }
            if fault.violations().is_empty() {
                problems.push(from_fault(&fault, &node.id_span));
            }
            None
        }
    }
}

fn node_params(node: &Node) -> Value {
    node.params.as_ref().map_or_else(|| Value::Object(Map::new()), Yaml::to_json)
}

fn from_violation(node: &Node, otherwise: &'static str, violation: &Violation) -> Problem {
    let code = match violation.message.as_str() {
        text if text.contains("unknown parameter") => "unknown-param",
        text if text.contains("missing parameter") => "missing-param",
        _ => otherwise,
    };
    let span = match &node.params {
        Some(params) if code == "unknown-param" => params.locate_key(&violation.pointer),
        // What is missing has no place of its own.
        Some(params) if !violation.pointer.is_empty() => params.locate(&violation.pointer),
        _ => node.service_span.clone(),
    };
    Problem::at(&span, code, format!("{}: {}", node.id, violation.message)).help(violation.help.clone())
}

fn from_fault(fault: &Fault, span: &Span) -> Problem {
    Problem::at(span, code(fault.kind()), fault.to_string()).help(fault.help_text().map(str::to_owned))
}

fn code(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::BadParams => "bad-params",
        FaultKind::BadSchema => "bad-schema",
        FaultKind::BadData => "bad-data",
        FaultKind::Denied => "denied",
        FaultKind::Unauthenticated => "unauthenticated",
        FaultKind::NotFound => "not-found",
        FaultKind::Upstream => "unreachable",
        FaultKind::Busy => "busy",
        FaultKind::Cancelled => "cancelled",
        FaultKind::TimedOut => "timed-out",
        FaultKind::Internal => "internal",
    }
}

fn planned_node(graph: &Graph, place: usize, node: &Node, plan: StepPlan) -> Option<PlannedNode> {
    let description = node.description.as_ref()?;
    let main = description.outputs.first();
    let mut claimed: Vec<String> = Vec::new();
    for input in graph.nodes.iter().filter_map(|reader| reader.inputs.as_ref()).flatten() {
        if input.node == place && Some(&input.output) != main && !claimed.contains(&input.output) {
            claimed.push(input.output.clone());
        }
    }
    Some(PlannedNode {
        id: node.id.clone(),
        step: description.name.clone(),
        kind: description.kind,
        effects: description.effects,
        params: node_params(node),
        inputs: node.inputs.clone()?,
        after: node.after.clone(),
        outputs: description.outputs.iter().cloned().zip(plan.outputs).collect(),
        claimed,
        source: plan.source,
        timeout: node.timeout,
    })
}
