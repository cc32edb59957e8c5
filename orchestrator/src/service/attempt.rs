//! One attempt of a run, from planning to its end.

use super::attendant::{Durable, patiently};
use super::fingerprint::fingerprints;
use super::former::former_names;
use super::lineage::{About, Lineage, Touched, Turn, touched_by_all};
use super::{RetryPolicy, Service, UnderWay, audit, earlier, finally, kept};
use crate::pipeline::{self, Arguments, Plan, Problem, Problems, Source};
use crate::run::{Progress, RunOptions, RunReport, Status};
use crate::store::{AuditRecord, Claim, Ending, RunRow, RunState, StoreError};
use chrono::Utc;
use flight_common::telemetry::metrics;
use flight_common::{Fault, FaultKind, telemetry};
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
    tell_begin(&service, &claim);
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
            tell_lineage(&service, &claim, run.state, &ended);
            count(&run);
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
pub(super) fn tell_cancelled(service: &Service, run: &RunRow) {
    count(run);
    if let Some((lineage, about)) = lineage(service, run).filter(|_| run.attempt > 0) {
        lineage.tell(about.pipeline(Turn::Abort, Utc::now(), None, Touched::default()));
    }
}

fn tell_begin(service: &Service, claim: &Claim) {
    if let Some((lineage, about)) = lineage(service, &claim.run) {
        let turn = if claim.run.attempt == 1 { Turn::Start } else { Turn::Running };
        lineage.tell(about.pipeline(turn, Utc::now(), None, Touched::default()));
    }
}

fn tell_steps(service: &Service, claim: &Claim, plan: &Plan, report: &RunReport) -> Touched {
    let Some((lineage, about)) = lineage(service, &claim.run) else { return Touched::default() };
    about.steps(plan, report, Utc::now()).into_iter().for_each(|event| lineage.tell(event));
    touched_by_all(plan, report)
}

fn tell_lineage(service: &Service, claim: &Claim, state: RunState, ended: &Ended) {
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

/// Removes what earlier attempts have kept and nobody needs.
async fn tidy_after(service: &Service, claim: &Claim, state: RunState) {
    if claim.run.attempt == 1 || !state.is_final() {
        return;
    }
    if let Err(error) = kept::tidy(service, &claim.lease.run).await {
        tracing::warn!(%error, "what earlier attempts have kept could not be removed");
    }
}

/// Counts what became of the run in the metrics.
fn count(run: &RunRow) {
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

/// When an attempt of this pipeline is followed by another one, and how many were begun before.
pub(super) fn policy_of(service: &Service, claim: &Claim, source: &Source) -> (RetryPolicy, u32) {
    let policy = service.0.settings.retry.ruled(&pipeline::rules(source).retry);
    (policy, u32::try_from(claim.tries).unwrap_or(u32::MAX))
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

/// An attempt of which something ran, of which these records were written before.
pub(super) async fn written_down(
    service: &Service,
    claim: &Claim,
    plan: &Plan,
    report: &RunReport,
    ending: Ending,
    before: Vec<AuditRecord>,
) -> Ended {
    let audit = audit::written_down(service, claim, plan, report, before).await;
    let touched = tell_steps(service, claim, plan, report);
    let finished = report.finished;
    let mut report = serde_json::to_value(report).unwrap_or_default();
    let steps = report["steps"].as_array_mut().into_iter().flatten();
    // A later attempt may call its steps otherwise.
    for (step, print) in steps.zip(fingerprints(plan)) {
        step[earlier::FINGERPRINT] = print.into();
    }
    Ended { ending, report, audit, touched, finished }
}

/// How an attempt ended, and what is stored and told of it.
pub(super) struct Ended {
    pub ending: Ending,
    pub report: Value,
    pub audit: Vec<AuditRecord>,
    pub touched: Touched,
    /// Whether what runs finally has had its turn.
    pub finished: bool,
}

impl Ended {
    /// Nothing of it ran.
    pub fn before_it_ran(ending: Ending) -> Self {
        Self { ending, report: Value::Null, audit: Vec::new(), touched: Touched::default(), finished: false }
    }
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

/// What stands in the way of planning, as one fault: the first problem, and how many there are.
pub(super) fn unplanned(problems: &Problems) -> Fault {
    let Some(first) = problems.iter().next() else { return Fault::internal("no plan, and no problem") };
    let more = match problems.len() {
        1 => String::new(),
        count => format!(" (and {} more problems)", count - 1),
    };
    let kind = match problems.iter().find_map(Problem::transient) {
        Some(kind) => kind,
        None => FaultKind::BadParams,
    };
    let fault = Fault::new(kind, format!("line {}: {}{more}", first.line, first.message));
    match &first.help {
        Some(help) => fault.help(help),
        None => fault,
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
