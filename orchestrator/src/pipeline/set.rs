//! `--set step.param=value`: parameters changed from the command line.

use super::problem::{Problem, Problems};
use super::read::read;
use super::source::{Source, Span};
use super::spec::Spec;
use super::yaml::{Entry, Node, Yaml};
use flight_common::params::did_you_mean;

impl Spec {
    /// Changes parameters: each of `sets` is `step.param=value`, the value as YAML. A dotted path goes deeper, and a
    /// number in it counts the items of a list from 0. What is wrong with them is added to `problems`.
    pub fn apply(&mut self, sets: &[String], problems: &mut Problems) {
        for set in sets {
            if let Err(problem) = self.apply_one(set) {
                problems.push(problem);
            }
        }
    }

    fn apply_one(&mut self, set: &str) -> Result<(), Problem> {
        let refuse = |message: String| Problem::at(&Span::start(), "bad-set", message);
        let parts = set.split_once('=').and_then(|(path, value)| Some((path.split_once('.')?, value)));
        let Some(((id, path), value)) = parts.filter(|((_, path), _)| path.split('.').all(|part| !part.is_empty()))
        else {
            return Err(refuse(format!("--set {set} is not STEP.PARAM=VALUE"))
                .help("write --set clean.strategy=drop, or --set quality.rules.min_rows=5".to_owned()));
        };
        let known: Vec<String> = self.steps.iter().filter(|step| step.has_id).map(|step| step.id.clone()).collect();
        let Some(step) = self.steps.iter_mut().find(|step| step.has_id && step.id == id) else {
            return Err(refuse(format!("--set {set}: no step \"{id}\""))
                .help(did_you_mean(id, known.iter().map(String::as_str))));
        };
        // The value has no place in the file: it is shown at the step that it changes.
        let mut wrong = Problems::none();
        let value = match value.trim_start().starts_with(['|', '>']) && !value.contains('\n') {
            // A block of lines would begin so, and has none.
            true => Some(Yaml { span: step.id_span.clone(), node: Node::Scalar(value.into()) }),
            false => read(&Source::new("--set", value), &mut wrong),
        };
        if let Some(problem) = wrong.iter().next() {
            return Err(refuse(format!("--set {set}: {}", problem.message))
                .help("put a text in quotes: --set 'clean.fill_value=\"[none\"'".to_owned()));
        }
        let Some(mut value) = value else { return Ok(()) };
        place_all(&mut value, &step.id_span);
        let place = step.id_span.clone();
        let params = step.params.get_or_insert_with(|| Yaml { span: place.clone(), node: Node::Map(Vec::new()) });
        put(params, path, value, &place).ok_or_else(|| {
            refuse(format!("--set {set}: part of the path is neither a mapping nor an item of a list"))
                .help(format!("look at the params of \"{id}\" in the file"))
        })
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

/// Puts a value where a dotted path leads. What is missing on the way becomes a mapping.
fn put(here: &mut Yaml, path: &str, value: Yaml, span: &Span) -> Option<()> {
    let (key, rest) = match path.split_once('.') {
        Some((key, rest)) => (key, Some(rest)),
        None => (path, None),
    };
    let slot = match &mut here.node {
        Node::Map(entries) => slot(entries, key, span),
        Node::List(items) => items.get_mut(key.parse::<usize>().ok()?)?,
        Node::Scalar(_) => return None,
    };
    match rest {
        Some(rest) => put(slot, rest, value, span),
        None => {
            *slot = value;
            Some(())
        }
    }
}

fn slot<'a>(entries: &'a mut Vec<Entry>, key: &str, span: &Span) -> &'a mut Yaml {
    let place = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        let empty = Yaml { span: span.clone(), node: Node::Map(Vec::new()) };
        entries.push(Entry { key: key.to_owned(), key_span: span.clone(), value: empty });
        entries.len() - 1
    });
    &mut entries[place].value
}

#[cfg(test)]
mod tests {
    use super::super::spec::load;
    use super::*;

    const FILE: &str =
        "steps:\n  - {id: a, service: s, params: {x: 1, list: [{y: 2}], no: null}}\n  - {id: b, service: s}\n";

    fn after(sets: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut problems = Problems::none();
        let mut spec = load(&Source::new("test", FILE), &mut problems);
        spec.apply(&sets.iter().map(|set| (*set).to_owned()).collect::<Vec<_>>(), &mut problems);
        let params =
            spec.steps.iter().map(|step| step.params.as_ref().map_or(String::new(), |it| it.to_json().to_string()));
        (params.collect(), problems.iter().map(|problem| problem.message.clone()).collect())
    }

    #[test]
    fn values_are_yaml_and_paths_go_deeper() {
        let (params, problems) = after(&[
            "a.x=[1, 'b']",
            "a.list.0.y=007",
            "a.new.deep=2024-01-02",
            "b.n=3",
            "b.t=x=y.z",
            "b.u=|",
            "b.v=>1",
        ]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(params[0], r#"{"x":[1,"b"],"list":[{"y":"007"}],"no":null,"new":{"deep":"2024-01-02"}}"#);
        assert_eq!(params[1], r#"{"n":3,"t":"x=y.z","u":"|","v":">1"}"#);
    }

    #[test]
    fn each_that_cannot_be_is_told_and_the_others_hold() {
        let (params, problems) =
            after(&["nonsense", "a=1", "a.=1", "c.x=1", "a.x.y=1", "a.list.7=1", "a.x=[", "b.ok=1"]);
        assert_eq!(problems.len(), 7, "{problems:#?}");
        assert_eq!(params, [r#"{"x":1,"list":[{"y":2}],"no":null}"#, r#"{"ok":1}"#]);
    }
}
