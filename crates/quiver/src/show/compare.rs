//! Two runs side by side: where they differ, and what each of their steps did.

use super::numbers::{count, time};
use super::runs::{fault_text, pipeline, took, when, word};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use orchestrator::api::Comparison;
use orchestrator::store::RunRow;
use serde_json::Value;
use std::collections::BTreeSet;

/// Two runs, but for their texts.
pub fn comparison(compared: &Comparison) -> String {
    let (left, right) = (&compared.left, &compared.right);
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["", &left.id, &right.id]);
    let mut row = |name: &str, of: &dyn Fn(&RunRow) -> String| {
        let (left, right) = (of(left), of(right));
        if !left.is_empty() || !right.is_empty() {
            table.add_row([name.to_owned(), left, right]);
        }
    };
    row("pipeline", &pipeline);
    row("state", &|run| run.state.to_string());
    row("queued", &|run| when(run.created_at));
    row("took", &took);
    row("fault", &|run| run.fault.as_ref().map(fault_text).unwrap_or_default());
    let names: BTreeSet<&String> = left.params.keys().chain(right.params.keys()).collect();
    for name in names {
        row(&format!("param {name}"), &|run| run.params.get(name).map(Value::to_string).unwrap_or_default());
    }
    row("set", &|run| run.sets.join(", "));
    for step in &compared.steps {
        let shown = |figures: &Option<Value>| figures.as_ref().map(step_line).unwrap_or_default();
        table.add_row([format!("step {}", step.id), shown(&step.left), shown(&step.right)]);
    }
    format!("{table}\n")
}

fn step_line(figures: &Value) -> String {
    let rows = figures["rows_out"].as_u64().map(|rows| format!(", {} rows", count(rows))).unwrap_or_default();
    let took = figures["duration_ms"].as_f64().map(|millis| format!(", {}", time(millis))).unwrap_or_default();
    format!("{}{rows}{took}", word(&figures["status"]))
}
