//! What a step says of itself: its description, the documentation of its parameters, its README.

use super::Breaches;
use super::lab::Lab;
use crate::describe::{StepKind, StepSpec};
use crate::fault::{Fault, FaultKind};
use crate::registry::AnyStep;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::Path;

pub(super) fn check(step: &dyn AnyStep, found: &mut Breaches, accepts: impl Fn(&Value) -> Result<(), Fault>) {
    check_spec(&step.spec(), found);
    let description = step.description();
    for (place, object) in objects(&description.params_schema) {
        for (name, schema) in object["properties"].as_object().into_iter().flatten() {
            let documented = is_documented(&description.params_schema, schema);
            found.expect("documents-its-parameters", documented, || {
                format!("`{place}{name}` has no doc comment, which is what a user reads about it")
            });
        }
    }
    found.expect("shows-examples", !description.examples.is_empty(), || "it shows no way of using it".to_owned());
    for example in &description.examples {
        if let Err(fault) = accepts(&example.params) {
            found.add("shows-examples", format!("\"{}\" is refused: {}", example.title, fault.message()));
        }
    }
}

fn check_spec(spec: &StepSpec, found: &mut Breaches) {
    const RULE: &str = "describes-itself";
    let name = spec.name;
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    found
        .expect(RULE, name.split('-').all(word), || format!("its name \"{name}\" is not lower-case words joined by -"));
    for (what, text) in [("version", spec.version), ("summary", spec.summary), ("manual", spec.manual)] {
        found.expect(RULE, !text.trim().is_empty(), || format!("its {what} is empty"));
    }
    found.expect(RULE, spec.summary.ends_with('.'), || "its summary is no sentence with a full stop".to_owned());
    found.expect(RULE, !spec.summary.contains('\n'), || "its summary is longer than a line".to_owned());
    let (inputs, outputs) = (spec.inputs.len(), spec.outputs.len());
    let fits = match spec.kind {
        StepKind::Extract => inputs == 0 && outputs > 0,
        StepKind::Transform => inputs > 0 && outputs > 0,
        StepKind::Load => inputs > 0 && outputs == 1,
    };
    found.expect(RULE, fits, || format!("{inputs} inputs and {outputs} outputs do not make a {:?}", spec.kind));
    for (what, names) in [("inputs", spec.inputs), ("outputs", spec.outputs)] {
        let different: HashSet<&&str> = names.iter().collect();
        found.expect(RULE, different.len() == names.len(), || format!("two of its {what} have one name"));
    }
}

/// Every object with named properties in a schema of parameters: where it is (`rules.`), and its own schema.
fn objects(root: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    walk(root, root, "", &mut HashSet::new(), &mut found);
    found
}

fn walk<'a>(
    root: &'a Value,
    here: &'a Value,
    place: &str,
    seen: &mut HashSet<&'a str>,
    found: &mut Vec<(String, &'a Value)>,
) {
    if let Some(target) = here.get("$ref").and_then(Value::as_str)
        && seen.insert(target)
        && let Some(target) = root.pointer(target.trim_start_matches('#'))
    {
        walk(root, target, place, seen, found);
    }
    if let Some(properties) = here.get("properties").and_then(Value::as_object) {
        found.push((place.to_owned(), here));
        for (name, schema) in properties {
            walk(root, schema, &format!("{place}{name}."), seen, found);
        }
    }
    for (key, inside) in [("items", "[]."), ("additionalProperties", "{}.")] {
        if let Some(schema) = here.get(key) {
            walk(root, schema, &format!("{}{inside}", place.trim_end_matches('.')), seen, found);
        }
    }
    for key in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        for schema in here.get(key).and_then(Value::as_array).into_iter().flatten() {
            walk(root, schema, place, seen, found);
        }
    }
}

/// A constant tells one form of a parameter from another, and needs no words of its own.
fn is_documented(root: &Value, schema: &Value) -> bool {
    let has_text =
        |schema: &Value| schema.get("description").and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
    let target = schema.get("$ref").and_then(Value::as_str);
    has_text(schema)
        || schema.get("const").is_some()
        || target.and_then(|target| root.pointer(target.trim_start_matches('#'))).is_some_and(has_text)
}

pub(super) async fn check_unknown_parameters(lab: &Lab, found: &mut Breaches) {
    const RULE: &str = "refuses-unknown-parameters";
    let schema = &lab.step.description().params_schema;
    for (place, object) in objects(schema) {
        found.expect(RULE, object.get("additionalProperties") == Some(&Value::Bool(false)), || {
            let place = if place.is_empty() { "its parameters" } else { place.trim_end_matches('.') };
            format!("{place}: unknown names are let through (deny_unknown_fields is missing)")
        });
    }
    for known in lab.step.description().params() {
        let misspelt = format!("{0}{1}", known.name, known.name.chars().last().unwrap_or('x'));
        let mut params = lab.case.params.clone();
        if params.is_null() {
            params = Value::Object(Map::new());
        }
        params[&misspelt] = Value::Null;
        let planned = lab.step.plan(&params, &lab.schemas(), &lab.bench().env).await;
        let Err(fault) = planned else {
            found.add(RULE, format!("`{misspelt}` was let through"));
            continue;
        };
        found.expect(RULE, fault.kind() == FaultKind::BadParams, || {
            format!("`{misspelt}` is refused as {}, not as bad_params", fault.kind())
        });
        let violation = fault.violations().iter().find(|violation| violation.pointer == format!("/{misspelt}"));
        let suggests =
            violation.and_then(|violation| violation.help.as_ref()).is_some_and(|help| help.contains(&known.name));
        found.expect(RULE, suggests, || format!("`{misspelt}` is refused without the suggestion `{}`", known.name));
    }
}

pub(super) fn check_readme(step: &dyn AnyStep, path: &Path, found: &mut Breaches) {
    const RULE: &str = "has-its-readme";
    let wanted = step.description().readme();
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        if let Err(error) = std::fs::write(path, &wanted) {
            found.add(RULE, format!("{}: {error}", path.display()));
        }
        return;
    }
    match std::fs::read_to_string(path) {
        Ok(text) if text == wanted => {}
        Ok(_) => found.add(RULE, "README.md is not its description: run its tests with UPDATE_GOLDEN=1"),
        Err(error) => found.add(RULE, format!("no README.md ({error}): run its tests with UPDATE_GOLDEN=1")),
    }
}
