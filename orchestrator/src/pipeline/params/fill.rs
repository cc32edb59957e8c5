//! Values put where placeholders stand.
//!
//! A text that is one placeholder becomes the value, with its type; within a longer text the value is written out. The
//! place in the file stays that of the text, so that whatever a step says of the value points there.

use super::super::problem::{Problem, Problems};
use super::super::source::Span;
use super::super::spec::Spec;
use super::super::yaml::{Node, Yaml};
use super::declare::not_of_kind;
use super::template::{Piece, pieces};
use super::{ParamKind, ParamSpec};
use flight_common::params::did_you_mean;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// What to make of a parameter without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Missing {
    /// It is a problem: the pipeline is to run.
    Refused,
    /// It may come later: the steps that need it are not planned.
    Awaited,
}

impl Spec {
    /// Puts values into the steps: those of `given`, else the defaults. Unknown names, missing values and wrong ones
    /// are added to `problems`.
    pub(in super::super) fn fill(
        &mut self,
        given: &BTreeMap<String, Value>,
        missing: Missing,
        problems: &mut Problems,
    ) {
        self.refuse_undeclared(given, problems);
        let Some(declared) = &self.params else { return };
        let values = declared.iter().map(|param| (param.name.as_str(), value(param, given, missing, problems)));
        let mut filler = Filler { values: values.collect(), problems };
        for step in &mut self.steps {
            if let Some(params) = &mut step.params {
                step.unfilled = !filler.fill(params);
            }
        }
    }

    fn refuse_undeclared(&self, given: &BTreeMap<String, Value>, problems: &mut Problems) {
        let declared = self.params.as_deref().unwrap_or_default();
        for name in given.keys().filter(|name| declared.iter().all(|param| param.name != **name)) {
            let message = format!("a value is given for \"{name}\", and the pipeline has no such parameter");
            let help = match declared.is_empty() {
                true => format!("declare it: params: {{{name}: …}}, and use it in a step: \"{{{{ {name} }}}}\""),
                false => did_you_mean(name, declared.iter().map(|param| param.name.as_str())),
            };
            problems.push(Problem::at(&Span::start(), "unknown-param", message).help(help));
        }
    }

    /// Tells of parameters that no step uses.
    pub(in super::super) fn refuse_unused(&self, problems: &mut Problems) {
        let mut used = HashSet::new();
        for step in &self.steps {
            if let Some(params) = &step.params {
                names(params, &mut used);
            }
        }
        let unused = |param: &&ParamSpec| !param.half_read && !used.contains(param.name.as_str());
        for param in self.params.iter().flatten().filter(unused) {
            let message = format!("no step uses the parameter \"{}\"", param.name);
            let help = format!("use it in a step's params: \"{{{{ {} }}}}\", or take it away", param.name);
            problems.push(Problem::at(&param.span, "unused-param", message).help(help));
        }
    }
}

/// The names that the placeholders under a node have.
fn names<'a>(here: &'a Yaml, found: &mut HashSet<&'a str>) {
    match &here.node {
        Node::Scalar(Value::String(text)) => {
            found.extend(pieces(text).unwrap_or_default().into_iter().filter_map(|piece| match piece {
                Piece::Name(name) => Some(name),
                Piece::Text(_) => None,
            }));
        }
        Node::Scalar(_) => {}
        Node::List(items) => items.iter().for_each(|item| names(item, found)),
        Node::Map(entries) => entries.iter().for_each(|entry| names(&entry.value, found)),
    }
}

/// The value of a parameter; nothing for one that has none that can be used, which is told.
fn value(
    param: &ParamSpec,
    given: &BTreeMap<String, Value>,
    missing: Missing,
    problems: &mut Problems,
) -> Option<Value> {
    if param.half_read {
        return None;
    }
    let Some(given) = given.get(&param.name) else {
        if param.default.is_none() && missing == Missing::Refused {
            problems.push(no_value(param));
        }
        return param.default.clone();
    };
    let what = format!("the value given for \"{}\"", param.name);
    match param.kind.read(given) {
        None => problems.push(not_of_kind(&param.span, &what, given, param.kind)),
        Some(value) if !param.allows(&value) => problems.push(param.not_allowed(&param.span, &what, &value)),
        value => return value,
    }
    None
}

fn no_value(param: &ParamSpec) -> Problem {
    let example = match param.kind {
        ParamKind::String => "…",
        ParamKind::Integer => "500",
        ParamKind::Number => "2.5",
        ParamKind::Boolean => "true",
        ParamKind::Date => "2024-02-29",
    };
    let help = format!("give one, as in --param {}={example}, or a default in the file", param.name);
    Problem::at(&param.span, "missing-value", format!("the parameter \"{}\" has no value", param.name)).help(help)
}

struct Filler<'a> {
    /// What there is, by name; nothing for what has no value, which was told.
    values: BTreeMap<&'a str, Option<Value>>,
    problems: &'a mut Problems,
}

impl Filler<'_> {
    /// Fills what is under a node. Says whether each placeholder had a value.
    fn fill(&mut self, here: &mut Yaml) -> bool {
        match &mut here.node {
            Node::Scalar(Value::String(text)) if text.contains("{{") => match self.filled(text, &here.span) {
                Some(value) => {
                    here.node = Node::Scalar(value);
                    true
                }
                None => false,
            },
            Node::Scalar(_) => true,
            Node::List(items) => self.fill_each(items.iter_mut()),
            Node::Map(entries) => self.fill_each(entries.iter_mut().map(|entry| &mut entry.value)),
        }
    }

    /// Fills each, whatever becomes of the others.
    fn fill_each<'y>(&mut self, nodes: impl Iterator<Item = &'y mut Yaml>) -> bool {
        let mut all = true;
        for node in nodes {
            all &= self.fill(node);
        }
        all
    }

    fn filled(&mut self, text: &str, span: &Span) -> Option<Value> {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(message) => {
                let help = r"write {{ name }} with the name of a parameter; \{{ are two braces that mean themselves";
                self.problems.push(Problem::at(span, "bad-placeholder", message).help(help.to_owned()));
                return None;
            }
        };
        if let [Piece::Name(name)] = pieces.as_slice() {
            return self.value(name, span);
        }
        let mut whole = Some(String::with_capacity(text.len()));
        for piece in pieces {
            let part = match piece {
                Piece::Text(text) => Some(text.to_owned()),
                Piece::Name(name) => self.value(name, span).map(written),
            };
            whole = whole.zip(part).map(|(whole, part)| whole + &part);
        }
        whole.map(Value::String)
    }

    fn value(&mut self, name: &str, span: &Span) -> Option<Value> {
        match self.values.get(name) {
            Some(value) => value.clone(),
            None => {
                let known: Vec<&str> = self.values.keys().copied().collect();
                let message = format!("the pipeline has no parameter \"{name}\"");
                self.problems.push(Problem::at(span, "unknown-param", message).help(did_you_mean(name, known)));
                None
            }
        }
    }
}

/// A value within a text.
fn written(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
