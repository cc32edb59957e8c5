//! What ran, written down: a line of JSON for each step of each attempt, in `.quiver/audit/<day>.jsonl` under the data root.
//!
//! It tells what ran, of which version, with which parameters (as the pipeline has them: a secret is its name), on whose
//! request, and what came of it.

use super::Service;
use crate::pipeline::{Plan, PlannedNode};
use crate::run::{RunReport, StepOutcome};
use crate::store::{Claim, RunRow};
use chrono::Utc;
use flight_common::compute;
use serde_json::{Value, json};
use std::path::Path;

/// Writes an attempt down. What cannot be written is logged, and costs the run nothing.
pub(super) async fn write_down(service: &Service, claim: &Claim, plan: &Plan, report: &RunReport) {
    let run = match service.0.store.run(&claim.lease.run).await {
        Ok(run) => run,
        Err(error) => return tracing::warn!(%error, "an attempt was not written down"),
    };
    let now = Utc::now();
    let mut lines = String::new();
    for (node, step) in plan.nodes.iter().zip(&report.steps) {
        lines += &record(&now.to_rfc3339(), &run, claim.attempt, node, step).to_string();
        lines.push('\n');
    }
    let (own, file) = (service.0.own.clone(), format!("audit/{}.jsonl", now.format("%Y-%m-%d")));
    // One write for all lines: those of other attempts do not come between.
    let written = compute::run(move || own.append(Path::new(&file), lines.as_bytes())).await;
    if let Err(fault) = written {
        tracing::warn!(fault = %fault, "an attempt was not written down");
    }
}

fn record(at: &str, run: &RunRow, attempt: i64, node: &PlannedNode, step: &StepOutcome) -> Value {
    let columns = node.outputs.first().map(|(_, schema)| {
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>()
    });
    json!({
        "at": at,
        "run_id": run.id,
        "attempt": attempt,
        "pipeline": run.pipeline,
        "definition": run.definition,
        "arguments": run.params,
        "submitted_by": run.submitted_by,
        "origin": run.origin,
        "trace_id": run.trace_id,
        "id": node.id,
        "step": node.step,
        "version": node.version,
        "params": node.params,
        "source": node.source,
        "status": step.status.name(),
        "rows_in": step.rows_in,
        "rows_out": step.rows_out,
        "columns": columns,
        "duration_ms": step.duration_ms,
        "counters": step.counters,
        "receipt": step.receipt,
        "fault": step.fault,
    })
}
