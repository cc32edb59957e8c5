//! The JSON Schema of pipeline files: what an editor needs to complete and check them.

use flight_common::StepDescription;
use serde_json::{Value, json};

/// The schema of pipeline files for these steps. Each service's parameters are checked where it is named.
pub fn json_schema(catalog: &[StepDescription]) -> Value {
    let names: Vec<&str> =
        catalog.iter().flat_map(|step| std::iter::once(&step.name).chain(&step.aliases)).map(String::as_str).collect();
    let params: Vec<Value> = catalog.iter().map(params_of).collect();
    let definitions: serde_json::Map<String, Value> =
        catalog.iter().map(|step| (format!("params-{}", step.name), embedded(step))).collect();
    let mut defs = json!({
        "reference": {
            "type": "string",
            "description": "The id of a step, or one of its further outputs: quality.rejected"
        },
        "step": {
            "type": "object",
            "required": ["id", "service"],
            "additionalProperties": false,
            "properties": {
                "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "description": "Unique in the pipeline."},
                "service": {"type": "string", "examples": names, "description": "The step to call."},
                "params": {"type": "object", "description": "The step's parameters."},
                "depends_on": {
                    "description": "The steps that feed it, in the order of its inputs; further ones only order.",
                    "anyOf": [{"$ref": "#/$defs/reference"}, {"type": "array", "items": {"$ref": "#/$defs/reference"}}]
                },
                "inputs": {
                    "type": "object",
                    "description": "What feeds each input, by name: {left: a, right: b}",
                    "additionalProperties": {"$ref": "#/$defs/reference"}
                },
                "timeout": {"type": ["string", "number"], "description": "How long it may take: 30s, 5m."},
                "description": {"type": "string"},
                "name": {"type": "string"}
            },
            "allOf": params
        },
        "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
        "pipeline": {
            "type": "object",
            "required": ["steps"],
            "properties": {
                "name": {"type": "string"},
                "description": {"type": "string"},
                "version": {},
                "steps": {"$ref": "#/$defs/steps"}
            },
            "additionalProperties": false
        }
    });
    if let Some(defs) = defs.as_object_mut() {
        defs.extend(definitions);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Quiver pipeline",
        "anyOf": [
            {"$ref": "#/$defs/pipeline"},
            {
                "type": "object",
                "required": ["pipeline"],
                "properties": {"pipeline": {"anyOf": [{"$ref": "#/$defs/pipeline"}, {"$ref": "#/$defs/steps"}]}}
            }
        ],
        "$defs": defs
    })
}

fn params_of(step: &StepDescription) -> Value {
    let mut names = vec![step.name.clone(), step.name.replace('-', "_")];
    names.extend(step.aliases.iter().cloned());
    names.dedup();
    json!({
        "if": {"properties": {"service": {"enum": names}}, "required": ["service"]},
        "then": {"properties": {"params": {"$ref": format!("#/$defs/params-{}", step.name)}}}
    })
}

/// A step's own schema with an identity of its own, so that its inner references stay within it.
fn embedded(step: &StepDescription) -> Value {
    let mut schema = step.params_schema.clone();
    if let Some(map) = schema.as_object_mut() {
        map.insert("$id".to_owned(), json!(format!("urn:quiver:{}:params", step.name)));
        map.remove("$schema");
    }
    schema
}
