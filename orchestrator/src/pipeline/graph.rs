//! The graph of a pipeline: who feeds whom, checked against what the steps say of themselves. Pure.
//!
//! A dependency feeds the inputs of a step in order; what is left of the dependencies only orders. `inputs:` names them
//! instead, and then every dependency only orders. A step that takes any inputs has them named so, unless there is one. Who feeds a step, directly or through others, orders nothing more:
//! its rows come as they flow, and a step that waited for its end would wait forever.

use super::edges::{Edges, Input, Joiner};
use super::order::order;
use super::problem::{Problem, Problems};
use super::rules::RunRules;
use super::source::Span;
use super::spec::Spec;
use super::step::StepSpec;
use super::when::When;
use super::yaml::Yaml;
use flight_common::params::did_you_mean;
use flight_common::{ReadFile, StepDescription};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The shape of a pipeline. Nodes stand in an order in which each comes after what it needs, unless there is a cycle.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The pipeline's name.
    pub name: String,
    /// What it says of its runs.
    pub rules: RunRules,
    /// Its steps.
    pub nodes: Vec<Node>,
    /// The files that steps are repeated for.
    pub(super) looked_up: Vec<ReadFile>,
}

/// A step of the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Where that stood.
    pub id_span: Span,
    /// Where its service stood.
    pub service_span: Span,
    /// What its service says of itself; nothing for an unknown one.
    pub description: Option<Arc<StepDescription>>,
    /// Its parameters.
    pub(super) params: Option<Yaml>,
    /// Whether one of them has no value yet.
    pub(super) unfilled: bool,
    /// What feeds each of its inputs, in the order of the description; nothing if one of them is not fed.
    pub inputs: Option<Vec<Input>>,
    /// Nodes that must have ended before it begins. None of them feeds it, directly or through others.
    pub after: Vec<usize>,
    /// The condition on which it runs.
    pub when: Option<When>,
    /// Nodes that its condition names. It begins when they have ended, also if they feed it.
    pub asks: Vec<usize>,
    /// Whether it is one of those that run when all others have ended, however they have.
    pub finally: bool,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Whether its outputs are kept.
    pub checkpoint: bool,
}

impl Graph {
    /// Joins the steps of a pipeline, as far as they can be joined. Unknown services, unknown and repeated ids, wrong
    /// inputs and outputs, and cycles are added to `problems`.
    pub fn build(spec: &Spec, catalog: &[Arc<StepDescription>], problems: &mut Problems) -> Self {
        let mut spec = spec.clone();
        spec.join_conditions(problems);
        let spec = &spec;
        let ids = ids(spec, problems);
        let services: Vec<Option<&Arc<StepDescription>>> =
            spec.steps.iter().map(|step| service(step, catalog, problems)).collect();
        let edges: Vec<Edges> = (spec.steps.iter().enumerate())
            .map(|(place, step)| Joiner { ids: &ids, services: &services, place, step }.join(problems))
            .collect();
        let needs: Vec<Vec<usize>> = edges.iter().map(|edges| edges.needs.clone()).collect();
        let order = order(&needs);
        problems.extend(edges.iter().enumerate().filter_map(|(place, edges)| ends_too_late(spec, place, edges)));
        problems.extend(order.cycles.iter().map(|cycle| cycle_problem(spec, cycle)));
        let mut new_place = vec![0; spec.steps.len()];
        for (new, old) in order.places.iter().enumerate() {
            new_place[*old] = new;
        }
        let node = |old: &usize| node(&spec.steps[*old], &edges[*old], services[*old], &new_place);
        let nodes = order.places.iter().map(node).collect();
        let mut graph = Self { name: spec.name.clone(), rules: spec.rules.clone(), nodes, looked_up: Vec::new() };
        graph.drop_implied_order();
        graph
    }

    /// For each node, whether it is left out: its condition says so, or that of something that feeds it.
    pub(super) fn left_out(&self) -> Vec<bool> {
        let mut left_out = vec![false; self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate() {
            let decided = node.when.as_ref().and_then(When::decided);
            let fed = node.inputs.iter().flatten().any(|input| left_out[input.node]);
            left_out[place] = fed || decided == Some(false);
        }
        left_out
    }

    /// Takes out of each `after` the nodes that feed it, directly or through others.
    fn drop_implied_order(&mut self) {
        for place in 0..self.nodes.len() {
            if self.nodes[place].after.is_empty() {
                continue;
            }
            let feeding = self.feeding(place);
            self.nodes[place].after.retain(|before| !feeding[*before]);
        }
    }

    /// For each node, whether its rows flow into the one at `place`.
    fn feeding(&self, place: usize) -> Vec<bool> {
        let mut feeding = vec![false; self.nodes.len()];
        let mut open = vec![place];
        while let Some(here) = open.pop() {
            for input in self.nodes[here].inputs.iter().flatten() {
                if !std::mem::replace(&mut feeding[input.node], true) {
                    open.push(input.node);
                }
            }
        }
        feeding
    }
}

fn node(step: &StepSpec, edges: &Edges, description: Option<&Arc<StepDescription>>, new_place: &[usize]) -> Node {
    let fed = description.is_some_and(|description| match description.takes_any_inputs() {
        true => edges.inputs.len() == step.inputs.len().max(1),
        false => edges.inputs.len() == description.inputs.len(),
    });
    let input = |input: &Input| Input { node: new_place[input.node], ..input.clone() };
    let mut after: Vec<usize> = edges.after.iter().map(|before| new_place[*before]).collect();
    after.sort_unstable();
    after.dedup();
    Node {
        id: step.id.clone(),
        id_span: step.id_span.clone(),
        service_span: step.service_span.clone(),
        description: description.cloned(),
        params: step.params.clone(),
        unfilled: step.unfilled,
        inputs: fed.then(|| edges.inputs.iter().map(input).collect()),
        after,
        when: step.when.clone(),
        asks: edges.asks.iter().map(|asked| new_place[*asked]).collect(),
        finally: step.finally,
        timeout: step.timeout,
        checkpoint: step.checkpoint,
    }
}

impl Spec {
    /// Looks up the steps that conditions name, and decides what can be decided now.
    fn join_conditions(&mut self, problems: &mut Problems) {
        let ids: Vec<String> = self.steps.iter().map(|step| step.id.clone()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        for step in &mut self.steps {
            if let Some(when) = &mut step.when {
                when.join(&ids, problems);
                if !step.unfilled {
                    when.decide(problems);
                }
            }
        }
    }
}

/// What runs at the end is fed by what runs at the end only, and nothing else comes after it.
fn ends_too_late(spec: &Spec, place: usize, edges: &Edges) -> Option<Problem> {
    let step = &spec.steps[place];
    let fed_by = |other: usize| edges.inputs.iter().any(|input| input.node == other);
    let wrong = edges.needs.iter().copied().find(|other| match (step.finally, spec.steps[*other].finally) {
        (true, false) => fed_by(*other),
        (finally, other) => other && !finally,
    })?;
    let other = &spec.steps[wrong];
    let reference = step.references().find(|reference| reference.id == other.id);
    let span = reference.map_or(&step.id_span, |reference| &reference.span);
    let (message, help) = match step.finally {
        true => (
            format!("\"{}\" may have failed when `finally` begins, and cannot feed \"{}\"", other.id, step.id),
            "read what it has written, or move the step to `steps`",
        ),
        false => (
            format!("\"{}\" runs when all of `steps` has ended: nothing there comes after it", other.id),
            "move one of the two",
        ),
    };
    Some(Problem::at(span, "bad-finally", message).help(help.to_owned()))
}

/// The first step of each id.
fn ids<'a>(spec: &'a Spec, problems: &mut Problems) -> HashMap<&'a str, usize> {
    let mut ids: HashMap<&str, usize> = HashMap::new();
    for (place, step) in spec.steps.iter().enumerate().filter(|(_, step)| step.has_id) {
        let first = *ids.entry(step.id.as_str()).or_insert(place);
        if first != place {
            let line = spec.steps[first].id_span.line;
            let message = format!("the id \"{}\" is taken by the step in line {line}", step.id);
            problems.push(
                Problem::at(&step.id_span, "duplicate-id", message).help("give each step an id of its own".to_owned()),
            );
        }
    }
    ids
}

fn service<'a>(
    step: &StepSpec,
    catalog: &'a [Arc<StepDescription>],
    problems: &mut Problems,
) -> Option<&'a Arc<StepDescription>> {
    let name = step.service.as_deref()?;
    let found = catalog.iter().find(|description| description.answers_to(name));
    if found.is_none() {
        let known: Vec<&str> = catalog.iter().map(|description| description.name.as_str()).collect();
        problems.push(
            Problem::at(&step.service_span, "unknown-service", format!("there is no service \"{name}\""))
                .help(did_you_mean(name, known)),
        );
    }
    found
}

fn cycle_problem(spec: &Spec, cycle: &[usize]) -> Problem {
    let first = cycle.first().copied().unwrap_or(0);
    let names: Vec<&str> = cycle.iter().chain([&first]).map(|place| spec.steps[*place].id.as_str()).collect();
    let message = match names.as_slice() {
        [one, _] => format!("\"{one}\" depends on itself"),
        _ => format!("these steps wait for each other: {}", names.join(" → ")),
    };
    let step = &spec.steps[first];
    // What closes a cycle of one is written in one place; of a longer one, any of its steps may be the mistake.
    let span = match names.len() {
        2 => step.references().find(|reference| reference.id == step.id).map_or(&step.id_span, |it| &it.span),
        _ => &step.id_span,
    };
    Problem::at(span, "cycle", message).help("take one of the dependencies away".to_owned())
}
