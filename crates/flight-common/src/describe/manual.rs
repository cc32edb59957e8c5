//! A description as people read it: the table of parameters, and the README.

use super::{StepDescription, word};
use serde_json::Value;
use std::fmt::Write;

/// A parameter, as a table shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamRow {
    /// Its name.
    pub name: String,
    /// `string`, `integer`, `string or list`.
    pub kind: String,
    /// `required`, or the default value, or nothing.
    pub default: String,
    /// What it does.
    pub doc: String,
}

impl StepDescription {
    /// Its parameters, in the order in which the author wrote them.
    pub fn params(&self) -> Vec<ParamRow> {
        self.params_in_depth().into_iter().filter(|row| !row.name.contains('.')).collect()
    }

    /// The same, and after one that is a mapping of known keys those: `rules`, `rules.min_rows`.
    pub fn params_in_depth(&self) -> Vec<ParamRow> {
        let mut rows = Vec::new();
        self.add_rows("", &self.params_schema, DEEPEST, &mut rows);
        rows
    }

    fn add_rows(&self, before: &str, mapping: &Value, deeper: usize, rows: &mut Vec<ParamRow>) {
        let properties = mapping.get("properties").and_then(Value::as_object);
        let required = mapping.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
        for (name, schema) in properties.into_iter().flatten() {
            let row = ParamRow {
                name: format!("{before}{name}"),
                kind: kind_name(&self.params_schema, schema, DEEPEST_KIND),
                default: match schema.get("default") {
                    _ if is_required(name) => "required".to_owned(),
                    None | Some(Value::Null) => String::new(),
                    Some(value) => value.to_string(),
                },
                doc: documentation(&self.params_schema, schema),
            };
            let within = format!("{}.", row.name);
            rows.push(row);
            if let Some(mapping) = mapping_of(&self.params_schema, schema, DEEPEST).filter(|_| deeper > 0) {
                self.add_rows(&within, mapping, deeper - 1, rows);
            }
        }
    }

    /// The README of the step's folder. It is written from the description and checked against it.
    pub fn readme(&self) -> String {
        let mut text = format!("# {}\n\n{}\n\n{}\n", self.name, self.summary, self.manual);
        let names = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        };
        let _ = write!(
            text,
            "\n| | |\n|---|---|\n| kind | {} |\n| inputs | {} |\n| outputs | {} |\n| effects | {} |\n| keeps row order | {} |\n| also called | {} |\n",
            word(&self.kind),
            if self.takes_any_inputs() { ANY_INPUTS_IN_WORDS.to_owned() } else { names(&self.inputs) },
            names(&self.outputs),
            word(&self.effects),
            if self.keeps_order { "yes" } else { "no" },
            names(&self.aliases),
        );
        text.push_str("\n## Parameters\n\n| name | type | default | meaning |\n|---|---|---|---|\n");
        for row in self.params_in_depth() {
            let doc = row.doc.replace("\n\n", "<br>").replace('\n', " ").replace('|', "\\|");
            let default = match row.default.as_str() {
                "" | "required" => row.default.clone(),
                value => format!("`{value}`"),
            };
            let _ = writeln!(text, "| `{}` | {} | {default} | {doc} |", row.name, row.kind);
        }
        if !self.examples.is_empty() {
            text.push_str("\n## Examples\n");
        }
        for example in &self.examples {
            let params = serde_json::to_string_pretty(&example.params).unwrap_or_default();
            let _ = write!(text, "\n{}:\n\n```json\n{params}\n```\n", example.title);
        }
        text.push_str("\n_Written from the step's own description. Change the code, then run the tests with `UPDATE_GOLDEN=1`._\n");
        text
    }
}

/// Levels of a schema that are shown: one of another's step may hold itself.
const DEEPEST: usize = 4;
/// Levels of a type that are told, where each alternative and each reference is one.
const DEEPEST_KIND: usize = 8;

const ANY_INPUTS_IN_WORDS: &str = "one or more, under names of your own";

fn referenced<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}

/// The schema with the keys, of a value that is a mapping of known keys or nothing.
fn mapping_of<'a>(root: &'a Value, schema: &'a Value, deeper: usize) -> Option<&'a Value> {
    let here = referenced(root, schema).unwrap_or(schema);
    if here.get("properties").is_some() {
        return Some(here);
    }
    let mut options = here.get("anyOf")?.as_array()?.iter().filter(|one| one["type"] != "null");
    let only = options.next().filter(|_| options.next().is_none())?;
    mapping_of(root, only, deeper.checked_sub(1)?)
}

fn documentation(root: &Value, schema: &Value) -> String {
    let own = schema.get("description").and_then(Value::as_str);
    own.or_else(|| referenced(root, schema)?.get("description")?.as_str()).unwrap_or_default().to_owned()
}

/// A type in words: `string`, `list of string`, `"drop" or "fill_mean"`.
fn kind_name(root: &Value, schema: &Value, deeper: usize) -> String {
    let Some(next) = deeper.checked_sub(1) else { return "any".to_owned() };
    if let Some(target) = referenced(root, schema) {
        return kind_name(root, target, next);
    }
    if let Some(value) = schema.get("const") {
        return format!("`{value}`");
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(options) = schema.get(key).and_then(Value::as_array) {
            let mut kinds: Vec<String> = Vec::new();
            for kind in options.iter().map(|option| kind_name(root, option, next)).filter(|kind| kind != "null") {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            return kinds.join(" or ");
        }
    }
    let named = |name: &str| match name {
        "array" => match schema.get("items") {
            Some(items) => format!("list of {}", kind_name(root, items, next)),
            None => "list".to_owned(),
        },
        "object" => match schema.get("additionalProperties") {
            Some(values) if values.is_object() => format!("mapping to {}", kind_name(root, values, next)),
            _ => "mapping".to_owned(),
        },
        other => other.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(name)) => named(name),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(named).collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_that_holds_itself_has_an_end() {
        let schema = json!({
            "properties": {"tree": {"$ref": "#/$defs/Tree"}, "loop": {"$ref": "#/$defs/Loop"}},
            "$defs": {
                "Tree": {"type": "object", "properties": {
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                    "next": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]},
                }},
                "Loop": {"$ref": "#/$defs/Loop"},
            },
        });
        let step = json!({
            "name": "x", "version": "1", "kind": "extract", "summary": "", "manual": "", "inputs": [], "outputs": ["output"],
            "effects": "none", "keeps_order": true, "aliases": [], "params_schema": schema, "examples": [],
        });
        let step: StepDescription = serde_json::from_value(step).expect("a description");
        let rows = step.params_in_depth();
        assert!((5..100).contains(&rows.len()), "{}", rows.len());
        assert_eq!(rows.iter().find(|row| row.name == "loop").map(|row| row.kind.as_str()), Some("any"));
    }
}
