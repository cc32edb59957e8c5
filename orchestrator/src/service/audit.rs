//! What ran, written down: a record for each step of each attempt, in the store with the end of the attempt, and as a line
//! of JSON in `.quiver/audit/<day>.jsonl` under the data root.
//!
//! It tells what ran, of which version, with which parameters (as the pipeline has them: a secret is its name), on whose
//! request, and what came of it.

use super::fingerprint::fingerprints;
use super::{Service, UnderWay};
use crate::pipeline::{Arguments, Plan, PlannedNode};
use crate::run::{Figures, RunReport, Status, StepOutcome};
use crate::store::{AttemptRow, AuditRecord, Claim, Committed, KeptOutput, RunRow, StoreError, Told};
use chrono::{DateTime, Utc};
use flight_common::{compute, passwords};
use serde::Deserialize;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// The records of an attempt, which are in its file already; `before` are those that were written earlier, whose steps have
/// theirs. What cannot be written is logged, and costs the run nothing.
pub(super) async fn written_down(
    service: &Service,
    claim: &Claim,
    plan: &Plan,
    report: &RunReport,
    mut before: Vec<AuditRecord>,
) -> Vec<AuditRecord> {
    let now = Utc::now();
    let steps = plan.nodes.iter().zip(&report.steps);
    let has_record = |id: &str| before.iter().any(|record| record.id == id);
    // What runs finally is written down when it has had its turn.
    let steps = steps.filter(|(node, _)| !has_record(&node.id) && (report.finished || !node.finally));
    let records: Vec<AuditRecord> =
        steps.map(|(node, step)| record(&now.to_rfc3339(), &claim.run, node, step)).collect();
    to_file(service, now, &records, is_superseded(service, claim).await).await;
    before.extend(records);
    before
}

/// Whether another replica has taken the run meanwhile. For half of its lease it is known without asking; a store that does not
/// answer soon is not waited for.
async fn is_superseded(service: &Service, claim: &Claim) -> bool {
    if claim.taken.elapsed() < service.0.settings.lease / 2 {
        return false;
    }
    let held = tokio::time::timeout(ASKED, service.0.store.holds(&claim.lease)).await;
    matches!(held, Ok(Ok(false)))
}

/// How long the store is asked whether a run is still this replica's.
const ASKED: Duration = Duration::from_secs(2);

/// What is known of attempts that were lost with their replicas.
pub(super) struct Past {
    lost: Vec<AttemptRow>,
    told: Vec<Told>,
    commits: Vec<Committed>,
    kept: Vec<KeptOutput>,
}

/// Looks that up; nothing where none was lost, or when it cannot be found out.
pub(super) async fn past(service: &Service, claim: &Claim) -> Option<Past> {
    match tokio::time::timeout(ASKED, past_of(service, claim)).await {
        Ok(Ok(past)) => past,
        Ok(Err(error)) => {
            tracing::warn!(%error, "what was lost was not looked up");
            None
        }
        Err(_) => {
            tracing::warn!("what was lost was not looked up in time");
            None
        }
    }
}

async fn past_of(service: &Service, claim: &Claim) -> Result<Option<Past>, StoreError> {
    // Those before somebody asked for the run last may have had another text.
    let Some(tries) = usize::try_from(claim.tries).ok().filter(|tries| *tries > 0) else { return Ok(None) };
    let (store, run) = (&service.0.store, &claim.lease.run);
    let attempts = store.attempts(run).await?.into_iter().rev();
    let tried = attempts.filter(|before| before.attempt < claim.run.attempt && before.state != "released").take(tries);
    let mut lost: Vec<AttemptRow> = tried.filter(|before| before.state == "lost").collect();
    if lost.is_empty() {
        return Ok(None);
    }
    let (told, commits, kept, written) =
        tokio::try_join!(store.told(run), store.commits(run), store.kept(run), store.audit(run))?;
    lost.retain(|lost| !written.iter().any(|record| record.attempt == lost.attempt));
    Ok(Some(Past { lost, told, commits, kept }))
}

/// Writes that down: which steps had ended well, as far as that was noted. What came of the others is not known. What cannot be
/// found out in [`PATIENCE`], or before the run is stopped, is left.
pub(super) async fn lost(service: &Service, claim: &Claim, under_way: &UnderWay, past: Option<Past>) {
    let Some(past) = past else { return };
    let in_time = tokio::time::timeout(PATIENCE, write_lost(service, claim, past));
    let written = tokio::select! {
        biased;
        written = in_time => written.unwrap_or_else(|_| Err("it took too long".to_owned())),
        () = under_way.stop.cancelled() => Err("the run was stopped".to_owned()),
    };
    if let Err(why) = written {
        tracing::warn!(why, "what was lost was not written down");
    }
}

/// How long a plan is waited for only to say what was lost. The attempt itself is planned meanwhile, of the same sources.
const PATIENCE: Duration = Duration::from_secs(30);

async fn write_lost(service: &Service, claim: &Claim, past: Past) -> Result<(), String> {
    let Past { lost, told, commits, kept } = past;
    let arguments = Arguments { sets: claim.run.sets.clone(), params: claim.run.params.clone() };
    let plan = service.check(&claim.run.pipeline, &claim.definition, &arguments).await;
    let plan = plan.map_err(|problems| problems.to_string())?;
    let prints = fingerprints(&plan);
    for &AttemptRow { attempt, started_at, ended_at, .. } in lost.iter().rev() {
        let (now, then) = (Utc::now(), RunRow { attempt, ..claim.run.clone() });
        let records = plan.nodes.iter().zip(&prints).map(|(node, print)| {
            let known =
                told.iter().find(|told| told.step == node.id && told.fingerprint == *print && told.attempt <= attempt);
            let receipt =
                commits.iter().find(|done| known.is_some() && done.step == node.id).map(|done| done.receipt.clone());
            let is_kept = |output: &str| {
                kept.iter().find(|kept| {
                    kept.step == node.id
                        && kept.output == output
                        && kept.fingerprint == *print
                        && kept.created_at <= ended_at.unwrap_or(i64::MAX)
                })
            };
            // One output may be whole while another was under way.
            let whole = node.outputs.iter().all(|(output, _)| is_kept(output).is_some());
            let kept = node.outputs.first().filter(|_| whole).and_then(|(main, _)| is_kept(main));
            let status = match (known, kept) {
                (Some(told), _) if told.attempt == attempt => Status::Done.name(),
                (_, Some(kept)) if kept.created_at >= started_at => Status::Done.name(),
                // What was not noted again, and not kept, may have been begun again.
                (_, Some(_)) => Status::Reused.name(),
                (Some(_), None) if receipt.is_some() => Status::Reused.name(),
                _ => AuditRecord::LOST,
            };
            let mut step = StepOutcome::bare(&node.id, &node.step, Status::Cancelled);
            step.rows_out = kept.map_or(0, |kept| u64::try_from(kept.rows).unwrap_or(0));
            let known = known.filter(|_| status != AuditRecord::LOST);
            let figures = known.and_then(|told| Figures::deserialize(&told.figures).ok());
            figures.into_iter().for_each(|figures| step.remember(figures));
            step.receipt = receipt;
            AuditRecord { status: status.to_owned(), ..record(&now.to_rfc3339(), &then, node, &step) }
        });
        let records: Vec<AuditRecord> = records.collect();
        let written = service.0.store.write_down(&claim.lease, &records).await;
        written.map_err(|error| error.to_string())?;
        to_file(service, now, &records, false).await;
    }
    Ok(())
}

async fn to_file(service: &Service, now: DateTime<Utc>, records: &[AuditRecord], superseded: bool) {
    let mut lines = String::new();
    for record in records {
        let mut line = json!(record);
        if superseded {
            // The store has what the other replica says of the attempt.
            line["superseded"] = json!(true);
        }
        lines += &line.to_string();
        lines.push('\n');
    }
    let (own, file) = (service.0.own.clone(), format!("audit/{}.jsonl", now.format("%Y-%m-%d")));
    // One write for all lines: those of other attempts do not come between.
    let written = compute::run(move || own.append(Path::new(&file), lines.as_bytes())).await;
    if let Err(fault) = written {
        tracing::warn!(fault = %fault, "an attempt was not written to the file of its day");
    }
}

fn record(at: &str, run: &RunRow, node: &PlannedNode, step: &StepOutcome) -> AuditRecord {
    let columns = node.outputs.first().map(|(_, schema)| {
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>()
    });
    AuditRecord {
        at: at.to_owned(),
        run_id: run.id.clone(),
        attempt: run.attempt,
        pipeline: run.pipeline.clone(),
        definition: run.definition.clone(),
        arguments: passwords::hidden_in_params(&run.params),
        submitted_by: run.submitted_by.clone(),
        origin: run.origin.clone(),
        trace_id: run.trace_id.clone(),
        id: node.id.clone(),
        step: node.step.clone(),
        version: node.version.clone(),
        params: passwords::hidden_in(&node.params),
        source: node.source.clone(),
        status: step.status.name().to_owned(),
        rows_in: step.rows_in,
        rows_out: step.rows_out,
        columns,
        duration_ms: step.duration_ms,
        counters: step.counters.clone(),
        receipt: step.receipt.clone(),
        fault: step.fault.as_ref().and_then(|fault| serde_json::to_value(fault).ok()),
    }
}
