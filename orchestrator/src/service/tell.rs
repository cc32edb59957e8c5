//! What lineage and metrics are told of a run.

use super::Service;
use super::ended::Ended;
use super::lineage::{About, Lineage, Touched, Turn, touched_by_all};
use crate::pipeline::Plan;
use crate::run::RunReport;
use crate::store::{Claim, Ending, RunRow, RunState};
use chrono::Utc;
use flight_common::telemetry::metrics;
use std::time::Duration;

/// The attempt, as it is told of by the lineage of this replica, if it tells any.
fn lineage<'a>(service: &'a Service, run: &RunRow) -> Option<(&'a Lineage, About)> {
    let lineage = service.0.lineage.as_ref()?;
    let about = About {
        namespace: lineage.namespace().to_owned(),
        pipeline: run.pipeline.clone(),
        run: run.id.clone(),
        attempt: run.attempt,
        trace: run.trace_id.clone(),
    };
    Some((lineage, about))
}

/// Tells of a run that was cancelled while it waited: for another attempt, if one was begun.
pub(super) fn cancelled(service: &Service, run: &RunRow) {
    count(run);
    if let Some((lineage, about)) = lineage(service, run).filter(|_| run.attempt > 0) {
        lineage.tell(about.pipeline(Turn::Abort, Utc::now(), None, Touched::default()));
    }
}

/// Tells that an attempt begins.
pub(super) fn begins(service: &Service, claim: &Claim) {
    if let Some((lineage, about)) = lineage(service, &claim.run) {
        let turn = if claim.run.attempt == 1 { Turn::Start } else { Turn::Running };
        lineage.tell(about.pipeline(turn, Utc::now(), None, Touched::default()));
    }
}

/// Tells of the steps of an attempt. Returns what they have read and written.
pub(super) fn steps(service: &Service, claim: &Claim, plan: &Plan, report: &RunReport) -> Touched {
    let Some((lineage, about)) = lineage(service, &claim.run) else { return Touched::default() };
    about.steps(plan, report, Utc::now()).into_iter().for_each(|event| lineage.tell(event));
    touched_by_all(plan, report)
}

/// Tells that a run is over, if it is.
pub(super) fn ends(service: &Service, claim: &Claim, state: RunState, ended: &Ended) {
    let Some((lineage, about)) = lineage(service, &claim.run) else { return };
    let turn = match state {
        RunState::Done => Turn::Complete,
        RunState::Failed => Turn::Fail,
        RunState::Cancelled => Turn::Abort,
        // It goes on, here or elsewhere.
        _ => return,
    };
    let fault = match &ended.ending {
        Ending::Failed(fault) => Some(fault.to_string()),
        _ => None,
    };
    lineage.tell(about.pipeline(turn, Utc::now(), fault.as_deref(), ended.touched.clone()));
}

/// Counts what became of the run in the metrics.
pub(super) fn count(run: &RunRow) {
    if run.state == RunState::Queued {
        return metrics::run_retried(&run.pipeline);
    }
    if !run.state.is_final() {
        // Given back while it is being cancelled: whoever takes it over ends it.
        return;
    }
    let took = run.ended_at.unwrap_or(run.created_at).saturating_sub(run.created_at);
    let took = Duration::from_millis(u64::try_from(took).unwrap_or(0));
    metrics::run_ended(&run.pipeline, run.state.name(), took);
}
