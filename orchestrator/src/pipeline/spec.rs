//! A pipeline as it was written: steps with their knobs and what they depend on, each with its place.
//!
//! Two forms are read. The plain one has `name`, `description` and `steps` at its top. The older one wraps steps in
//! `pipeline:`, either as a list or as a mapping like the plain form.
//!
//! A step with a mistake in it stays in the list, so that what else is wrong with it is told as well.

use super::params::{ParamSpec, declared};
use super::problem::{Problem, Problems};
use super::read::read;
use super::rules::{RULE_KEYS, RunRules};
use super::source::{Source, Span};
use super::yaml::{Entry, Node, Yaml};
use flight_common::params::did_you_mean;
use serde_json::Value;
use std::time::Duration;

/// A pipeline as it was written.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name; the file's if it has none of its own.
    pub name: String,
    /// The parameters that it declares; nothing for a file without `params`, whose texts hold no placeholders.
    pub params: Option<Vec<ParamSpec>>,
    /// What it says of its runs.
    pub rules: RunRules,
    /// Its steps, in the order of the file.
    pub steps: Vec<StepSpec>,
}

/// A step as it was written.
#[derive(Clone, Debug)]
pub struct StepSpec {
    /// Its id, unique in the pipeline; something to call it by where the file gives none, which has been told.
    pub id: String,
    /// Whether the file gives that id, so that others may name it.
    pub has_id: bool,
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
    /// Whether its outputs are kept.
    pub checkpoint: bool,
    /// Whether `depends_on` or `inputs` could not be read as a whole, which has been told.
    pub half_read: bool,
    /// Whether a placeholder in its parameters has no value: nothing more can be said of them.
    pub unfilled: bool,
}

impl StepSpec {
    /// All steps that it names.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.depends_on.iter().chain(self.inputs.iter().map(|(.., reference)| reference))
    }
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

/// What is said of the pipeline as a whole, beside `steps` or beside the older `pipeline`.
const PIPELINE_KEYS: [&str; 4] = ["name", "description", "version", "params"];
const STEP_KEYS: [&str; 10] =
    ["id", "service", "step", "params", "depends_on", "inputs", "timeout", "checkpoint", "description", "name"];

/// More steps than a run could hold at once.
const MOST_STEPS: usize = 1_000;
/// Characters of the longest id: it becomes part of the names of files and exchanges.
const LONGEST_ID: usize = 128;

/// Reads a pipeline, as far as it can be read. What is wrong with its form is added to `problems`.
pub fn load(source: &Source, problems: &mut Problems) -> Spec {
    let mut spec = Spec { name: file_stem(source.name()), params: None, rules: RunRules::default(), steps: Vec::new() };
    let Some(tree) = read(source, problems) else { return spec };
    let steps = steps_of(&tree, &mut spec, problems);
    spec.steps = steps.iter().enumerate().filter_map(|(place, step)| read_step(place, step, problems)).collect();
    spec.refuse_unused(problems);
    spec
}

fn file_stem(name: &str) -> String {
    let stem = std::path::Path::new(name).file_stem().and_then(|stem| stem.to_str());
    stem.filter(|stem| !stem.is_empty()).unwrap_or("pipeline").to_owned()
}

/// The list of steps, wherever the file has it.
fn steps_of<'a>(tree: &'a Yaml, spec: &mut Spec, problems: &mut Problems) -> &'a [Yaml] {
    let list = match tree.entry("pipeline") {
        Some(wrapper) => {
            take_whole(tree, "pipeline", spec, problems);
            match wrapper.value.node {
                Node::List(_) => Some(&wrapper.value),
                _ => steps_entry(&wrapper.value, spec, problems),
            }
        }
        None if matches!(tree.node, Node::List(_)) => Some(tree),
        None => steps_entry(tree, spec, problems),
    };
    let top = tree.entry("pipeline").map_or(tree, |wrapper| &wrapper.value);
    let Some((steps, span)) = list.and_then(|list| Some((list.items()?, &list.span))) else {
        let help = "write `steps:` and under it a list of steps, each with id and service".to_owned();
        problems.push(Problem::at(&list.unwrap_or(top).span, "no-steps", "there is no list of steps here").help(help));
        return &[];
    };
    if steps.is_empty() {
        let help = "add a step: {id: extract, service: extract-csv, params: {file_path: data.csv}}".to_owned();
        problems.push(Problem::at(span, "no-steps", "this pipeline has no steps").help(help));
    }
    if steps.len() > MOST_STEPS {
        let message = format!("this pipeline has {} steps, and {MOST_STEPS} is the most", steps.len());
        problems.push(Problem::at(&steps[MOST_STEPS].span, "too-many-steps", message).help("cut it in two".to_owned()));
    }
    &steps[..steps.len().min(MOST_STEPS)]
}

fn steps_entry<'a>(map: &'a Yaml, spec: &mut Spec, problems: &mut Problems) -> Option<&'a Yaml> {
    take_whole(map, "steps", spec, problems);
    map.entry("steps").map(|entry| &entry.value)
}

/// What a mapping says of the pipeline as a whole, beside its list of steps.
fn take_whole(map: &Yaml, list: &str, spec: &mut Spec, problems: &mut Problems) {
    let known: Vec<&str> = PIPELINE_KEYS.into_iter().chain(RULE_KEYS).chain([list]).collect();
    refuse_unknown(map, &known, problems);
    take_name(map, &mut spec.name, problems);
    spec.rules.take(map, problems);
    if let Some(entry) = map.entry("params") {
        spec.params.get_or_insert_default().extend(declared(&entry.value, problems));
    }
}

/// Keys that begin with `x-` are the writer's own: a place for anchors.
pub(super) fn refuse_unknown(map: &Yaml, known: &[&str], problems: &mut Problems) {
    for entry in map.entries().unwrap_or_default() {
        let key = entry.key.as_str();
        if !known.contains(&key) && !key.starts_with("x-") {
            problems.push(
                Problem::at(&entry.key_span, "unknown-key", format!("unknown key \"{key}\""))
                    .help(did_you_mean(key, known.iter().copied())),
            );
        }
    }
}

fn take_name(map: &Yaml, name: &mut String, problems: &mut Problems) {
    let Some(entry) = map.entry("name") else { return };
    match entry.value.text() {
        Some(text) => text.clone_into(name),
        None => problems.push(wrong_type(&entry.value, "name", "a text", "put it in quotes")),
    }
}

pub(super) fn wrong_type(value: &Yaml, key: &str, wanted: &str, help: &str) -> Problem {
    Problem::at(&value.span, "wrong-type", format!("{key} is {}, not {wanted}", value.kind())).help(help.to_owned())
}

fn read_step(place: usize, step: &Yaml, problems: &mut Problems) -> Option<StepSpec> {
    let Some(entries) = step.entries() else {
        let help = "write {id: …, service: …, params: {…}, depends_on: […]}";
        problems.push(wrong_type(step, "a step", "a mapping with id and service", help));
        return None;
    };
    refuse_unknown(step, &STEP_KEYS, problems);
    let id = required_text(step, step.entry("id"), "id", "give it an id, which other steps depend on", problems);
    let first = entries.first().map_or(&step.span, |first| &first.key_span);
    let has_id = id.is_some();
    let (id, id_span) = id.unwrap_or_else(|| (format!("step {}", place + 1), first.clone()));
    if has_id {
        check_id(&id, &id_span, problems);
    }
    let service = service_of(step, problems);
    let (service, service_span) = service.map_or((None, id_span.clone()), |(name, span)| (Some(name), span));
    let params = step.entry("params").map(|entry| &entry.value).filter(|params| !params.is_null());
    if let Some(wrong) = params.filter(|params| params.entries().is_none()) {
        problems.push(wrong_type(wrong, "params", "a mapping", "write params: {name: value}, or a name on each line"));
    }
    let before = problems.len();
    let depends_on = step.entry("depends_on").map(|entry| references(&entry.value, problems)).unwrap_or_default();
    let inputs = step.entry("inputs").map(|entry| named_inputs(&entry.value, problems)).unwrap_or_default();
    let half_read = problems.len() > before;
    Some(StepSpec {
        id,
        has_id,
        id_span,
        service,
        service_span,
        params: params.filter(|params| params.entries().is_some()).cloned(),
        depends_on,
        inputs,
        timeout: step.entry("timeout").and_then(|entry| timeout(&entry.value, "a step", problems)),
        checkpoint: step.entry("checkpoint").is_some_and(|entry| checkpoint(&entry.value, problems)),
        half_read,
        unfilled: false,
    })
}

fn service_of(step: &Yaml, problems: &mut Problems) -> Option<(String, Span)> {
    let (service, alias) = (step.entry("service"), step.entry("step"));
    if let (Some(_), Some(alias)) = (service, alias) {
        let message = "this step names its service twice: `step` is another word for `service`";
        problems.push(Problem::at(&alias.key_span, "duplicate-key", message).help("keep one of the two".to_owned()));
    }
    required_text(step, service.or(alias), "service", "name its service; `quiver steps` lists them", problems)
}

fn check_id(id: &str, span: &Span, problems: &mut Problems) {
    let letters = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !letters {
        let help = "use letters, digits, - and _; a dot means an output: quality.rejected".to_owned();
        problems.push(Problem::at(span, "bad-id", format!("\"{id}\" cannot be an id")).help(help));
    } else if id.len() > LONGEST_ID {
        let message = format!("this id has {} characters, and {LONGEST_ID} is the most", id.len());
        problems.push(Problem::at(span, "bad-id", message).help("shorten it".to_owned()));
    }
}

fn required_text(
    step: &Yaml,
    entry: Option<&Entry>,
    key: &str,
    help: &str,
    problems: &mut Problems,
) -> Option<(String, Span)> {
    match entry.map(|entry| (entry.value.text(), &entry.value)) {
        Some((Some(text), value)) => Some((text.to_owned(), value.span.clone())),
        Some((None, value)) => {
            problems.push(wrong_type(value, key, "a text", "put it in quotes"));
            None
        }
        None => {
            let span = step.entries().and_then(|entries| entries.first()).map_or(&step.span, |first| &first.key_span);
            let message = format!("this step has no {key}");
            problems.push(Problem::at(span, "missing-key", message).help(help.to_owned()));
            None
        }
    }
}

fn references(value: &Yaml, problems: &mut Problems) -> Vec<Reference> {
    match &value.node {
        Node::Scalar(Value::Null) => Vec::new(),
        Node::List(items) => items.iter().filter_map(|item| reference(item, problems)).collect(),
        _ => reference(value, problems).into_iter().collect(),
    }
}

fn reference(value: &Yaml, problems: &mut Problems) -> Option<Reference> {
    let Some(text) = value.text() else {
        let help = "name a step by its id, or one of its outputs: quality.rejected";
        problems.push(wrong_type(value, "a dependency", "the id of a step", help));
        return None;
    };
    let (id, output) = match text.split_once('.') {
        Some((id, output)) => (id, Some(output.to_owned())),
        None => (text, None),
    };
    Some(Reference { id: id.to_owned(), output, span: value.span.clone() })
}

fn named_inputs(value: &Yaml, problems: &mut Problems) -> Vec<(String, Span, Reference)> {
    if value.is_null() {
        return Vec::new();
    }
    let Some(entries) = value.entries() else {
        let help = "write inputs: {left: a, right: b}, or list the steps in depends_on";
        problems.push(wrong_type(value, "inputs", "a mapping from inputs to steps", help));
        return Vec::new();
    };
    let read = |entry: &Entry| Some((entry.key.clone(), entry.key_span.clone(), reference(&entry.value, problems)?));
    entries.iter().filter_map(read).collect()
}

/// Whether outputs are kept: `true` or `false`.
fn checkpoint(value: &Yaml, problems: &mut Problems) -> bool {
    match value.to_json() {
        Value::Bool(keep) => keep,
        _ => {
            let problem = Problem::at(&value.span, "bad-checkpoint", "checkpoint is true or false");
            problems
                .push(problem.help("checkpoint: true keeps the outputs of the step, to resume from them".to_owned()));
            false
        }
    }
}

/// How long something may take: not nothing.
pub(super) fn timeout(value: &Yaml, what: &str, problems: &mut Problems) -> Option<Duration> {
    if value.is_null() {
        return None;
    }
    let parsed = duration(value).filter(|time| !time.is_zero());
    if parsed.is_none() {
        let help = "write 30s, 5m or 1h; a number is seconds".to_owned();
        let message = format!("this is no time that {what} may take");
        problems.push(Problem::at(&value.span, "bad-timeout", message).help(help));
    }
    parsed
}

/// A time: `30s`, or a number of seconds.
pub(super) fn duration(value: &Yaml) -> Option<Duration> {
    match &value.node {
        Node::Scalar(Value::Number(seconds)) => seconds.as_f64().and_then(|it| Duration::try_from_secs_f64(it).ok()),
        Node::Scalar(Value::String(text)) => humantime::parse_duration(text).ok(),
        _ => None,
    }
}
