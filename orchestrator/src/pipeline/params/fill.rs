//! Values put where placeholders stand.
//!
//! A text that is one placeholder becomes the value, with its type; within a longer text the value is written out. The
//! place in the file stays that of the text, so that whatever a step says of the value points there.

use super::super::group::{Items, refuse_hidden};
use super::super::problem::{Problem, Problems};
use super::super::source::Span;
use super::super::spec::Spec;
use super::super::step::Item;
use super::super::values::wrong_type;
use super::super::when::{Known, When, word};
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
    /// So may the files that steps are repeated for.
    AwaitedWithFiles,
}

/// The values of a pipeline's parameters, by name; nothing for one that has none that can be used, which was told or may
/// come later.
pub(in super::super) type Values = BTreeMap<String, Option<Value>>;

impl Spec {
    /// The values of its parameters: those of `given`, else the defaults. Unknown names, missing values and wrong ones
    /// are added to `problems`.
    pub(in super::super) fn values(
        &self,
        given: &BTreeMap<String, Value>,
        missing: Missing,
        problems: &mut Problems,
    ) -> Values {
        self.refuse_undeclared(given, problems);
        let declared = self.params.iter().flatten();
        declared.map(|param| (param.name.clone(), value(param, given, missing, problems))).collect()
    }

    /// Puts values into what its groups are repeated for.
    pub(in super::super) fn fill_groups(&mut self, values: &Values, problems: &mut Problems) {
        let names: Vec<&str> = values.keys().map(String::as_str).collect();
        for group in &mut self.groups {
            refuse_hidden(group, &names, problems);
            let (Items::List(items) | Items::Files(items)) = &mut group.items;
            if self.params.is_some() {
                group.unfilled = !Filler { known: known(values, &Item::new()), problems }.fill(items);
            }
            if let Items::Files(pattern) = &group.items
                && pattern.text().is_none()
            {
                let help = "let its parameter be a text: {type: string}";
                problems.push(wrong_type(pattern, "files", "a pattern", help));
            }
        }
    }

    /// Puts values into the steps: those of the parameters, and those of the item that a step is for. In a file without
    /// `params`, only what is repeated has placeholders.
    pub(in super::super) fn fill(&mut self, values: &Values, problems: &mut Problems) {
        for step in &mut self.steps {
            let known = known(values, &step.item);
            if let Some(when) = &mut step.when {
                let words = known.iter().map(|(name, value)| (word(name), value.clone())).collect::<Vec<_>>();
                let words = words.iter().map(|(word, value)| (word.as_str(), value.clone())).collect();
                step.unfilled |= !when.bind(&words, step.finally, problems);
            }
            let placeholders = self.params.is_some() || !step.item.is_empty();
            if let Some(params) = step.params.as_mut().filter(|_| placeholders) {
                step.unfilled |= !Filler { known, problems }.fill(params);
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
        for group in &self.groups {
            let (Items::List(items) | Items::Files(items)) = &group.items;
            names(items, &mut used);
        }
        let conditions: HashSet<&str> =
            self.steps.iter().filter_map(|step| step.when.as_ref()).flat_map(When::roots).collect();
        let is_used = |name: &str| used.contains(name) || conditions.contains(word(name).as_str());
        let unused = |param: &&ParamSpec| !param.half_read && !is_used(&param.name);
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

/// What placeholders may name at a step: an item's values before the pipeline's.
fn known<'a>(values: &'a Values, item: &'a Item) -> Known<'a> {
    values.iter().chain(item).map(|(name, value)| (name.as_str(), value.clone())).collect()
}

struct Filler<'a> {
    known: Known<'a>,
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
        match self.known.get(name) {
            Some(value) => value.clone(),
            None => {
                let known: Vec<&str> = self.known.keys().copied().collect();
                let message = format!("there is no parameter \"{name}\" here");
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
