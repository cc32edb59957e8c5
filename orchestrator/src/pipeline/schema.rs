//! The JSON Schema of pipeline files: what an editor needs to complete and check them.
//!
//! Each step's own definitions are moved beside the others under a name of their own. (An embedded schema with an `$id`
//! would do by the standard, and editors do not follow it.)
//!
//! Wherever a step wants a value, a text with a placeholder may stand for it: its type is that of the parameter.

use super::LONGEST_NAME;
use super::params::ParamKind;
use flight_common::StepDescription;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The schema of pipeline files for these steps. Each service's parameters are checked where it is named.
pub fn json_schema(catalog: &[Arc<StepDescription>]) -> Value {
    let mut definitions = forms(catalog);
    for step in catalog {
        definitions.extend(own_definitions(step));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Quiver pipeline",
        "anyOf": [
            {"$ref": "#/$defs/pipeline"},
            {"$ref": "#/$defs/steps"},
            {
                "type": "object",
                "required": ["pipeline"],
                "properties": {
                    "pipeline": {"anyOf": [{"$ref": "#/$defs/pipeline"}, {"$ref": "#/$defs/steps"}]},
                    "name": {"type": "string"},
                    "description": {},
                    "version": {},
                    "params": {"$ref": "#/$defs/params"},
                    "finally": {"$ref": "#/$defs/finally"},
                    "concurrency": {"$ref": "#/$defs/concurrency"},
                    "priority": {"$ref": "#/$defs/priority"},
                    "retry": {"$ref": "#/$defs/retry"},
                    "timeout": {"$ref": "#/$defs/timeout"},
                    "hooks": {"$ref": "#/$defs/hooks"}
                },
                "patternProperties": {"^x-": {}},
                "additionalProperties": false
            }
        ],
        "$defs": definitions
    })
}

/// The forms that do not depend on a step's own schema.
fn forms(catalog: &[Arc<StepDescription>]) -> Map<String, Value> {
    let services: Vec<Value> =
        catalog.iter().map(|step| json!({"enum": names(step), "description": step.summary})).collect();
    let forms = json!({
        "reference": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]+([.].+)?$",
            "description": "The id of a step, or one of its further outputs: quality.rejected"
        },
        "concurrency": {
            "type": ["integer", "null"], "minimum": 1, "maximum": 1000,
            "description": "Runs of this pipeline at a time."
        },
        "priority": {
            "type": ["integer", "null"], "minimum": -1000, "maximum": 1000,
            "description": "Of the runs that wait, the greatest goes first."
        },
        "retry": {
            "type": ["object", "null"],
            "description": "When a run is tried again that failed and may succeed next time.",
            "additionalProperties": false,
            "properties": {
                "attempts": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "In all."},
                "first": {"$ref": "#/$defs/pause", "description": "The pause after the first attempt; each further one is twice as long."},
                "longest": {"$ref": "#/$defs/pause", "description": "The longest pause."}
            },
            "patternProperties": {"^x-": {}}
        },
        "pause": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]},
        "timeout": {
            "description": "How long it may take: 30s, 5m; a number is seconds.",
            "anyOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]
        },
        "hooks": {
            "type": ["object", "null"],
            "description": "Whom to tell how a stored run ended: a signed message is posted there.",
            "additionalProperties": false,
            "properties": {
                "on_success": {"$ref": "#/$defs/hook_list", "description": "All its steps ended well."},
                "on_failure": {"$ref": "#/$defs/hook_list", "description": "It failed, and is not tried again by itself."},
                "on_cancel": {"$ref": "#/$defs/hook_list", "description": "It was ended on request."}
            },
            "patternProperties": {"^x-": {}}
        },
        "hook_list": {"anyOf": [
            {"$ref": "#/$defs/hook"},
            {"type": "array", "maxItems": 16, "items": {"$ref": "#/$defs/hook"}},
            {"type": "null"}
        ]},
        "hook": {"anyOf": [
            {"$ref": "#/$defs/hook_url"},
            {
                "type": "object",
                "required": ["url"],
                "additionalProperties": false,
                "properties": {
                    "url": {"$ref": "#/$defs/hook_url"},
                    "secret": {
                        "type": ["string", "null"],
                        "pattern": "^secret://[A-Za-z0-9_-][A-Za-z0-9_.-]*$",
                        "description": "The name of what signs it: secret://hook-key"
                    }
                },
                "patternProperties": {"^x-": {}}
            }
        ]},
        "hook_url": {
            "type": "string", "pattern": "^(https?|secret)://.", "maxLength": 2000,
            "description": "An address, or the name of a secret that holds one."
        },
        "placeholder": {"type": "string", "pattern": "[{][{]"},
        "value": {"type": ["string", "number", "boolean"]},
        "param": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "type": {"enum": ParamKind::ALL, "description": "Else that of the default, else string."},
                "default": {"anyOf": [{"$ref": "#/$defs/value"}, {"type": "null"}], "description": "Its value where a run gives none. Without it, a run must give one."},
                "description": {"type": "string", "description": "For people."},
                "enum": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/value"}, "description": "The only values that it may take."}
            },
            "patternProperties": {"^x-": {}}
        },
        "params": {
            "type": ["object", "null"],
            "description": "What a run may give: rows: 500, or day: {type: date}. A step uses it as \"{{ rows }}\".",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"},
            "additionalProperties": {"anyOf": [{"$ref": "#/$defs/value"}, {"$ref": "#/$defs/param"}]}
        },
        "service": {"description": "The step to call.", "anyOf": services},
        "step": {
            "type": "object",
            "required": ["id"],
            "oneOf": [{"required": ["service"]}, {"required": ["step"]}],
            "additionalProperties": false,
            "properties": {
                "id": {
                    "type": "string",
                    "pattern": "^[A-Za-z0-9_-]{1,128}$",
                    "description": "Unique in the pipeline."
                },
                "service": {"$ref": "#/$defs/service"},
                "step": {"$ref": "#/$defs/service"},
                "params": {"type": ["object", "null"], "description": "The step's parameters."},
                "depends_on": {
                    "description": "The steps that feed it, in the order of its inputs; further ones only order.",
                    "anyOf": [
                        {"$ref": "#/$defs/reference"},
                        {"type": "array", "items": {"$ref": "#/$defs/reference"}},
                        {"type": "null"}
                    ]
                },
                "inputs": {
                    "type": ["object", "null"],
                    "description": "What feeds each input, by name: {left: a, right: b}. Every dependency then only orders.",
                    "additionalProperties": {"$ref": "#/$defs/reference"}
                },
                "when": {
                    "type": ["string", "boolean", "null"],
                    "description": "Runs only if this holds: stage == 'prod' and steps.check.rows_out > 0"
                },
                "for_each": {"$ref": "#/$defs/for_each"},
                "timeout": {"$ref": "#/$defs/timeout"},
                "checkpoint": {
                    "type": ["boolean", "null"],
                    "description": "Keep its outputs: a run is resumed from them, and they can be read by other programs."
                },
                "description": {"description": "For people."},
                "name": {"description": "For people."}
            },
            "patternProperties": {"^x-": {}},
            "allOf": catalog.iter().map(|step| params_of(step)).collect::<Vec<_>>()
        },
        "for_each": {
            "description": "Repeats it for each item of a list, or for each file that matches a pattern.",
            "anyOf": [
                {"type": "array"},
                {"type": "string", "description": "A pattern of files: sales/*.csv"},
                {
                    "type": "object",
                    "oneOf": [{"required": ["items"]}, {"required": ["files"]}],
                    "additionalProperties": false,
                    "properties": {
                        "items": {"type": "array", "description": "The items."},
                        "files": {"type": "string", "description": "A pattern of files: sales/*.csv"},
                        "as": {"type": ["string", "null"], "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "description": "What an item is called; else item."},
                        "at_once": {"type": ["integer", "null"], "minimum": 1, "maximum": 100, "description": "Items at a time; else 4."},
                        "allow_empty": {"type": ["boolean", "null"], "description": "Whether there may be no item."}
                    },
                    "patternProperties": {"^x-": {}}
                }
            ]
        },
        "group": {
            "type": "object",
            "required": ["id", "for_each", "steps"],
            "additionalProperties": false,
            "properties": {
                "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$", "description": "By which others come after it."},
                "for_each": {"$ref": "#/$defs/for_each"},
                "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
                "depends_on": {
                    "description": "What all of its steps come after.",
                    "anyOf": [
                        {"$ref": "#/$defs/reference"},
                        {"type": "array", "items": {"$ref": "#/$defs/reference"}},
                        {"type": "null"}
                    ]
                },
                "description": {"description": "For people."},
                "name": {"description": "For people."}
            },
            "patternProperties": {"^x-": {}}
        },
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {
                "if": {"type": "object", "required": ["steps"]},
                "then": {"$ref": "#/$defs/group"},
                "else": {"$ref": "#/$defs/step"}
            }
        },
        "finally": {
            "description": "Steps that run when all others have ended, however they have.",
            "anyOf": [{"$ref": "#/$defs/steps"}, {"type": "null"}]
        },
        "pipeline": {
            "type": "object",
            "required": ["steps"],
            "properties": {
                "name": {"type": "string", "maxLength": LONGEST_NAME, "description": "What the pipeline is called; else the file's name."},
                "description": {"description": "For people."},
                "version": {"description": "For people."},
                "params": {"$ref": "#/$defs/params"},
                "finally": {"$ref": "#/$defs/finally"},
                "concurrency": {"$ref": "#/$defs/concurrency"},
                "priority": {"$ref": "#/$defs/priority"},
                "retry": {"$ref": "#/$defs/retry"},
                "timeout": {"$ref": "#/$defs/timeout"},
                "hooks": {"$ref": "#/$defs/hooks"},
                "steps": {"$ref": "#/$defs/steps"}
            },
            "patternProperties": {"^x-": {}},
            "additionalProperties": false
        }
    });
    match forms {
        Value::Object(forms) => forms,
        _ => Map::new(),
    }
}

/// The names that a step answers to, its own first, with `-` and with `_`.
fn names(step: &StepDescription) -> Vec<String> {
    let mut names = Vec::new();
    for name in std::iter::once(&step.name).chain(&step.aliases) {
        for spelling in [name.clone(), name.replace('-', "_"), name.replace('_', "-")] {
            if !names.contains(&spelling) {
                names.push(spelling);
            }
        }
    }
    names
}

/// What follows for `params` where this step is named.
fn params_of(step: &StepDescription) -> Value {
    let named = |key: &str| json!({"properties": {key: {"enum": names(step)}}, "required": [key]});
    let params = json!({"$ref": format!("#/$defs/{}", definition(step, "params"))});
    let needed = step.params_schema.get("required").and_then(Value::as_array).is_some_and(|names| !names.is_empty());
    let then = match needed {
        true => json!({"required": ["params"], "properties": {"params": params}}),
        false => json!({"properties": {"params": {"anyOf": [params, {"type": "null"}]}}}),
    };
    json!({"if": {"anyOf": [named("service"), named("step")]}, "then": then})
}

fn definition(step: &StepDescription, name: &str) -> String {
    format!("{}.{name}", step.name)
}

/// The schema of a step's parameters and all that it refers to, under names of their own.
fn own_definitions(step: &StepDescription) -> Map<String, Value> {
    let mut params = Value::clone(&step.params_schema);
    rename_references(step, &mut params);
    allow_placeholders(&mut params);
    let mut found = Map::new();
    if let Some(map) = params.as_object_mut() {
        map.remove("$schema");
        if let Some(Value::Object(inner)) = map.remove("$defs") {
            found.extend(inner.into_iter().map(|(name, schema)| (definition(step, &name), schema)));
        }
    }
    found.insert(definition(step, "params"), params);
    found
}

fn rename_references(step: &StepDescription, schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), &mut *value) {
                    ("$ref", Value::String(target)) => {
                        if let Some(name) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/$defs/{}", definition(step, name));
                        } else if target == "#" {
                            *target = format!("#/$defs/{}", definition(step, "params"));
                        }
                    }
                    // Here the keys are names of the author's.
                    ("properties" | "patternProperties" | "$defs", Value::Object(schemas)) => {
                        schemas.values_mut().for_each(|schema| rename_references(step, schema));
                    }
                    // Values, not schemas.
                    ("default" | "const" | "enum" | "examples", _) => {}
                    (_, value) => rename_references(step, value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(step, item)),
        _ => {}
    }
}

/// Lets a text with a placeholder stand for each value within an object or a list.
fn allow_placeholders(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            for (key, inner) in map {
                match (key.as_str(), &mut *inner) {
                    ("properties" | "patternProperties", Value::Object(schemas)) => {
                        schemas.values_mut().for_each(allow_placeholder);
                    }
                    ("items" | "additionalProperties", Value::Object(_)) => allow_placeholder(inner),
                    ("prefixItems", Value::Array(schemas)) => schemas.iter_mut().for_each(allow_placeholder),
                    ("$defs", Value::Object(schemas)) => schemas.values_mut().for_each(allow_placeholders),
                    // Values, not schemas.
                    ("default" | "const" | "enum" | "examples", _) => {}
                    (_, inner) => allow_placeholders(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(allow_placeholders),
        _ => {}
    }
}

fn allow_placeholder(schema: &mut Value) {
    allow_placeholders(schema);
    let Value::Object(map) = schema else { return };
    if takes_any_text(map) {
        return;
    }
    // What editors show of it stays at the top.
    let shown = ["description", "default", "title", "examples"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), map.remove(key)?)));
    let mut whole: Map<String, Value> = shown.collect();
    let inner = Value::Object(std::mem::take(map));
    whole.insert("anyOf".to_owned(), json!([inner, {"$ref": "#/$defs/placeholder"}]));
    *map = whole;
}

fn takes_any_text(schema: &Map<String, Value>) -> bool {
    let narrower = ["enum", "const", "pattern", "format", "minLength", "maxLength"];
    schema.get("type") == Some(&json!("string")) && !narrower.iter().any(|key| schema.contains_key(*key))
}
