//! A plan for people: drawn for a terminal, as a Mermaid diagram, and as JSON.

use super::plan::{Plan, PlannedNode};
use arrow::datatypes::SchemaRef;
use flight_common::StepKind;
use serde_json::{Value, json};
use std::fmt::Write;

impl Plan {
    /// The graph for a terminal of `width` columns: each step under what feeds it, with the columns it gives.
    pub fn drawn(&self, width: usize) -> String {
        let mut text = format!("{}\n", self.name);
        for node in &self.nodes {
            let inputs: Vec<String> = node.inputs.iter().map(|input| self.label(input.node, &input.output)).collect();
            let from = if inputs.is_empty() { String::new() } else { format!("{} ─▶ ", inputs.join(" + ")) };
            let after: Vec<&str> = node.after.iter().map(|before| self.nodes[*before].id.as_str()).collect();
            let after = if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
            let _ = write!(text, "\n{from}{} ({}{after})\n", node.id, node.step);
            for (name, schema) in &node.outputs {
                let named = if node.outputs.len() > 1 { format!("{name}: ") } else { String::new() };
                wrap_columns(&mut text, &named, schema, width);
            }
        }
        text
    }

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
                let columns = self.schema(input.node, &input.output).map_or(0, |schema| schema.fields().len());
                let _ = writeln!(text, "  n{} -->|\"{columns} columns\"| n{place}", input.node);
            }
            for before in &node.after {
                let _ = writeln!(text, "  n{before} -.-> n{place}");
            }
        }
        text
    }

    /// The plan as JSON: `{pipeline, nodes: [{id, step, kind, params, outputs: [{name, columns}]}], edges: [{from,
    /// output, to, input}]}`.
    pub fn to_json(&self) -> Value {
        let edges = self.nodes.iter().flat_map(|node| {
            node.inputs.iter().enumerate().map(|(place, input)| {
                json!({"from": self.nodes[input.node].id, "output": input.output, "to": node.id, "input": place})
            })
        });
        let ordering = self.nodes.iter().flat_map(|node| {
            node.after.iter().map(|before| json!({"before": self.nodes[*before].id, "after": node.id}))
        });
        json!({
            "pipeline": self.name,
            "nodes": self.nodes.iter().map(node_json).collect::<Vec<_>>(),
            "edges": edges.collect::<Vec<_>>(),
            "ordering": ordering.collect::<Vec<_>>(),
        })
    }

    fn label(&self, node: usize, output: &str) -> String {
        let node = &self.nodes[node];
        match node.outputs.first() {
            Some((main, _)) if main == output => node.id.clone(),
            _ => format!("{}.{output}", node.id),
        }
    }

    fn schema(&self, node: usize, output: &str) -> Option<&SchemaRef> {
        self.nodes[node].outputs.iter().find(|(name, _)| name == output).map(|(_, schema)| schema)
    }
}

fn node_json(node: &PlannedNode) -> Value {
    let outputs = node.outputs.iter().map(|(name, schema)| {
        let columns = schema.fields().iter().map(|field| {
            json!({"name": field.name(), "type": field.data_type().to_string(), "nullable": field.is_nullable()})
        });
        json!({"name": name, "columns": columns.collect::<Vec<_>>()})
    });
    json!({
        "id": node.id,
        "step": node.step,
        "kind": node.kind,
        "effects": node.effects,
        "params": node.params,
        "source": node.source,
        "outputs": outputs.collect::<Vec<_>>(),
    })
}

/// `name: Type, …`, broken into lines.
fn wrap_columns(text: &mut String, named: &str, schema: &SchemaRef, width: usize) {
    const INDENT: &str = "    ";
    let mut line = format!("{INDENT}{named}{} columns:", schema.fields().len());
    for field in schema.fields() {
        let piece = format!(" {}: {}", field.name(), field.data_type());
        if line.chars().count() + piece.chars().count() + 1 > width && line.len() > INDENT.len() {
            let _ = writeln!(text, "{line}");
            line = INDENT.to_owned();
        }
        line.push_str(&piece);
        line.push(',');
    }
    let _ = writeln!(text, "{}", line.trim_end_matches([',', ':']));
}
