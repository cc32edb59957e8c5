//! One attempt of a run, from planning to its end.

use super::attendant::{Durable, patiently};
use super::ended::{Ended, policy_of, unplanned, written_down};
use super::fingerprint::fingerprints;
use super::former::former_names;
use super::{Service, UnderWay, audit, earlier, finally, kept, tell};
use crate::pipeline::{Arguments, Plan, Source};
use crate::run::{Progress, RunOptions, RunReport, Status};
use crate::store::{Claim, Ending, RunRow, RunState, StoreError};
use flight_common::{Fault, telemetry};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// How often the steps of a run are looked at, to tell what changed: the first time, and in a long run of few steps.
const WATCH: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Runs an attempt to its end, and tells the store.
pub(super) async fn attempt(service: Service, claim: Claim, under_way: UnderWay) {
    let span = tracing::info_span!(
        "attempt",
        otel.name = %format!("attempt {}", claim.run.attempt),
        run_id = %claim.lease.run,
        attempt = claim.run.attempt,
        pipeline = %claim.run.pipeline,
        otel.status_code = tracing::field::Empty,
    );
    if let Some(parent) = &claim.traceparent {
        // Where nothing is exported there is no trace to join.
        let _ = span.set_parent(telemetry::context_of(parent));
    }
    attempt_within(service, claim, under_way).instrument(span).await;
}

async fn attempt_within(service: Service, claim: Claim, under_way: UnderWay) {
    tell::begins(&service, &claim);
    let run = async {
        match claim.cancelling {
            true => Ended::before_it_ran(Ending::Cancelled),
            false => run(&service, &claim, &under_way).await,
        }
    };
    // Before the attempt keeps anything anew.
    let past = audit::past(&service, &claim).await;
    let (ended, ()) = tokio::join!(run, audit::lost(&service, &claim, &under_way, past));
    match end(&service, &claim, &under_way, ended).await {
        Ok((run, ended)) => {
            if matches!(ended.ending, Ending::Failed(_) | Ending::Retry(..)) {
                tracing::Span::current().record("otel.status_code", "ERROR");
            }
            tell::ends(&service, &claim, run.state, &ended);
            tell::count(&run);
            tracing::info!(state = %run.state, "run ended");
            tidy_after(&service, &claim, run.state).await;
        }
        Err(StoreError::LeaseLost(_)) => tracing::info!("the run belongs to another replica now"),
        Err(error) => tracing::warn!(%error, "how the run ended could not be stored; it is given back"),
    }
}

/// Ends an attempt: what runs finally has its turn, if the run is over with it, and the store is told.
async fn end(
    service: &Service,
    claim: &Claim,
    under_way: &UnderWay,
    mut ended: Ended,
) -> Result<(RunRow, Ended), StoreError> {
    loop {
        ended = finally::finish(service, claim, under_way, ended).await;
        if under_way.lost.is_cancelled() {
            return Err(StoreError::LeaseLost(claim.lease.run.clone()));
        }
        match tell_until_told(service, claim, under_way, &ended).await {
            // Its cancelling was asked for at the last moment: it did not end well, so that is how it ended.
            Err(StoreError::Illegal { state: RunState::Cancelling, .. })
                if !matches!(ended.ending, Ending::Cancelled) =>
            {
                ended.ending = Ending::Cancelled;
            }
            told => return told.map(|run| (run, ended)),
        }
    }
}

/// Tells the store how the attempt ended, for as long as it takes: its disk may be full for a night. Whoever has the run by
/// then runs it anew; so does the next replica after this one has gone down.
async fn tell_until_told(
    service: &Service,
    claim: &Claim,
    under_way: &UnderWay,
    ended: &Ended,
) -> Result<RunRow, StoreError> {
    let tell = || service.0.store.end_attempt(&claim.lease, &ended.ending, &ended.report, &ended.audit);
    loop {
        match patiently(tell).await {
            Err(StoreError::Unavailable(why)) if !under_way.is_given_up() => {
                tracing::warn!(why, "how the run ended could not be stored yet");
            }
            Err(lost @ StoreError::LeaseLost(_)) => {
                let told = patiently(|| service.0.store.told_end(&claim.lease, &ended.ending)).await;
                return told?.ok_or(lost);
            }
            told => return told,
        }
    }
}

/// Removes what earlier attempts have kept and nobody needs.
async fn tidy_after(service: &Service, claim: &Claim, state: RunState) {
    if claim.run.attempt == 1 || !state.is_final() {
        return;
    }
    if let Err(error) = kept::tidy(service, &claim.lease.run).await {
        tracing::warn!(%error, "what earlier attempts have kept could not be removed");
    }
}

async fn run(service: &Service, claim: &Claim, under_way: &UnderWay) -> Ended {
    let source = Source::new(&claim.run.pipeline, &claim.definition);
    let (policy, tries) = policy_of(service, claim, &source);
    if tries >= policy.attempts {
        let fault =
            Fault::upstream(format!("given up after {tries} attempts, the last of which ended with its replica"))
                .help("look into the logs of that replica; `resume` tries again");
        return Ended::before_it_ran(Ending::Failed(fault));
    }
    let failed = |fault: Fault| match policy.pause(&fault, tries + 1) {
        Some(pause) => Ending::Retry(fault, pause),
        None => Ending::Failed(fault),
    };
    let is_over = {
        let (policy, under_way) = (policy.clone(), under_way.clone());
        move |fault: Option<&Fault>| {
            let given_up = under_way.abandon.is_cancelled();
            !given_up
                && (under_way.stop.is_cancelled() || fault.is_none_or(|fault| policy.pause(fault, tries + 1).is_none()))
        }
    };
    let arguments = Arguments { sets: claim.run.sets.clone(), params: claim.run.params.clone() };
    let plan = tokio::select! {
        checked = service.check_patiently(&source, &arguments) => checked,
        () = under_way.stop.cancelled() => return Ended::before_it_ran(stopped(under_way)),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(problems) => {
            let report = json!({"errors": problems});
            return Ended { report, ..Ended::before_it_ran(failed(unplanned(&problems))) };
        }
    };
    let prints = fingerprints(&plan);
    let settled = match earlier::settled(service, claim, &plan, &prints).await {
        Ok(settled) => settled,
        Err(fault) => return Ended::before_it_ran(failed(fault)),
    };
    let to_do = plan.nodes.iter().filter(|node| !settled.contains_key(&node.id));
    match patiently(|| earlier::may_not_go_on(service, claim, to_do.clone())).await {
        Ok(None) => {}
        Ok(Some(fault)) => return Ended::before_it_ran(Ending::Failed(fault)),
        Err(error) => return Ended::before_it_ran(failed(error.into())),
    }
    let former = match patiently(|| former_names(service, claim, &plan)).await {
        Ok(former) => former,
        Err(error) => return Ended::before_it_ran(failed(error.into())),
    };
    let attendant = Durable::new(service, &claim.lease, &plan, &prints, settled, Box::new(is_over)).formerly(former);
    let options = RunOptions {
        run_id: claim.lease.run.clone(),
        cancel: under_way.stop.clone(),
        abandon: under_way.abandon.clone(),
        limit: service.0.settings.run_limit,
        attendant: Arc::new(attendant),
    };
    let progress = Arc::new(Progress::new(plan.nodes.len()));
    let report = tokio::select! {
        report = service.0.runner.run(&plan, &options, progress.clone()) => report,
        never = watch(service, claim, &plan, &progress) => match never {},
    };
    let ending = judge(&report, under_way, failed);
    written_down(service, claim, &plan, &report, ending, Vec::new()).await
}

fn judge(report: &RunReport, under_way: &UnderWay, failed: impl Fn(Fault) -> Ending) -> Ending {
    match (report.status, &report.fault) {
        // It went down while the last load committed: what runs finally is for the next replica.
        (Status::Done, _) if !report.finished && under_way.released.is_cancelled() => Ending::Released,
        (Status::Done, _) => Ending::Done,
        _ if under_way.stop.is_cancelled() => stopped(under_way),
        // What runs finally has run: no attempt comes after it, also if the fault is its own and may pass.
        (_, Some(fault)) if report.finished => Ending::Failed(fault.clone()),
        (_, Some(fault)) => failed(fault.clone()),
        (_, None) => failed(Fault::internal("the run ended badly, and no fault says why")),
    }
}

fn stopped(under_way: &UnderWay) -> Ending {
    match under_way.released.is_cancelled() {
        true => Ending::Released,
        false => Ending::Cancelled,
    }
}

/// Tells the store which steps have begun or ended, and how far they are. Never ends.
async fn watch(service: &Service, claim: &Claim, plan: &Plan, progress: &Progress) -> Infallible {
    let mut told = Value::Null;
    let mut pause = WATCH.0;
    // What is told grows with the steps.
    let longest = WATCH.1.mul_f64(1.0 + plan.nodes.len() as f64 / 100.0);
    loop {
        tokio::time::sleep(pause).await;
        // A run of a night does not fill the store with its progress.
        pause = pause.mul_f64(1.25).min(longest);
        let steps = plan.nodes.iter().enumerate().map(|(place, node)| {
            let step = progress.step(place);
            let (rows_in, rows_out) = step.rows();
            json!({"id": node.id, "status": step.status().name(), "rows_in": rows_in, "rows_out": rows_out})
        });
        let now = json!({"steps": steps.collect::<Vec<_>>()});
        if now != told {
            match service.0.store.note(&claim.lease, "progress", &now).await {
                Ok(()) => told = now,
                Err(error) => tracing::debug!(%error, "progress was not stored"),
            }
        }
    }
}
