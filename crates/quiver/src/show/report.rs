//! The closing table of a run.

use super::numbers::{count, time};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use flight_common::Fault;
use flight_common::report::warnings;
use orchestrator::run::{RunReport, Status, StepOutcome};
use serde_json::Value;

/// Shows how a run ended, on standard error. Quiet, it shows only what went wrong, and what steps warn of.
pub fn report(report: &RunReport, quiet: bool) {
    if !quiet {
        super::tell(table(&report.steps));
        for step in &report.steps {
            findings(step);
        }
    }
    for step in &report.steps {
        for sentence in warnings(&step.details) {
            super::tell(format_args!("warning: {}: {sentence}", step.id));
        }
    }
    if let Some(fault) = &report.fault {
        super::fault(fault);
    }
    // What a step was at when the run was stopped under it.
    let unsettled = report.steps.iter().filter(|step| step.status == Status::Cancelled);
    let unsettled: Vec<Fault> = unsettled.filter_map(|step| Some(step.fault.clone()?.in_step(&step.id))).collect();
    unsettled.iter().for_each(super::fault);
    if quiet && report.status == Status::Done {
        return;
    }
    let (ended, remark) = match report.status {
        Status::Done => ("done in", ""),
        Status::Cancelled if !unsettled.is_empty() => ("cancelled after", ""),
        Status::Cancelled => ("cancelled after", "; nothing half-written is left"),
        _ => ("failed after", "; nothing half-written is left"),
    };
    super::tell(format_args!(
        "{} {ended} {} (run {}){remark}",
        report.pipeline,
        time(report.duration_ms),
        report.run_id
    ));
    if let Some(words) = &report.held_back_by
        && !quiet
    {
        super::tell(words);
    }
}

fn table(steps: &[StepOutcome]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["step", "status", "rows in", "rows out", "time", "waiting", "computing", "blocked"]);
    for step in steps {
        let figure = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(&step.id),
            Cell::new(step.status.name()),
            figure(count(step.rows_in)),
            figure(count(step.rows_out)),
            figure(time(step.duration_ms)),
            figure(time(step.waiting_ms)),
            figure(time(step.computing_ms)),
            figure(time(step.blocked_ms)),
        ]);
    }
    table
}

/// A finding that is a number, a boolean or a text; others are for programs (`--json`).
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// A step's own counters and plain findings, and what a load wrote.
fn findings(step: &StepOutcome) {
    let counters = step.counters.iter().map(|(name, value)| format!("{name} {}", count(*value)));
    let details = step.details.iter().filter_map(|(name, value)| Some(format!("{name} {}", plain(value)?)));
    let found: Vec<String> = counters.chain(details).collect();
    if !found.is_empty() {
        super::tell(format_args!("{}: {}", step.id, found.join(", ")));
    }
    if let Some(place) = step.receipt.as_ref().and_then(super::written) {
        super::tell(format_args!("{} wrote {place}", step.id));
    }
}
