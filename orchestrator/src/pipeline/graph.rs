//! The graph of a pipeline: who feeds whom, checked against what the steps say of themselves. Pure.
//!
//! A dependency feeds the inputs of a step in order; what is left of the dependencies only orders. `inputs:` names them
//! instead, and then every dependency only orders.

use super::problem::{Problem, Problems};
use super::source::Span;
use super::spec::{Reference, Spec, StepSpec};
use super::yaml::Yaml;
use flight_common::StepDescription;
use flight_common::params::did_you_mean;
use std::collections::HashMap;
use std::time::Duration;

/// The shape of a pipeline. Nodes stand in an order in which each comes after what it needs, unless there is a cycle.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The pipeline's name.
    pub name: String,
    /// Its steps.
    pub nodes: Vec<Node>,
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
    pub description: Option<StepDescription>,
    /// Its parameters.
    pub(super) params: Option<Yaml>,
    /// What feeds each of its inputs, in the order of the description; nothing if one of them is not fed.
    pub inputs: Option<Vec<Input>>,
    /// Nodes that must have ended before it begins.
    pub after: Vec<usize>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// What feeds an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The node it comes from.
    pub node: usize,
    /// The named output of that.
    pub output: String,
}

impl Graph {
    /// Joins the steps of a pipeline, as far as they can be joined. Unknown services, unknown and repeated ids, wrong
    /// inputs and outputs, and cycles are added to `problems`.
    pub fn build(spec: &Spec, catalog: &[StepDescription], problems: &mut Problems) -> Self {
        let ids = ids(spec, problems);
        let services: Vec<Option<&StepDescription>> =
            spec.steps.iter().map(|step| service(step, catalog, problems)).collect();
        let edges: Vec<Edges> = spec
            .steps
            .iter()
            .enumerate()
            .map(|(place, step)| Joiner { spec, ids: &ids, services: &services, place, step }.join(problems))
            .collect();
        let order = order(spec, &edges, problems);
        let mut new_place = vec![0; spec.steps.len()];
        for (new, old) in order.iter().enumerate() {
            new_place[*old] = new;
        }
        let input = |input: &Input| Input { node: new_place[input.node], output: input.output.clone() };
        let node = |old: usize| {
            let (step, edges, description) = (&spec.steps[old], &edges[old], services[old]);
            let fed = description.is_some_and(|description| description.inputs.len() == edges.inputs.len());
            Node {
                id: step.id.clone(),
                id_span: step.id_span.clone(),
                service_span: step.service_span.clone(),
                description: description.cloned(),
                params: step.params.clone(),
                inputs: fed.then(|| edges.inputs.iter().map(input).collect()),
                after: edges.after.iter().map(|before| new_place[*before]).collect(),
                timeout: step.timeout,
            }
        };
        Self { name: spec.name.clone(), nodes: order.into_iter().map(node).collect() }
    }
}

fn ids<'a>(spec: &'a Spec, problems: &mut Problems) -> HashMap<&'a str, usize> {
    let mut ids = HashMap::new();
    for (place, step) in spec.steps.iter().enumerate() {
        if let Some(first) = ids.insert(step.id.as_str(), place) {
            let line = spec.steps[first].id_span.line;
            problems.push(
                Problem::at(
                    &step.id_span,
                    "duplicate-id",
                    format!("the id \"{}\" is taken by the step in line {line}", step.id),
                )
                .help("give each step an id of its own".to_owned()),
            );
            ids.insert(step.id.as_str(), first);
        }
    }
    ids
}

fn service<'a>(
    step: &StepSpec,
    catalog: &'a [StepDescription],
    problems: &mut Problems,
) -> Option<&'a StepDescription> {
    let name = step.service.as_deref()?;
    let found = catalog.iter().find(|description| description.answers_to(name));
    if found.is_none() {
        let known = catalog.iter().map(|description| description.name.as_str());
        problems.push(
            Problem::at(&step.service_span, "unknown-service", format!("there is no service \"{name}\""))
                .help(did_you_mean(name, known.collect::<Vec<_>>())),
        );
    }
    found
}

/// What one step is joined to, by places in the file.
#[derive(Default)]
struct Edges {
    inputs: Vec<Input>,
    after: Vec<usize>,
}

struct Joiner<'a> {
    spec: &'a Spec,
    ids: &'a HashMap<&'a str, usize>,
    services: &'a [Option<&'a StepDescription>],
    place: usize,
    step: &'a StepSpec,
}

impl Joiner<'_> {
    fn join(&self, problems: &mut Problems) -> Edges {
        let dependencies: Vec<(usize, &Reference)> = self
            .step
            .depends_on
            .iter()
            .filter_map(|reference| Some((self.resolve(reference, problems)?, reference)))
            .collect();
        let named: Vec<(&str, &Span, Option<Input>)> = self
            .step
            .inputs
            .iter()
            .map(|(name, span, reference)| {
                let node = self.resolve(reference, problems);
                (name.as_str(), span, node.and_then(|node| self.input(node, reference, problems)))
            })
            .collect();
        let Some(description) = self.services[self.place] else { return Edges::default() };
        if named.is_empty() {
            return self.positional(description, &dependencies, problems);
        }
        let mut edges = Edges { after: dependencies.iter().map(|(node, _)| *node).collect(), ..Edges::default() };
        for (name, span, _) in &named {
            if !description.inputs.iter().any(|input| input == name) {
                let known = description.inputs.iter().map(String::as_str);
                problems.push(
                    Problem::at(span, "wrong-inputs", format!("{} has no input \"{name}\"", description.name))
                        .help(did_you_mean(name, known.collect::<Vec<_>>())),
                );
            }
        }
        for input in &description.inputs {
            match named.iter().find(|(name, ..)| name == input) {
                Some((.., Some(found))) => edges.inputs.push(found.clone()),
                Some(_) => {}
                None => problems.push(self.wrong_inputs(description, &format!("nothing feeds \"{input}\""))),
            }
        }
        edges
    }

    fn positional(
        &self,
        description: &StepDescription,
        dependencies: &[(usize, &Reference)],
        problems: &mut Problems,
    ) -> Edges {
        let wanted = description.inputs.len();
        // An unknown dependency has been told already; it would only be told twice here.
        if self.step.depends_on.len() < wanted {
            problems.push(self.wrong_inputs(description, &format!("{} of them are given", self.step.depends_on.len())));
        }
        let (feeding, ordering) = dependencies.split_at(wanted.min(dependencies.len()));
        Edges {
            inputs: feeding.iter().filter_map(|(node, reference)| self.input(*node, reference, problems)).collect(),
            after: ordering.iter().map(|(node, _)| *node).collect(),
        }
    }

    fn wrong_inputs(&self, description: &StepDescription, why: &str) -> Problem {
        let names = description.inputs.join(", ");
        let inputs =
            if description.inputs.len() == 1 { "1 input" } else { &format!("{} inputs", description.inputs.len()) };
        Problem::at(
            &self.step.id_span,
            "wrong-inputs",
            format!("{} takes {inputs} ({names}), and {why}", description.name),
        )
        .help(match description.inputs.len() {
            1 => "name the step that feeds it: depends_on: [extract]".to_owned(),
            _ => format!("name the steps that feed it, in this order: depends_on: [{names}]"),
        })
    }

    /// The place of the step that a reference names.
    fn resolve(&self, reference: &Reference, problems: &mut Problems) -> Option<usize> {
        match self.ids.get(reference.id.as_str()) {
            Some(place) if *place == self.place => {
                problems.push(Problem::at(&reference.span, "cycle", format!("\"{}\" depends on itself", self.step.id)));
                None
            }
            Some(place) => Some(*place),
            None => {
                let known = self.spec.steps.iter().map(|step| step.id.as_str()).filter(|id| *id != self.step.id);
                problems.push(
                    Problem::at(
                        &reference.span,
                        "unknown-dependency",
                        format!("there is no step \"{}\"", reference.id),
                    )
                    .help(did_you_mean(&reference.id, known.collect::<Vec<_>>())),
                );
                None
            }
        }
    }

    /// The output that a reference names.
    fn input(&self, node: usize, reference: &Reference, problems: &mut Problems) -> Option<Input> {
        let outputs = &self.services[node]?.outputs;
        let output = match &reference.output {
            None => outputs.first()?.clone(),
            Some(name) if outputs.contains(name) => name.clone(),
            Some(name) => {
                let known = outputs.iter().map(String::as_str);
                problems.push(
                    Problem::at(
                        &reference.span,
                        "unknown-output",
                        format!("\"{}\" has no output \"{name}\"", reference.id),
                    )
                    .help(did_you_mean(name, known.collect::<Vec<_>>())),
                );
                return None;
            }
        };
        Some(Input { node, output })
    }
}

/// An order in which each step comes after what it needs; among equals, that of the file.
fn order(spec: &Spec, edges: &[Edges], problems: &mut Problems) -> Vec<usize> {
    let needs =
        |place: usize| edges[place].inputs.iter().map(|input| input.node).chain(edges[place].after.iter().copied());
    let mut ordered = Vec::with_capacity(edges.len());
    let mut done = vec![false; edges.len()];
    while ordered.len() < edges.len() {
        let next = (0..edges.len()).find(|place| !done[*place] && needs(*place).all(|before| done[before]));
        let Some(next) = next else {
            problems.push(cycle(spec, &done, &needs));
            // The rest in any order: nothing is going to run.
            ordered.extend((0..edges.len()).filter(|place| !done[*place]));
            return ordered;
        };
        done[next] = true;
        ordered.push(next);
    }
    ordered
}

/// Names a cycle among the steps that are left: from any of them, needs lead into one.
fn cycle<I: Iterator<Item = usize>>(spec: &Spec, done: &[bool], needs: &impl Fn(usize) -> I) -> Problem {
    let mut walked: Vec<usize> = Vec::new();
    let mut here = (0..done.len()).find(|place| !done[*place]).unwrap_or(0);
    while !walked.contains(&here) {
        walked.push(here);
        here = needs(here).find(|before| !done[*before]).unwrap_or(here);
    }
    let begin = walked.iter().position(|place| *place == here).unwrap_or(0);
    let mut members: Vec<usize> = walked[begin..].to_vec();
    members.reverse();
    let first = members.iter().copied().min().unwrap_or(0);
    let turn = members.iter().position(|place| *place == first).unwrap_or(0);
    members.rotate_left(turn);
    members.push(first);
    let names: Vec<&str> = members.iter().map(|place| spec.steps[*place].id.as_str()).collect();
    Problem::at(&spec.steps[first].id_span, "cycle", format!("these steps wait for each other: {}", names.join(" → ")))
        .help("take one of the dependencies away".to_owned())
}
