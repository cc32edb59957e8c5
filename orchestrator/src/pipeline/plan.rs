//! Planning through the steps: parameters and schemas checked for the whole graph, before a row moves.

use super::edges::Input;
use super::graph::{Graph, Node};
use super::params::{Arguments, Missing};
use super::planned::Known;
use super::problem::{Problem, Problems};
use super::refusal::{from_fault, from_violation, refused};
use super::rules::RunRules;
use super::source::{Source, Span};
use super::spec::{Spec, load};
use super::targets;
use super::when::When;
use super::yaml::Yaml;
use crate::mesh::{Matching, Planner, StepPlan};
use arrow::datatypes::SchemaRef;
use flight_common::{Dataset, Effects, Fault, FaultKind, StepCommand, StepKind, Violation, passwords};
use futures::{StreamExt, stream};
use serde_json::{Map, Value};
use std::time::Duration;

/// A pipeline ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// What it says of its runs.
    pub rules: RunRules,
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
    /// Its version.
    pub version: String,
    /// Extract, transform or load.
    pub kind: StepKind,
    /// What it does to the world with these parameters.
    pub effects: Effects,
    /// Its parameters, checked.
    pub params: Value,
    /// What feeds its inputs, in order.
    pub inputs: Vec<Input>,
    /// Nodes that must have ended well before it begins. None of them feeds it, unless one of the two cannot
    /// take back what it does.
    pub after: Vec<usize>,
    /// Its outputs with their schemas, the main one first.
    pub outputs: Vec<(String, SchemaRef)>,
    /// The further outputs that some step reads.
    pub claimed: Vec<String>,
    /// What identifies the source of an extract at planning.
    pub source: Option<String>,
    /// The data outside the pipeline that it reads or writes.
    pub datasets: Vec<Dataset>,
    /// The condition on which it runs.
    pub when: Option<When>,
    /// Nodes that its condition names. It begins when they have ended, also if they feed it.
    pub asks: Vec<usize>,
    /// Whether it is left out: by its condition, or because what feeds it is. Then nothing more is known of it.
    pub left_out: bool,
    /// Whether it is one of those that run when all others have ended, however they have.
    pub finally: bool,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Whether its outputs are kept: because the pipeline says so, for the sake of a step that cannot take back what it
    /// does, or so that a load need not be done again.
    pub checkpoint: bool,
}

/// Reads, joins and plans a pipeline, with what its run gives it. Steps behind one that cannot be planned are left out;
/// all others are still checked.
///
/// # Errors
/// All that is wrong, in the order of the text.
pub async fn check(source: &Source, arguments: &Arguments, steps: &dyn Planner) -> Result<Plan, Problems> {
    checked(source, arguments, Missing::Refused, steps).await
}

/// Plans what runs finally, of a run whose other steps do not run any more: they are in the plan as left out, whatever may
/// be wrong with them.
///
/// # Errors
/// All that is wrong, in the order of the text, if something that runs finally cannot be planned.
pub async fn check_finally(source: &Source, arguments: &Arguments, steps: &dyn Planner) -> Result<Plan, Problems> {
    let (graph, mut problems) = graph(source, arguments, Missing::Refused, steps).await?;
    let plan = plan(source, &graph, Scope::Finally, steps, &mut problems).await;
    match plan.nodes.len() == graph.nodes.len() {
        true => Ok(plan),
        false => Err(problems.in_order()),
    }
}

/// Checks a pipeline apart from its runs: a parameter may lack its value, and then the steps that use it are not planned.
///
/// # Errors
/// All that is wrong, in the order of the text.
pub async fn check_unfilled(source: &Source, steps: &dyn Planner) -> Result<(), Problems> {
    checked(source, &Arguments::default(), Missing::Awaited, steps).await.map(drop)
}

/// As [`check_unfilled`], for a pipeline that is to be kept: the files that its steps are repeated for may come later, too.
///
/// # Errors
/// All that is wrong, in the order of the text.
pub async fn check_to_keep(source: &Source, steps: &dyn Planner) -> Result<(), Problems> {
    checked(source, &Arguments::default(), Missing::AwaitedWithFiles, steps).await.map(drop)
}

/// Checks what a run gives its pipeline, and nothing else: whether there are such parameters, and steps to change, and
/// whether none lacks its value.
///
/// # Errors
/// All that is wrong with it.
pub fn check_arguments(source: &Source, arguments: &Arguments) -> Result<(), Problems> {
    let mut spec = load(source, &mut Problems::none());
    let mut problems = Problems::none();
    spec.apply(&arguments.sets, &mut problems);
    spec.values(&arguments.params, Missing::Refused, &mut problems);
    problems.or(())
}

/// Checks, in addition, that the steps take what a run changes in them, as far as can be told without planning. What is wrong with
/// the pipeline in any case is left to its runs.
///
/// # Errors
/// All that is wrong with the changes.
pub async fn check_changes(source: &Source, arguments: &Arguments, steps: &dyn Planner) -> Result<(), Problems> {
    let found = async |arguments: &Arguments| match graph(source, arguments, Missing::AwaitedWithFiles, steps).await {
        Ok((_, problems)) | Err(problems) => problems,
    };
    let unchanged = Arguments { sets: Vec::new(), ..arguments.clone() };
    let before: Vec<String> = found(&unchanged).await.iter().map(|problem| problem.message.clone()).collect();
    let mut problems = Problems::none();
    let changed = found(arguments).await;
    problems.extend(changed.iter().filter(|problem| !before.contains(&problem.message)).cloned());
    problems.or(())
}

async fn checked(
    source: &Source,
    arguments: &Arguments,
    missing: Missing,
    steps: &dyn Planner,
) -> Result<Plan, Problems> {
    let (graph, mut problems) = graph(source, arguments, missing, steps).await?;
    let plan = plan(source, &graph, Scope::All, steps, &mut problems).await;
    if missing == Missing::Refused && problems.is_empty() && plan.nodes.len() < graph.nodes.len() {
        // What feeds a step is known by its place: those that are left would be fed by others.
        let fault = Fault::internal("not every step could be planned, and nothing says why");
        problems.push(from_fault(&fault, &Span::start()));
    }
    problems.or(plan)
}

/// The steps joined to each other, and what is wrong with them so far.
async fn graph(
    source: &Source,
    arguments: &Arguments,
    missing: Missing,
    steps: &dyn Planner,
) -> Result<(Graph, Problems), Problems> {
    let mut problems = Problems::none();
    let mut spec = load(source, &mut problems);
    spec.apply(&arguments.sets, &mut problems);
    let values = spec.values(&arguments.params, missing, &mut problems);
    spec.fill_groups(&values, &mut problems);
    let found = looked_up(&spec, steps, &mut problems);
    let called = found.iter().flatten().map(|found| found.called.clone()).collect();
    // Those of a pipeline that is to be kept may come later.
    let later = |files: &Vec<String>| files.is_empty() && missing == Missing::AwaitedWithFiles;
    let files: Vec<_> = found.into_iter().map(|found| Some(found?.files).filter(|files| !later(files))).collect();
    spec.expand(&files, &mut problems);
    spec.fill(&values, &mut problems);
    let catalog = match steps.catalog().await {
        Ok(catalog) => catalog,
        Err(fault) => {
            problems.push(from_fault(&fault, &Span::start()));
            return Err(problems.in_order());
        }
    };
    let graph = Graph { looked_up: called, ..Graph::build(&spec, &catalog, &mut problems) };
    problems.blame_silent(&steps.silent());
    Ok((graph, problems))
}

/// The files of each group that is repeated for files.
fn looked_up(spec: &Spec, steps: &dyn Planner, problems: &mut Problems) -> Vec<Option<Matching>> {
    let files = spec.groups.iter().map(|group| {
        let (pattern, span) = group.pattern().filter(|_| !group.unfilled)?;
        match steps.files(pattern) {
            Ok(found) => Some(found),
            Err(fault) => {
                problems.push(from_fault(&fault, span));
                None
            }
        }
    });
    files.collect()
}

/// Steps that are planned at the same time: extracts may have to wait for what they connect to.
const AT_ONCE: usize = 16;

/// Which steps are planned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    /// Those that run finally. The others are left out unseen.
    Finally,
}

/// Plans every step that can be, each with the schemas of what feeds it.
async fn plan(source: &Source, graph: &Graph, scope: Scope, steps: &dyn Planner, problems: &mut Problems) -> Plan {
    let unseen = |place: usize| scope == Scope::Finally && !graph.nodes[place].finally;
    let mut planned: Vec<Option<StepPlan>> =
        (0..graph.nodes.len()).map(|place| unseen(place).then(StepPlan::default)).collect();
    let left_out: Vec<bool> =
        graph.left_out().into_iter().enumerate().map(|(place, left_out)| left_out || unseen(place)).collect();
    for wave in waves(graph) {
        let calls = wave.into_iter().filter(|place| !unseen(*place)).map(|place| {
            let node = &graph.nodes[place];
            let asked = match left_out[place] {
                true => Asked::Nothing,
                false => input_schemas(graph, node, &planned).map_or(Asked::Params, Asked::Plan),
            };
            async move { (place, plan_node(source, node, asked, steps).await) }
        });
        let answers: Vec<_> = stream::iter(calls).buffered(AT_ONCE).collect().await;
        for (place, answer) in answers {
            match answer {
                Ok(plan) => planned[place] = plan,
                Err(wrong) => problems.extend(wrong),
            }
        }
    }
    targets::refuse_same(graph, &planned, problems);
    targets::refuse_read(graph, &planned, problems);
    let known = Known::of(graph, left_out, &planned);
    let nodes = planned.into_iter().enumerate();
    let nodes = nodes.filter_map(|(place, plan)| known.planned_node(place, plan?)).collect();
    Plan { name: graph.name.clone(), rules: graph.rules.clone(), nodes }
}

/// The nodes by how many steps away from an extract they are: those of a wave do not need each other.
fn waves(graph: &Graph) -> Vec<Vec<usize>> {
    let mut depths: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (place, node) in graph.nodes.iter().enumerate() {
        // Within a cycle what feeds a node may come later: it is not planned then, and neither is the node.
        let before = node.inputs.iter().flatten().filter_map(|input| depths.get(input.node)).max();
        let depth = before.map_or(0, |depth| depth + 1);
        depths.push(depth);
        if waves.len() <= depth {
            waves.resize_with(depth + 1, Vec::new);
        }
        waves[depth].push(place);
    }
    waves
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

/// How far a step can be asked.
enum Asked {
    /// It is left out, with all that its parameters name: what is not there in this run need not be.
    Nothing,
    /// What feeds it could not be planned, which was told.
    Params,
    /// All the way, with these inputs.
    Plan(Vec<SchemaRef>),
}

/// Plans one step. Nothing comes of one whose service, values or inputs are not known, which has been told; without its
/// inputs its parameters are checked all the same.
async fn plan_node(
    source: &Source,
    node: &Node,
    asked: Asked,
    steps: &dyn Planner,
) -> Result<Option<StepPlan>, Vec<Problem>> {
    let Some(description) = node.description.as_ref().filter(|_| !node.unfilled) else { return Ok(None) };
    let given = node_params(node);
    let checked = description.params_schema.check(&given);
    let mut wrong = checked.map_err(|fault| vec![from_fault(&fault, &node.service_span)])?;
    wrong.extend(passwords::struck_in(&given).into_iter().map(struck));
    if !wrong.is_empty() {
        return Err(wrong
            .iter()
            .map(|violation| from_violation(source, node, FaultKind::BadParams, violation))
            .collect());
    }
    let inputs = match asked {
        Asked::Nothing => return Ok(Some(StepPlan::default())),
        Asked::Params => return Ok(None),
        Asked::Plan(inputs) => inputs,
    };
    let names = node.inputs.iter().flatten().map(|input| input.name.clone()).collect();
    let command =
        StepCommand { step: description.name.clone(), params: given, inputs: names, ..StepCommand::default() };
    let plan = steps.plan(command, inputs).await.map_err(|fault| refused(source, node, &fault))?;
    if plan.outputs.len() != description.outputs.len() {
        let (promised, planned) = (description.outputs.len(), plan.outputs.len());
        let message = format!("{}: it describes {promised} outputs and plans {planned}", node.id);
        let problem = Problem::at(&node.service_span, "bad-step", message);
        return Err(vec![problem.help("report it to whoever wrote the step".to_owned())]);
    }
    Ok(Some(plan))
}

/// A password that is as it was shown.
fn struck(pointer: String) -> Violation {
    let message = format!("{} was struck out where it was shown", pointer.trim_start_matches('/').replace('/', "."));
    Violation::new(pointer, message).help(Some("write the password or the key itself, or secret://NAME".to_owned()))
}

pub(super) fn node_params(node: &Node) -> Value {
    node.params.as_ref().map_or_else(|| Value::Object(Map::new()), Yaml::to_json)
}
