//! A plan for programs: as JSON, and as a Mermaid diagram.

use super::edges::Input;
use super::plan::{Plan, PlannedNode};
use super::when::When;
use arrow::datatypes::SchemaRef;
use flight_common::{StepKind, passwords};
use serde_json::{Value, json};
use std::fmt::Write;

impl Plan {
    /// The graph as a Mermaid diagram.
    pub fn mermaid(&self) -> String {
        let mut text = "graph LR\n".to_owned();
        for (place, node) in self.nodes.iter().enumerate() {
            let (open, close) = match node.kind {
                StepKind::Extract => ("([", "])"),
                StepKind::Transform => ("[", "]"),
                StepKind::Load => ("[(", ")]"),
            };
            let _ = writeln!(text, "  n{place}{open}\"{}<br>{}\"{close}", node.id, node.step);
        }
        for (place, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                let columns = self.schema_of(input).map_or(0, |schema| schema.fields().len());
                let columns = if columns == 1 { "1 column".to_owned() } else { format!("{columns} columns") };
                let main = self.nodes[input.node].outputs.first().is_some_and(|(name, _)| *name == input.output);
                let output = if main { String::new() } else { format!("{}: ", input.output) };
                let _ = writeln!(text, "  n{} -->|\"{output}{columns}\"| n{place}", input.node);
            }
            for before in node.after.iter().chain(&node.asks) {
                let _ = writeln!(text, "  n{before} -.-> n{place}");
            }
        }
        text
    }

    /// The plan as JSON:
    /// `{pipeline, rules, nodes: [{id, step, kind, effects, params, source, datasets, when, left_out, finally, timeout_ms, outputs: [{name, columns}]}], edges: [{from, output,
    /// to, input, columns}], ordering: [{before, after}]}`, a column being `{name, type, nullable}`.
    pub fn to_json(&self) -> Value {
        let edges = self.nodes.iter().flat_map(|node| {
            node.inputs.iter().map(|input| {
                json!({
                    "from": self.nodes[input.node].id,
                    "output": input.output,
                    "to": node.id,
                    "input": input.name,
                    "columns": self.schema_of(input).map(columns),
                })
            })
        });
        let ordering = self.nodes.iter().flat_map(|node| {
            node.after
                .iter()
                .chain(&node.asks)
                .map(|before| json!({"before": self.nodes[*before].id, "after": node.id}))
        });
        json!({
            "pipeline": self.name,
            "rules": self.rules.to_json(),
            "nodes": self.nodes.iter().map(node_json).collect::<Vec<_>>(),
            "edges": edges.collect::<Vec<_>>(),
            "ordering": ordering.collect::<Vec<_>>(),
        })
    }

    /// The schema of the rows that come by this input.
    pub(super) fn schema_of(&self, input: &Input) -> Option<&SchemaRef> {
        let outputs = &self.nodes.get(input.node)?.outputs;
        outputs.iter().find(|(name, _)| *name == input.output).map(|(_, schema)| schema)
    }

    /// `quality`, or `quality.rejected` for a further output.
    pub(super) fn label(&self, input: &Input) -> String {
        let node = &self.nodes[input.node];
        match node.outputs.first() {
            Some((main, _)) if *main == input.output => node.id.clone(),
            _ => format!("{}.{}", node.id, input.output),
        }
    }
}

fn node_json(node: &PlannedNode) -> Value {
    let outputs = node.outputs.iter().map(|(name, schema)| json!({"name": name, "columns": columns(schema)}));
    json!({
        "id": node.id,
        "step": node.step,
        "kind": node.kind,
        "effects": node.effects,
        "params": passwords::hidden_in(&node.params),
        "source": node.source,
        "datasets": node.datasets,
        "when": node.when.as_ref().map(When::text),
        "left_out": node.left_out,
        "finally": node.finally,
        "timeout_ms": node.timeout.map(|timeout| timeout.as_millis() as u64),
        "outputs": outputs.collect::<Vec<_>>(),
    })
}

fn columns(schema: &SchemaRef) -> Value {
    let column = |field: &arrow::datatypes::FieldRef| json!({"name": field.name(), "type": field.data_type().to_string(), "nullable": field.is_nullable()});
    schema.fields().iter().map(column).collect()
}
