//! One step joined to the others: which of them feed its inputs, and which it only comes after. Pure.

use super::problem::{Problem, Problems};
use super::step::{Reference, StepSpec};
use flight_common::describe::{INPUT_NAME_HELP, is_input_name};
use flight_common::params::did_you_mean;
use flight_common::{INPUT, StepDescription};
use std::collections::HashMap;
use std::sync::Arc;

/// Problems beyond which no nearest name is looked for: among a thousand wrong names nobody misses it.
const MOST_HINTS: usize = 100;

/// What feeds an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The input's name: `left`.
    pub name: String,
    /// The node its rows come from.
    pub node: usize,
    /// The named output of that.
    pub output: String,
}

/// What one step is joined to, by places in the file.
#[derive(Default)]
pub struct Edges {
    /// What feeds its inputs.
    pub inputs: Vec<Input>,
    /// What it only comes after.
    pub after: Vec<usize>,
    /// What its condition names, and it waits for.
    pub asks: Vec<usize>,
    /// All that the file says it needs, whether or not its service is known.
    pub needs: Vec<usize>,
}

/// A step, and what there is to join it to.
pub struct Joiner<'a> {
    /// The first step of each id.
    pub ids: &'a HashMap<&'a str, usize>,
    /// The service of each step.
    pub services: &'a [Option<&'a Arc<StepDescription>>],
    /// The place of the step in the file.
    pub place: usize,
    /// The step.
    pub step: &'a StepSpec,
}

impl Joiner<'_> {
    /// Joins the step. What cannot be joined is added to `problems`.
    pub fn join(&self, problems: &mut Problems) -> Edges {
        let resolved = |reference: &Reference, problems: &mut Problems| {
            let node = self.resolve(reference, problems);
            let output = node.and_then(|node| self.output(node, reference, problems));
            Resolved { node, output, orders: reference.orders }
        };
        let dependencies: Vec<Resolved> =
            self.step.depends_on.iter().map(|reference| resolved(reference, problems)).collect();
        let named: Vec<Resolved> =
            self.step.inputs.iter().map(|(.., reference)| resolved(reference, problems)).collect();
        let condition = self.step.when.iter().flat_map(|when| when.steps());
        let asks: Vec<usize> = condition.filter_map(|id| self.ids.get(id).copied()).collect();
        let mut needs: Vec<usize> = dependencies.iter().chain(&named).filter_map(|found| found.node).collect();
        needs.extend(&asks);
        needs.sort_unstable();
        needs.dedup();
        let joined = match self.services[self.place] {
            None => Edges::default(),
            Some(description) if description.takes_any_inputs() => {
                self.any(description, &named, &dependencies, problems)
            }
            Some(description) if named.is_empty() => self.in_order(description, &dependencies, problems),
            Some(description) => self.by_name(description, &named, &dependencies, problems),
        };
        Edges { needs, asks, ..joined }
    }

    /// The first dependencies feed, the further ones order.
    fn in_order(&self, service: &StepDescription, given: &[Resolved], problems: &mut Problems) -> Edges {
        let wanted = service.inputs.len();
        let (ordered, given): (Vec<&Resolved>, Vec<&Resolved>) = given.iter().partition(|found| found.orders);
        if given.len() < wanted && !self.step.half_read {
            let given = match given.len() {
                0 => "none is given".to_owned(),
                count => format!("only {count} is given"),
            };
            let wrong = self.wrong_inputs(service, &given);
            problems.push(match ordered.is_empty() {
                true => wrong,
                false => wrong.help("the rows of a repeated step stay within its group: read them there".to_owned()),
            });
        }
        let (feeding, ordering) = given.split_at(wanted.min(given.len()));
        Edges {
            inputs: service.inputs.iter().zip(feeding).filter_map(|(name, found)| found.feeding(name)).collect(),
            after: ordering.iter().copied().chain(ordered).filter_map(|found| found.node).collect(),
            ..Edges::default()
        }
    }

    /// `inputs` names what feeds; every dependency orders.
    fn by_name(
        &self,
        service: &StepDescription,
        named: &[Resolved],
        ordering: &[Resolved],
        problems: &mut Problems,
    ) -> Edges {
        for (name, span, _) in &self.step.inputs {
            if !service.inputs.contains(name) {
                let known: Vec<&str> = service.inputs.iter().map(String::as_str).collect();
                problems.push(
                    Problem::at(span, "wrong-inputs", format!("{} has no input \"{name}\"", service.name))
                        .help(did_you_mean(name, known)),
                );
            }
        }
        let names = self.step.inputs.iter().map(|(name, ..)| name);
        let found: HashMap<&String, &Resolved> = names.zip(named).collect();
        for input in service.inputs.iter().filter(|input| !found.contains_key(input)) {
            if !self.step.half_read {
                problems.push(self.wrong_inputs(service, &format!("nothing feeds \"{input}\"")));
            }
        }
        Edges {
            inputs: service.inputs.iter().filter_map(|name| found.get(name)?.feeding(name)).collect(),
            after: ordering.iter().filter_map(|found| found.node).collect(),
            ..Edges::default()
        }
    }

    /// `inputs` names what feeds, with any names; of dependencies alone, a single one feeds the input of the usual name.
    fn any(&self, service: &StepDescription, named: &[Resolved], given: &[Resolved], problems: &mut Problems) -> Edges {
        let (ordered, given): (Vec<&Resolved>, Vec<&Resolved>) =
            given.iter().partition(|found| found.orders || !named.is_empty());
        for (name, span, _) in self.step.inputs.iter().filter(|(name, ..)| !is_input_name(name)) {
            let problem = Problem::at(span, "wrong-inputs", format!("no input can be called \"{name}\""));
            problems.push(problem.help(INPUT_NAME_HELP.to_owned()));
        }
        let single = given.len() == 1;
        if named.is_empty() && !single && !self.step.half_read {
            problems.push(self.unnamed_inputs(service, given.len()));
        }
        let names = self.step.inputs.iter().map(|(name, ..)| name.as_str());
        let only = given.into_iter().filter(|_| single);
        let good = names.zip(named).filter(|(name, _)| is_input_name(name));
        let feeding = good.chain(INPUT.iter().copied().zip(only));
        Edges {
            inputs: feeding.filter_map(|(name, found)| found.feeding(name)).collect(),
            after: ordered.into_iter().filter_map(|found| found.node).collect(),
            ..Edges::default()
        }
    }

    /// None, or several that could mean anything.
    fn unnamed_inputs(&self, service: &StepDescription, given: usize) -> Problem {
        let why = match given {
            0 => "none is given".to_owned(),
            several => format!("of {several} it does not know the names"),
        };
        let message = format!("{} takes one input or more, and {why}", service.name);
        let help =
            "name what feeds it: inputs: {orders: a, customers: b}; steps in depends_on then only come before it";
        Problem::at(&self.step.id_span, "wrong-inputs", message).help(help.to_owned())
    }

    fn wrong_inputs(&self, service: &StepDescription, why: &str) -> Problem {
        let names = service.inputs.join(", ");
        let (inputs, help) = match service.inputs.len() {
            1 => ("1 input".to_owned(), "name the step that feeds it: depends_on: [extract]".to_owned()),
            many => {
                (format!("{many} inputs"), format!("name the steps that feed it, in this order: depends_on: [{names}]"))
            }
        };
        let message = format!("{} takes {inputs} ({names}), and {why}", service.name);
        Problem::at(&self.step.id_span, "wrong-inputs", message).help(help)
    }

    /// The place of the step that a reference names.
    fn resolve(&self, reference: &Reference, problems: &mut Problems) -> Option<usize> {
        let found = self.ids.get(reference.id.as_str()).copied();
        if found.is_none() {
            let message = format!("there is no step \"{}\"", reference.id);
            let help = (problems.len() < MOST_HINTS).then(|| {
                let mut known: Vec<(&str, usize)> = self.ids.iter().map(|(id, place)| (*id, *place)).collect();
                known.retain(|(_, place)| *place != self.place);
                known.sort_by_key(|(_, place)| *place);
                did_you_mean(&reference.id, known.iter().map(|(id, _)| *id))
            });
            problems.push(Problem::at(&reference.span, "unknown-dependency", message).help(help));
        }
        found
    }

    /// The output of that step that a reference means.
    fn output(&self, node: usize, reference: &Reference, problems: &mut Problems) -> Option<String> {
        let outputs = &self.services[node]?.outputs;
        let Some(name) = &reference.output else { return outputs.first().cloned() };
        if !outputs.contains(name) {
            let message = format!("\"{}\" has no output \"{name}\"", reference.id);
            let known: Vec<&str> = outputs.iter().map(String::as_str).collect();
            problems.push(Problem::at(&reference.span, "unknown-output", message).help(did_you_mean(name, known)));
            return None;
        }
        Some(name.clone())
    }
}

/// A reference looked up: the step, and its output, as far as there are such.
struct Resolved {
    node: Option<usize>,
    output: Option<String>,
    /// Whether it only orders.
    orders: bool,
}

impl Resolved {
    fn feeding(&self, input: &str) -> Option<Input> {
        Some(Input { name: input.to_owned(), node: self.node?, output: self.output.clone()? })
    }
}
