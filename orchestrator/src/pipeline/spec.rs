//! A pipeline as it was written: steps with their knobs and what they depend on, each with its place.
//!
//! Two forms are read. The plain one has `name`, `description` and `steps` at its top. The older one wraps steps in
//! `pipeline:`, either as a list or as a mapping like the plain form.

use super::problem::{Problem, Problems};
use super::source::{Source, Span};
use super::yaml::{self, Entry, Node, Yaml};
use flight_common::params::did_you_mean;
use std::time::Duration;

/// A pipeline as it was written.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name; the file's if it has none of its own.
    pub name: String,
    /// Its steps, in the order of the file.
    pub steps: Vec<StepSpec>,
}

/// A step as it was written.
#[derive(Clone, Debug)]
pub struct StepSpec {
    /// Its id, unique in the pipeline.
    pub id: String,
    /// Where the id stood.
    pub id_span: Span,
    /// The service it calls; nothing where the file does not say, which has been told.
    pub service: Option<String>,
    /// Where that stood.
    pub service_span: Span,
    /// Its parameters.
    pub params: Option<Yaml>,
    /// What it depends on, in order.
    pub depends_on: Vec<Reference>,
    /// Inputs given by name.
    pub inputs: Vec<(String, Span, Reference)>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// The name of another step, or of one of its outputs: `quality.rejected`.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The id of the step.
    pub id: String,
    /// The output, if it is not the main one.
    pub output: Option<String>,
    /// Where it stood.
    pub span: Span,
}

const TOP_KEYS: [&str; 4] = ["name", "description", "version", "steps"];
const STEP_KEYS: [&str; 9] =
    ["id", "service", "step", "params", "depends_on", "inputs", "timeout", "description", "name"];

/// Reads a pipeline, as far as it can be read. What is wrong with its form is added to `problems`.
pub fn load(source: &Source, problems: &mut Problems) -> Spec {
    let mut name = file_stem(source.name());
    let tree = match yaml::read(source) {
        Ok(tree) => tree,
        Err(problem) => {
            problems.push(problem);
            return Spec { name, steps: Vec::new() };
        }
    };
    let steps = steps_of(&tree, &mut name, problems);
    let steps = steps.iter().filter_map(|step| read_step(step, problems)).collect();
    Spec { name, steps }
}

fn file_stem(name: &str) -> String {
    let stem = std::path::Path::new(name).file_stem().and_then(|stem| stem.to_str());
    stem.filter(|stem| !stem.is_empty()).unwrap_or("pipeline").to_owned()
}

/// The list of steps, wherever the file has it.
fn steps_of<'a>(tree: &'a Yaml, name: &mut String, problems: &mut Problems) -> &'a [Yaml] {
    let top = match (&tree.node, tree.entry("pipeline")) {
        (_, Some(wrapper)) => {
            for entry in tree.entries().unwrap_or_default() {
                if entry.key != "pipeline" && !TOP_KEYS.contains(&entry.key.as_str()) {
                    problems.push(unknown_key(entry, &["pipeline", "name", "description"]));
                }
            }
            take_name(tree, name, problems);
            &wrapper.value
        }
        _ => tree,
    };
    let list = match &top.node {
        Node::List(_) => Some(top),
        Node::Map(entries) => {
            for entry in entries {
                if !TOP_KEYS.contains(&entry.key.as_str()) {
                    problems.push(unknown_key(entry, &TOP_KEYS));
                }
            }
            take_name(top, name, problems);
            top.entry("steps").map(|entry| &entry.value)
        }
        Node::Scalar(_) => None,
    };
    match list.map(|list| (&list.node, &list.span)) {
        Some((Node::List(steps), span)) => {
            if steps.is_empty() {
                problems.push(Problem::at(span, "no-steps", "this pipeline has no steps"));
            }
            steps
        }
        _ => {
            let help = "write `steps:` and under it a list of steps, each with id and service".to_owned();
            problems.push(Problem::at(&top.span, "no-steps", "there is no list of steps here").help(help));
            &[]
        }
    }
}

fn take_name(map: &Yaml, name: &mut String, problems: &mut Problems) {
    let Some(entry) = map.entry("name") else { return };
    match entry.value.text() {
        Some(text) => text.clone_into(name),
        None => problems.push(wrong_kind(&entry.value, "name", "a text")),
    }
}

fn unknown_key(entry: &Entry, known: &[&str]) -> Problem {
    Problem::at(&entry.key_span, "unknown-key", format!("unknown key \"{}\"", entry.key))
        .help(did_you_mean(&entry.key, known.iter().copied()))
}

fn wrong_kind(value: &Yaml, key: &str, wanted: &str) -> Problem {
    Problem::at(&value.span, "wrong-type", format!("{key} is {}, not {wanted}", value.kind()))
}

fn read_step(step: &Yaml, problems: &mut Problems) -> Option<StepSpec> {
    let Some(entries) = step.entries() else {
        problems.push(wrong_kind(step, "a step", "a mapping with id and service"));
        return None;
    };
    for entry in entries.iter().filter(|entry| !STEP_KEYS.contains(&entry.key.as_str())) {
        problems.push(unknown_key(entry, &STEP_KEYS));
    }
    let service = step.entry("service").or_else(|| step.entry("step"));
    let service = required_text(step, service, "service", problems);
    let id = required_text(step, step.entry("id"), "id", problems);
    let (id, id_span) = id?;
    let (service, service_span) = match service {
        Some((service, span)) => (Some(service), span),
        None => (None, id_span.clone()),
    };
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        let help = "use letters, digits, - and _; a dot means an output: quality.rejected".to_owned();
        problems.push(Problem::at(&id_span, "bad-id", format!("\"{id}\" cannot be an id")).help(help));
    }
    let params = step.entry("params").map(|entry| &entry.value);
    let params = params.filter(|params| !matches!(params.node, Node::Scalar(serde_json::Value::Null)));
    if let Some(wrong) = params.filter(|params| params.entries().is_none()) {
        problems.push(wrong_kind(wrong, "params", "a mapping"));
    }
    Some(StepSpec {
        id,
        id_span,
        service,
        service_span,
        params: params.cloned(),
        depends_on: step.entry("depends_on").map(|entry| references(&entry.value, problems)).unwrap_or_default(),
        inputs: step.entry("inputs").map(|entry| named_inputs(&entry.value, problems)).unwrap_or_default(),
        timeout: step.entry("timeout").and_then(|entry| timeout(&entry.value, problems)),
    })
}

fn required_text(step: &Yaml, entry: Option<&Entry>, key: &str, problems: &mut Problems) -> Option<(String, Span)> {
    match entry.map(|entry| (entry.value.text(), &entry.value)) {
        Some((Some(text), value)) => Some((text.to_owned(), value.span.clone())),
        Some((None, value)) => {
            problems.push(wrong_kind(value, key, "a text"));
            None
        }
        None => {
            let span = step.entries().and_then(|entries| entries.first()).map_or(&step.span, |first| &first.key_span);
            problems.push(Problem::at(span, "missing-key", format!("this step has no {key}")));
            None
        }
    }
}

fn references(value: &Yaml, problems: &mut Problems) -> Vec<Reference> {
    match &value.node {
        Node::Scalar(serde_json::Value::Null) => Vec::new(),
        Node::List(items) => items.iter().filter_map(|item| reference(item, problems)).collect(),
        _ => reference(value, problems).into_iter().collect(),
    }
}

fn reference(value: &Yaml, problems: &mut Problems) -> Option<Reference> {
    let Some(text) = value.text() else {
        problems.push(wrong_kind(value, "a dependency", "the id of a step"));
        return None;
    };
    let (id, output) = match text.split_once('.') {
        Some((id, output)) => (id, Some(output.to_owned())),
        None => (text, None),
    };
    Some(Reference { id: id.to_owned(), output, span: value.span.clone() })
}

fn named_inputs(value: &Yaml, problems: &mut Problems) -> Vec<(String, Span, Reference)> {
    let Some(entries) = value.entries() else {
        problems.push(wrong_kind(value, "inputs", "a mapping from inputs to steps: {left: a, right: b}"));
        return Vec::new();
    };
    let read = |entry: &Entry| Some((entry.key.clone(), entry.key_span.clone(), reference(&entry.value, problems)?));
    entries.iter().filter_map(read).collect()
}

fn timeout(value: &Yaml, problems: &mut Problems) -> Option<Duration> {
    let seconds = match &value.node {
        Node::Scalar(serde_json::Value::Number(number)) => number.as_f64().filter(|seconds| *seconds > 0.0),
        _ => None,
    };
    let parsed = match (seconds, value.text()) {
        (Some(seconds), _) => Duration::try_from_secs_f64(seconds).ok(),
        (None, Some(text)) => humantime::parse_duration(text).ok().filter(|time| !time.is_zero()),
        _ => None,
    };
    if parsed.is_none() {
        problems
            .push(Problem::at(&value.span, "bad-timeout", "this is no time").help("write 30s, 5m or 1h".to_owned()));
    }
    parsed
}
