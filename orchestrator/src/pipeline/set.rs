//! `--set step.param=value`: parameters changed from the command line.

use super::problem::{Problem, Problems};
use super::source::{Source, Span};
use super::spec::Spec;
use super::yaml::{self, Entry, Node, Yaml};
use flight_common::params::did_you_mean;

impl Spec {
    /// Changes parameters: each of `sets` is `step.param=value`, the value as YAML. A dotted path goes deeper. What is
    /// wrong with them is added to `problems`.
    pub fn apply(&mut self, sets: &[String], problems: &mut Problems) {
        for set in sets {
            if let Err(problem) = self.apply_one(set) {
                problems.push(problem);
            }
        }
    }

    fn apply_one(&mut self, set: &str) -> Result<(), Problem> {
        let nowhere = Span { line: 1, column: 1, bytes: 0..0 };
        let refuse = |message: String| Problem::at(&nowhere, "bad-set", message);
        let parts = set.split_once('=').and_then(|(path, value)| Some((path.split_once('.')?, value)));
        let Some(((id, path), value)) = parts else {
            return Err(refuse(format!("--set {set} is not STEP.PARAM=VALUE")));
        };
        let known: Vec<String> = self.steps.iter().map(|step| step.id.clone()).collect();
        let Some(step) = self.steps.iter_mut().find(|step| step.id == id) else {
            return Err(refuse(format!("--set {set}: no step \"{id}\""))
                .help(did_you_mean(id, known.iter().map(String::as_str))));
        };
        // The value has no place in the file: it is shown at the step that it changes.
        let mut value = yaml::read(&Source::new("--set", value))
            .map_err(|problem| refuse(format!("--set {set}: {}", problem.message)))?;
        place_all(&mut value, &step.id_span);
        let place = step.id_span.clone();
        let params = step.params.get_or_insert_with(|| Yaml { span: place.clone(), node: Node::Map(Vec::new()) });
        put(params, path, value, &place).ok_or_else(|| refuse(format!("--set {set}: part of the path is no mapping")))
    }
}

fn place_all(value: &mut Yaml, span: &Span) {
    value.span = span.clone();
    match &mut value.node {
        Node::Scalar(_) => {}
        Node::List(items) => items.iter_mut().for_each(|item| place_all(item, span)),
        Node::Map(entries) => {
            for entry in entries {
                entry.key_span = span.clone();
                place_all(&mut entry.value, span);
            }
        }
    }
}

fn put(params: &mut Yaml, path: &str, value: Yaml, span: &Span) -> Option<()> {
    let (key, rest) = match path.split_once('.') {
        Some((key, rest)) => (key, Some(rest)),
        None => (path, None),
    };
    let Node::Map(entries) = &mut params.node else { return None };
    let place = match entries.iter().position(|entry| entry.key == key) {
        Some(place) => place,
        None => {
            let empty = Yaml { span: span.clone(), node: Node::Map(Vec::new()) };
            entries.push(Entry { key: key.to_owned(), key_span: span.clone(), value: empty });
            entries.len() - 1
        }
    };
    match rest {
        Some(rest) => put(&mut entries[place].value, rest, value, span),
        None => {
            entries[place].value = value;
            Some(())
        }
    }
}
