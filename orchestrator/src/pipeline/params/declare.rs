//! `params:` of a pipeline, read: `rows: 500`, or `day: {type: date, description: …}`.

use super::super::problem::{Problem, Problems};
use super::super::source::Span;
use super::super::values::{refuse_unknown, wrong_type};
use super::super::yaml::{Entry, Yaml};
use super::template::is_name;
use super::{ParamKind, ParamSpec};
use flight_common::params::did_you_mean;
use serde_json::Value;

const KEYS: [&str; 4] = ["type", "default", "description", "enum"];

/// The parameters that a file declares. What is wrong with them is added to `problems`.
pub(in super::super) fn declared(params: &Yaml, problems: &mut Problems) -> Vec<ParamSpec> {
    let Some(entries) = params.entries() else {
        let help = "write params: {rows: 500}, or a name with type and default on each line";
        problems.push(wrong_type(params, "params", "a mapping from names to values", help));
        return Vec::new();
    };
    entries.iter().map(|entry| param(entry, problems)).collect()
}

fn param(entry: &Entry, problems: &mut Problems) -> ParamSpec {
    let before = problems.len();
    if !is_name(&entry.key) {
        let message = format!("\"{}\" cannot be the name of a parameter", entry.key);
        let help = "begin with a letter, and go on with letters, digits, - and _".to_owned();
        problems.push(Problem::at(&entry.key_span, "bad-name", message).help(help));
    }
    let spec = match entry.value.entries() {
        Some(_) => long_form(entry, problems),
        None => short_form(entry, problems),
    };
    ParamSpec { half_read: problems.len() > before, ..spec }
}

fn empty(entry: &Entry) -> ParamSpec {
    ParamSpec {
        name: entry.key.clone(),
        kind: ParamKind::String,
        default: None,
        description: None,
        allowed: Vec::new(),
        span: entry.key_span.clone(),
        half_read: false,
    }
}

/// `rows: 500`: a default, whose type is that of the value.
fn short_form(entry: &Entry, problems: &mut Problems) -> ParamSpec {
    let value = entry.value.to_json();
    match ParamKind::of(&value) {
        Some(kind) => ParamSpec { kind, default: Some(value), ..empty(entry) },
        None => {
            let help = "write a default, as in rows: 500, or {type: integer} for one that each run must give";
            problems.push(wrong_type(&entry.value, &entry.key, "a value that a parameter can have", help));
            empty(entry)
        }
    }
}

fn long_form(entry: &Entry, problems: &mut Problems) -> ParamSpec {
    let map = &entry.value;
    refuse_unknown(map, &KEYS, problems);
    let default = map.entry("default").map(|entry| &entry.value);
    let allowed = map.entry("enum").map(|entry| allowed(&entry.value, problems)).unwrap_or_default();
    let kind = match map.entry("type") {
        Some(entry) => kind(&entry.value, problems),
        None => default.or(allowed.first().copied()).map_or(Some(ParamKind::String), |it| ParamKind::of(&it.to_json())),
    };
    let typed = kind.unwrap_or(ParamKind::String);
    let mut spec = ParamSpec { kind: typed, ..empty(entry) };
    if kind.is_some() || map.entry("type").is_none() {
        spec.allowed = allowed.iter().filter_map(|item| of_kind(item, typed, "this value", problems)).collect();
        spec.default = default.and_then(|value| of_kind(value, typed, "the default", problems));
        refuse_default(&spec, default, problems);
    }
    if let Some(description) = map.entry("description") {
        match description.value.text() {
            Some(text) => spec.description = Some(text.to_owned()),
            None => problems.push(wrong_type(&description.value, "description", "a text", "put it in quotes")),
        }
    }
    spec
}

fn kind(value: &Yaml, problems: &mut Problems) -> Option<ParamKind> {
    let Some(name) = value.text() else {
        problems.push(wrong_type(value, "type", "the name of a type", "write type: string, integer, number, …"));
        return None;
    };
    let kind = ParamKind::named(name);
    if kind.is_none() {
        let help = did_you_mean(name, ParamKind::ALL.map(ParamKind::name));
        problems.push(Problem::at(&value.span, "unknown-type", format!("there is no type \"{name}\"")).help(help));
    }
    kind
}

fn allowed<'a>(value: &'a Yaml, problems: &mut Problems) -> Vec<&'a Yaml> {
    let items = value.items().unwrap_or_default();
    if items.is_empty() {
        let help = "list the values that it may take: enum: [small, large]";
        problems.push(wrong_type(value, "enum", "a list of values", help));
    }
    items.iter().collect()
}

fn of_kind(value: &Yaml, kind: ParamKind, what: &str, problems: &mut Problems) -> Option<Value> {
    let json = value.to_json();
    if kind.holds(&json) {
        return Some(json);
    }
    problems.push(not_of_kind(&value.span, what, &json, kind));
    None
}

/// A value that is not of its parameter's type.
pub(super) fn not_of_kind(span: &Span, what: &str, value: &Value, kind: ParamKind) -> Problem {
    let article = if kind == ParamKind::Integer { "an" } else { "a" };
    let message = format!("{what} is {value}, which is not {article} {kind}");
    Problem::at(span, "bad-value", message).help(kind.example().to_owned())
}

fn refuse_default(spec: &ParamSpec, place: Option<&Yaml>, problems: &mut Problems) {
    if let (Some(default), Some(place)) = (&spec.default, place)
        && !spec.allows(default)
    {
        problems.push(spec.not_allowed(&place.span, "the default", default));
    }
}

impl ParamSpec {
    /// Whether a value of its type is one that it may take.
    pub(super) fn allows(&self, value: &Value) -> bool {
        let equal = |one: &Value| one == value || one.as_f64().is_some_and(|number| value.as_f64() == Some(number));
        self.allowed.is_empty() || self.allowed.iter().any(equal)
    }

    pub(super) fn not_allowed(&self, span: &Span, what: &str, value: &Value) -> Problem {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let known: Vec<String> = self.allowed.iter().map(shown).collect();
        let message = format!("{what} is {value}, which \"{}\" may not be", self.name);
        Problem::at(span, "bad-value", message).help(did_you_mean(&shown(value), known.iter().map(String::as_str)))
    }
}
