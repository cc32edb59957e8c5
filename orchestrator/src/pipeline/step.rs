//! One step as it was written: its knobs and what it depends on, each with its place. Pure.
//!
//! A step with a mistake in it stays in the list, so that what else is wrong with it is told as well.

use super::problem::{Problem, Problems};
use super::source::Span;
use super::values::{refuse_unknown, timeout, wrong_type};
use super::when::When;
use super::yaml::{Entry, Node, Yaml};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// The condition on which it runs.
    pub when: Option<When>,
    /// Whether it is one of those that run when all others have ended, however they have.
    pub finally: bool,
    /// The place of the group that it is repeated with, before it is.
    pub group: Option<usize>,
    /// The values of the item that it is for.
    pub item: Item,
    /// Whether `depends_on` or `inputs` could not be read as a whole, which has been told.
    pub half_read: bool,
    /// Whether its parameters are no mapping, or a placeholder in them has no value: nothing more can be said of them.
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
    /// Whether it only orders, whatever its place among the dependencies.
    pub orders: bool,
}

/// The values that belong to one item of what is repeated, by the names of their placeholders; nothing for one that may come
/// later.
pub type Item = BTreeMap<String, Option<Value>>;

/// The key of what a step is repeated for.
pub(super) const FOR_EACH: &str = "for_each";

const STEP_KEYS: [&str; 12] = [
    "id",
    "service",
    "step",
    "params",
    "depends_on",
    "inputs",
    "when",
    FOR_EACH,
    "timeout",
    "checkpoint",
    "description",
    "name",
];

/// Characters of the longest id: it becomes part of the names of files and exchanges.
const LONGEST_ID: usize = 128;

/// Reads one step; nothing for what is no mapping. What is wrong with it is added to `problems`.
pub(super) fn read_step(place: usize, step: &Yaml, problems: &mut Problems) -> Option<StepSpec> {
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
    let params = step.entry("params").map(|entry| &entry.value);
    let unread = params.filter(|params| params.entries().is_none());
    if let Some(wrong) = unread {
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
        when: step.entry("when").and_then(|entry| When::read(&entry.value, problems)),
        finally: false,
        group: None,
        item: Item::new(),
        checkpoint: step.entry("checkpoint").is_some_and(|entry| checkpoint(&entry.value, problems)),
        half_read,
        unfilled: unread.is_some(),
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

pub(super) fn check_id(id: &str, span: &Span, problems: &mut Problems) {
    let letters = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !letters {
        let help = "use letters, digits, - and _; a dot means an output: quality.rejected".to_owned();
        problems.push(Problem::at(span, "bad-id", format!("\"{id}\" cannot be an id")).help(help));
    } else if id.len() > LONGEST_ID {
        let message = format!("this id has {} characters, and {LONGEST_ID} is the most", id.len());
        problems.push(Problem::at(span, "bad-id", message).help("shorten it".to_owned()));
    }
}

pub(super) fn required_text(
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

pub(super) fn references(value: &Yaml, problems: &mut Problems) -> Vec<Reference> {
    match &value.node {
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
    Some(Reference { id: id.to_owned(), output, span: value.span.clone(), orders: false })
}

fn named_inputs(value: &Yaml, problems: &mut Problems) -> Vec<(String, Span, Reference)> {
    let Some(entries) = value.entries() else {
        let help = "write inputs: {left: a, right: b}, or list the steps in depends_on";
        problems.push(wrong_type(value, "inputs", "a mapping from inputs to steps", help));
        return Vec::new();
    };
    let read = |entry: &Entry| Some((entry.key.clone(), entry.key_span.clone(), reference(&entry.value, problems)?));
    entries.iter().filter(|entry| !entry.value.is_null()).filter_map(read).collect()
}

/// Whether outputs are kept: `true` or `false`.
fn checkpoint(value: &Yaml, problems: &mut Problems) -> bool {
    match value.to_json() {
        Value::Bool(keep) => keep,
        _ => {
            let problem = Problem::at(&value.span, "bad-checkpoint", "checkpoint is true or false");
            problems.push(
                problem.help("write true or false: true keeps the outputs of the step, to resume from them".to_owned()),
            );
            false
        }
    }
}
