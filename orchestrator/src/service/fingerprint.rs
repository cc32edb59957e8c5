//! What a step's output depends on, as one number: the step and its version, its parameters, what feeds it, and the
//! identity of its source. Equal fingerprints mean equal work. Pure.

use crate::checksum::Checksum;
use crate::pipeline::{Plan, PlannedNode};
use serde_json::Value;

/// The fingerprint of each step, in the order of the plan.
pub(super) fn fingerprints(plan: &Plan) -> Vec<String> {
    let mut made: Vec<String> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let print = fingerprint(node, &made);
        made.push(print);
    }
    made
}

/// A step comes after what feeds it, so that those are made already.
fn fingerprint(node: &PlannedNode, made: &[String]) -> String {
    let mut sum = Checksum::default();
    let mut add = |part: &str| sum.add_part(part);
    add(&node.step);
    add(&node.version);
    add(&sorted(&node.params).to_string());
    add(node.source.as_deref().unwrap_or(""));
    for input in &node.inputs {
        add(&input.name);
        add(&input.output);
        add(&made[input.node]);
    }
    sum.finish()
}

/// The same value, the keys of its objects in order: how a file was laid out does not matter.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
