//! A pipeline as it was written: steps with their knobs and what they depend on, each with its place.
//!
//! Two forms are read. The plain one has `name`, `description` and `steps` at its top. The older one wraps steps in
//! `pipeline:`, either as a list or as a mapping like the plain form.

use super::group::Group;
use super::params::{ParamSpec, declared};
use super::problem::{Problem, Problems};
use super::read::read;
use super::rules::{RULE_KEYS, RunRules};
use super::source::{Source, Span};
use super::step::{FOR_EACH, Reference, StepSpec, check_id, read_step, references, required_text};
use super::values::{refuse_unknown, wrong_type};
use super::when::word;
use super::yaml::{Entry, Node, Yaml};
use std::collections::HashMap;

/// A pipeline as it was written.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name; the file's if it has none of its own.
    pub name: String,
    /// The parameters that it declares; nothing for a file without `params`, whose texts hold no placeholders.
    pub params: Option<Vec<ParamSpec>>,
    /// What it says of its runs.
    pub rules: RunRules,
    /// Its steps, in the order of the file; then those of `finally`.
    pub steps: Vec<StepSpec>,
    /// What repeats some of them, until they are.
    pub groups: Vec<Group>,
}

/// What is said of the pipeline as a whole, beside `steps` or beside the older `pipeline`.
const PIPELINE_KEYS: [&str; 5] = ["name", "description", "version", "params", FINALLY];
const FINALLY: &str = "finally";
/// Of files of pipelines.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];
/// Characters of the longest name of a pipeline.
pub const LONGEST_NAME: usize = 128;
const GROUP_KEYS: [&str; 6] = ["id", "name", "description", "depends_on", FOR_EACH, "steps"];

/// More steps than a run could hold at once.
pub(super) const MOST_STEPS: usize = 1_000;

/// Reads a pipeline, as far as it can be read. What is wrong with its form is added to `problems`.
pub fn load(source: &Source, problems: &mut Problems) -> Spec {
    let mut spec = Spec {
        name: file_stem(source.name()),
        params: None,
        rules: RunRules::default(),
        steps: Vec::new(),
        groups: Vec::new(),
    };
    let Some(tree) = read(source, problems) else { return spec };
    let steps = steps_of(&tree, &mut spec, problems);
    spec.take_steps(steps, problems);
    let plain = spec.steps.len();
    let whole = tree.written("pipeline").map(|wrapper| &wrapper.value);
    for entry in [Some(&tree), whole].into_iter().flatten().filter_map(|map| map.entry(FINALLY)) {
        spec.take_finally(&entry.value, problems);
    }
    spec.steps[plain..].iter_mut().for_each(|step| step.finally = true);
    spec.refuse_too_many(problems);
    spec.refuse_unused(problems);
    spec.refuse_twins(problems);
    spec
}

/// The services that a text calls, as far as it can be read, in the order of its steps.
pub fn services(source: &Source) -> Vec<String> {
    load(source, &mut Problems::none()).steps.into_iter().filter_map(|step| step.service).collect()
}

/// The ids of its steps, as far as they can be read and as they are written.
pub fn step_ids(source: &Source) -> Vec<String> {
    load(source, &mut Problems::none()).steps.into_iter().map(|step| step.id).collect()
}

/// Whether anything of it runs finally.
pub fn has_finally(source: &Source) -> bool {
    load(source, &mut Problems::none()).steps.iter().any(|step| step.finally)
}

/// What a text says of its runs, as far as it can be read.
pub fn rules(source: &Source) -> RunRules {
    load(source, &mut Problems::none()).rules
}

/// What a pipeline is called after its file: `in/daily.orders.yaml` is `daily.orders`.
fn file_stem(path: &str) -> String {
    let name = std::path::Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    if stem.is_empty() { "pipeline".to_owned() } else { stem.to_owned() }
}

/// The list of steps, wherever the file has it.
fn steps_of<'a>(tree: &'a Yaml, spec: &mut Spec, problems: &mut Problems) -> &'a [Yaml] {
    let list = match tree.written("pipeline") {
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
    let top = tree.written("pipeline").map_or(tree, |wrapper| &wrapper.value);
    let Some((steps, span)) = list.and_then(|list| Some((list.items()?, &list.span))) else {
        let help = "write `steps:` and under it a list of steps, each with id and service".to_owned();
        problems.push(Problem::at(&list.unwrap_or(top).span, "no-steps", "there is no list of steps here").help(help));
        return &[];
    };
    if steps.is_empty() {
        let help = "add a step: {id: extract, service: extract-csv, params: {file_path: data.csv}}".to_owned();
        problems.push(Problem::at(span, "no-steps", "this pipeline has no steps").help(help));
    }
    steps
}

impl Spec {
    /// Reads a list of steps, some of which may be repeated.
    fn take_steps(&mut self, steps: &[Yaml], problems: &mut Problems) {
        for step in steps {
            let place = self.steps.len();
            match step.entry(FOR_EACH) {
                None => self.steps.extend(read_step(place, step, problems)),
                Some(each) => self.take_group(step, each, problems),
            }
        }
    }

    /// Reads what is repeated: the steps of a group, or one step by itself.
    fn take_group(&mut self, step: &Yaml, each: &Entry, problems: &mut Problems) {
        let inner = step.written("steps");
        let before = self.steps.len();
        let (id, depends_on) = match inner {
            None => {
                self.steps.extend(read_step(before, step, problems));
                (self.steps.get(before).map(|step| step.id.clone()), Vec::new())
            }
            Some(inner) => {
                refuse_unknown(step, &GROUP_KEYS, problems);
                let help = "give the group an id, by which others come after it";
                let id = required_text(step, step.entry("id"), "id", help, problems);
                if let Some((id, span)) = &id {
                    check_id(id, span, problems);
                }
                let depends_on = step.entry("depends_on").map(|entry| references(&entry.value, problems));
                self.take_inner(&inner.value, problems);
                (id.map(|(id, _)| id), depends_on.unwrap_or_default())
            }
        };
        let Some(mut group) = Group::read(id.unwrap_or_default(), each, problems) else {
            // What repeats them cannot be read, which was told: they are checked as if they stood alone.
            return;
        };
        self.steps[before..].iter_mut().for_each(|step| step.group = Some(self.groups.len()));
        group.depends_on = depends_on.into_iter().map(|reference| Reference { orders: true, ..reference }).collect();
        self.groups.push(group);
    }

    fn take_inner(&mut self, steps: &Yaml, problems: &mut Problems) {
        let items = steps.items().unwrap_or_default();
        if items.is_empty() {
            let help = "list the steps that are repeated, each with id and service".to_owned();
            problems.push(Problem::at(&steps.span, "no-steps", "there is no list of steps here").help(help));
        }
        for step in items {
            if let Some(each) = step.entry(FOR_EACH) {
                let help = "make one list of mappings, an item for each pair: {region: north, year: 2024}".to_owned();
                let message = "what is repeated cannot be repeated again within itself";
                problems.push(Problem::at(&each.key_span, "nested-for-each", message).help(help));
                continue;
            }
            self.steps.extend(read_step(self.steps.len(), step, problems));
        }
    }

    fn take_finally(&mut self, steps: &Yaml, problems: &mut Problems) {
        match steps.items() {
            Some(items) => self.take_steps(items, problems),
            None => {
                let help = "list the steps that run at the end, however the others have ended";
                problems.push(wrong_type(steps, FINALLY, "a list of steps", help));
            }
        }
    }

    /// Refuses conditions that could mean either of two steps, whose ids differ in `-` and `_` alone.
    fn refuse_twins(&self, problems: &mut Problems) {
        let mut steps: HashMap<String, Vec<&StepSpec>> = HashMap::new();
        self.steps.iter().for_each(|step| steps.entry(word(&step.id)).or_default().push(step));
        for (step, when) in self.steps.iter().filter_map(|step| Some((step, step.when.as_ref()?))) {
            for word in when.words() {
                // What is repeated is named from within its group only.
                let near = |other: &&&StepSpec| other.group.is_none() || other.group == step.group;
                let mut meant = steps.get(word).into_iter().flatten().filter(near);
                let Some(first) = meant.next() else { continue };
                if let Some(second) = meant.find(|other| other.id != first.id) {
                    let message = format!("`steps.{word}` is two steps here: \"{}\" and \"{}\"", first.id, second.id);
                    let help = "give one of them another id: a condition writes `_` for each `-`".to_owned();
                    problems.push(Problem::at(when.span(), "bad-when", message).help(help));
                }
            }
        }
    }

    /// Refuses more steps than a run can hold, and lets go of those beyond.
    pub(super) fn refuse_too_many(&mut self, problems: &mut Problems) {
        if self.steps.len() > MOST_STEPS {
            problems.push(too_many(self.steps.len(), &self.steps[MOST_STEPS].id_span));
            self.steps.truncate(MOST_STEPS);
        }
    }
}

/// So many steps are more than a run can hold.
pub(super) fn too_many(steps: usize, span: &Span) -> Problem {
    let message = format!("this pipeline has {steps} steps, and {MOST_STEPS} is the most");
    Problem::at(span, "too-many-steps", message).help("cut it in two".to_owned())
}

fn steps_entry<'a>(map: &'a Yaml, spec: &mut Spec, problems: &mut Problems) -> Option<&'a Yaml> {
    take_whole(map, "steps", spec, problems);
    map.written("steps").map(|entry| &entry.value)
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

fn take_name(map: &Yaml, name: &mut String, problems: &mut Problems) {
    let Some(entry) = map.entry("name") else { return };
    match entry.value.text() {
        // A terminal or a log would do what they say.
        Some(text) if text.chars().any(char::is_control) => {
            let message = format!("a name without line breaks and control characters is wanted, and not {text:?}");
            problems.push(Problem::at(&entry.value.span, "bad-name", message).help("leave them out".to_owned()));
        }
        Some(text) if text.chars().count() > LONGEST_NAME => {
            let message = format!("the name has {} characters, and {LONGEST_NAME} is the most", text.chars().count());
            let help = "say the rest in `description`".to_owned();
            problems.push(Problem::at(&entry.value.span, "bad-name", message).help(help));
        }
        Some(text) => text.clone_into(name),
        None => problems.push(wrong_type(&entry.value, "name", "a text", "put it in quotes")),
    }
}
