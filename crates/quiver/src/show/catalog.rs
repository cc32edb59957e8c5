//! The steps there are, and the manual of one.

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use flight_common::{StepDescription, StepKind};
use std::fmt::Write;
use std::sync::Arc;

/// A line for each step.
pub fn catalog(steps: &[Arc<StepDescription>]) -> String {
    let mut table = super::table(NOTHING);
    for step in steps {
        table.add_row([step.name.as_str(), kind(step.kind), step.summary.as_str()]);
    }
    format!("{table}\n\nquiver steps NAME explains one.\n")
}

/// The manual of a step.
pub fn step(step: &StepDescription) -> String {
    let mut text =
        format!("{} {} ({})\n\n{}\n\n{}\n", step.name, step.version, kind(step.kind), step.summary, step.manual);
    if !step.aliases.is_empty() {
        let _ = write!(text, "\nAlso called {}.\n", step.aliases.join(", "));
    }
    if step.takes_any_inputs() {
        text.push_str("\nInputs: one or more, under names of your own.\n");
    } else if step.inputs.len() > 1 {
        let _ = write!(text, "\nInputs: {}.\n", step.inputs.join(", "));
    }
    let mut table = super::table(UTF8_FULL_CONDENSED);
    table.set_header(["parameter", "type", "default", "meaning"]);
    for row in step.params_in_depth() {
        table.add_row([row.name, row.kind.replace('`', ""), row.default, row.doc]);
    }
    let _ = write!(text, "\n{table}\n");
    for example in &step.examples {
        let params = serde_json::to_string_pretty(&example.params).unwrap_or_default();
        let _ = write!(text, "\n{}:\n{params}\n", example.title);
    }
    text
}

fn kind(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Extract => "extract",
        StepKind::Transform => "transform",
        StepKind::Load => "load",
    }
}
