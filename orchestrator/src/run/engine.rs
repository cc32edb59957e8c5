//! The engine: all steps of a plan at once, streams from each to the next.
//!
//! A fault travels down the streams by itself, so that no load commits. The engine only finds out where it began, and
//! stops the branches that it did not reach. What one step does is told in [`super::node`].

use super::options::RunOptions;
use super::progress::{Progress, Status};
use super::report::{RunReport, StepOutcome, held_back_by};
use super::stage::{Shared, Stage};
use super::wiring::node_tasks;
use crate::mesh::{Mesh, Planner};
use crate::pipeline::{Plan, PlannedNode};
use flight_common::spool::SpillSpace;
use flight_common::{Fault, telemetry};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tracing::Instrument;

/// Plans and runs on some mesh: an [`Engine`] whose kind of stream does not matter.
pub trait Runner: Send + Sync + 'static {
    /// What plans.
    fn planner(&self) -> &dyn Planner;

    /// As [`Engine::run`].
    fn run<'a>(&'a self, plan: &'a Plan, options: &'a RunOptions, progress: Arc<Progress>) -> BoxFuture<'a, RunReport>;

    /// As [`Engine::finish`].
    fn finish<'a>(
        &'a self,
        plan: &'a Plan,
        options: &'a RunOptions,
        progress: Arc<Progress>,
        ended: (Status, Option<Fault>),
    ) -> BoxFuture<'a, RunReport>;
}

impl<M: Mesh> Runner for Engine<M> {
    fn planner(&self) -> &dyn Planner {
        &*self.mesh
    }

    fn run<'a>(&'a self, plan: &'a Plan, options: &'a RunOptions, progress: Arc<Progress>) -> BoxFuture<'a, RunReport> {
        Self::run(self, plan, options, progress).boxed()
    }

    fn finish<'a>(
        &'a self,
        plan: &'a Plan,
        options: &'a RunOptions,
        progress: Arc<Progress>,
        ended: (Status, Option<Fault>),
    ) -> BoxFuture<'a, RunReport> {
        Self::finish(self, plan, options, progress, ended).boxed()
    }
}

/// How long what runs finally may take in all.
const FINALLY: Duration = Duration::from_secs(300);

/// A stage at its end.
struct Staged {
    stage: Stage,
    /// Of its own steps, at their places in the plan.
    outcomes: Vec<Option<StepOutcome>>,
    shared: Arc<Shared>,
}

/// How a stage ended, and of what.
fn verdict(plan: &Plan, staged: &Staged, cancelled: bool) -> (Status, Option<Fault>) {
    let fault = staged.shared.first().map(|(place, fault)| match plan.nodes.get(place) {
        Some(node) => fault.in_step(&node.id),
        None => fault,
    });
    let own = plan.nodes.iter().zip(&staged.outcomes).filter(|(node, _)| staged.stage.has(node));
    let well = |outcome: &StepOutcome| match outcome.status {
        Status::Done | Status::Reused => true,
        // Without a fault or a cancel, only a condition skips a step.
        Status::Skipped => !cancelled,
        _ => false,
    };
    let own: Vec<Option<&StepOutcome>> = own.map(|(_, outcome)| outcome.as_ref()).collect();
    let done = own.iter().all(|outcome| outcome.is_some_and(well));
    // A limit that passes while the last step commits has come too late.
    let all_ran =
        own.iter().all(|outcome| outcome.is_some_and(|one| matches!(one.status, Status::Done | Status::Reused)));
    match fault {
        None if done => (Status::Done, None),
        Some(_) if all_ran => (Status::Done, None),
        _ if cancelled => (Status::Cancelled, Some(Fault::cancelled("the run was cancelled"))),
        None => (Status::Failed, Some(Fault::internal("a step did not end, and none says why"))),
        Some(fault) => (Status::Failed, Some(fault)),
    }
}

fn run_span(plan: &Plan, options: &RunOptions) -> tracing::Span {
    tracing::info_span!(
        "run",
        otel.name = %plan.name,
        run_id = %options.run_id,
        otel.status_code = tracing::field::Empty,
    )
}

/// Runs plans on a mesh.
pub struct Engine<M> {
    mesh: Arc<M>,
    space: SpillSpace,
}

impl<M: Mesh> Engine<M> {
    /// An engine whose tees may keep rows in this space.
    pub fn new(mesh: Arc<M>, space: SpillSpace) -> Self {
        Self { mesh, space }
    }

    /// Runs a plan to its end. It never fails by itself: what went wrong is in the report.
    pub async fn run(&self, plan: &Plan, options: &RunOptions, progress: Arc<Progress>) -> RunReport {
        self.run_within(plan, options, progress).instrument(run_span(plan, options)).await
    }

    /// Runs what runs finally, of a run that has ended so without it. To its conditions all other steps were skipped.
    pub async fn finish(
        &self,
        plan: &Plan,
        options: &RunOptions,
        progress: Arc<Progress>,
        ended: (Status, Option<Fault>),
    ) -> RunReport {
        self.finish_within(plan, options, progress, ended).instrument(run_span(plan, options)).await
    }

    async fn run_within(&self, plan: &Plan, options: &RunOptions, progress: Arc<Progress>) -> RunReport {
        let begun = Instant::now();
        let limit = options.limit.into_iter().chain(plan.rules.timeout).min();
        let shared = Shared::new(options, &self.space, options.cancel.child_token(), progress.clone(), plan);
        let first = self.stage(plan, Stage::Steps, shared, limit).await;
        let (status, fault) = verdict(plan, &first, options.cancel.is_cancelled());
        let mut outcomes = first.outcomes;
        let finally = plan.nodes.iter().any(|node| node.finally);
        if !options.attendant.is_over(status, fault.as_ref()) {
            let report = Self::report(plan, options, outcomes, (status, fault), begun.elapsed());
            return RunReport { finished: false, ..report };
        }
        if !finally {
            return Self::report(plan, options, outcomes, (status, fault), begun.elapsed());
        }
        let last = self.last_stage(plan, options, progress, &first.shared, (status, fault.as_ref())).await;
        // What failed first is what the run failed of.
        let ended = match status {
            Status::Done => verdict(plan, &last, options.abandon.is_cancelled()),
            _ => (status, fault),
        };
        for (outcome, late) in outcomes.iter_mut().zip(last.outcomes) {
            *outcome = late.or(outcome.take());
        }
        Self::report(plan, options, outcomes, ended, begun.elapsed())
    }

    async fn finish_within(
        &self,
        plan: &Plan,
        options: &RunOptions,
        progress: Arc<Progress>,
        (status, fault): (Status, Option<Fault>),
    ) -> RunReport {
        let begun = Instant::now();
        let first = Shared::new(options, &self.space, options.cancel.child_token(), progress.clone(), plan);
        for (node, end) in plan.nodes.iter().zip(&first.ends).filter(|(node, _)| Stage::Steps.has(node)) {
            end.send_replace(Some(Arc::new(StepOutcome::bare(&node.id, &node.step, Status::Skipped))));
        }
        let last = self.last_stage(plan, options, progress, &first, (status, fault.as_ref())).await;
        Self::report(plan, options, last.outcomes, (status, fault), begun.elapsed())
    }

    /// Runs what runs finally, after a stage that ended so.
    async fn last_stage(
        &self,
        plan: &Plan,
        options: &RunOptions,
        progress: Arc<Progress>,
        first: &Shared,
        (status, fault): (Status, Option<&Fault>),
    ) -> Staged {
        let told = |fault: &Fault| json!(fault);
        let none = || json!({"kind": null, "step": null, "message": null});
        let run = json!({"status": status.name(), "fault": fault.map_or_else(none, told)});
        let stop = options.abandon.child_token();
        let shared = Shared::new(options, &self.space, stop, progress, plan).following(first, run);
        self.stage(plan, Stage::Finally, shared, Some(FINALLY)).await
    }

    /// Runs the steps of one stage to their ends.
    async fn stage(&self, plan: &Plan, stage: Stage, shared: Shared, limit: Option<Duration>) -> Staged {
        let shared = Arc::new(shared);
        let mut tasks = JoinSet::new();
        for task in node_tasks(plan, stage, &self.mesh, &shared) {
            tasks.spawn(task.run().in_current_span());
        }
        let all = async {
            let mut outcomes: Vec<Option<StepOutcome>> = vec![None; plan.nodes.len()];
            while let Some(joined) = tasks.join_next().await {
                match joined {
                    Ok((place, outcome)) => outcomes[place] = Some(outcome),
                    Err(error) => shared.note(usize::MAX, Fault::internal(error)),
                }
            }
            outcomes
        };
        let outcomes = match limit {
            None => all.await,
            Some(limit) => {
                let mut all = std::pin::pin!(all);
                match tokio::time::timeout(limit, &mut all).await {
                    Ok(outcomes) => outcomes,
                    Err(_) => {
                        let passed = format!("{stage} took longer than its limit of {} s", limit.as_secs_f32());
                        let help = "raise `timeout` at the head of the pipeline, or what the command allows: --timeout of \
                                    `quiver run`, --run-timeout of an orchestrator";
                        shared.note(usize::MAX, Fault::timed_out(passed).help(help));
                        all.await
                    }
                }
            }
        };
        Staged { stage, outcomes, shared }
    }

    fn report(
        plan: &Plan,
        options: &RunOptions,
        outcomes: Vec<Option<StepOutcome>>,
        (status, fault): (Status, Option<Fault>),
        duration: Duration,
    ) -> RunReport {
        // Only what this attempt has to do with: what it left to another one, or did not come to, is counted by nobody.
        let its_own = outcomes.iter().flatten().filter(|step| step.status != Status::Reused);
        its_own.for_each(StepOutcome::count);
        let steps: Vec<StepOutcome> = outcomes
            .into_iter()
            .zip(&plan.nodes)
            .map(|(outcome, node)| outcome.unwrap_or_else(|| StepOutcome::bare(&node.id, &node.step, Status::Skipped)))
            .collect();
        if let Some(fault) = &fault {
            tracing::Span::current().record("otel.status_code", "ERROR");
            tracing::warn!(kind = fault.kind().name(), fault = %fault, "run ended badly");
        }
        let duration_ms = duration.as_nanos() as f64 / 1e6;
        let fed = |node: &PlannedNode| node.inputs.iter().map(|input| input.node).collect();
        let feeds: Vec<Vec<usize>> = plan.nodes.iter().map(fed).collect();
        RunReport {
            run_id: options.run_id.clone(),
            pipeline: plan.name.clone(),
            status,
            duration_ms,
            trace_id: telemetry::trace_id(),
            fault,
            held_back_by: held_back_by(&steps, &feeds, duration_ms),
            steps,
            finished: true,
        }
    }
}
