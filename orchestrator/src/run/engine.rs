//! The engine: all steps of a plan at once, streams from each to the next.
//!
//! A fault travels down the streams by itself, so that no load commits. The engine only finds out where it began, and
//! stops the branches that it did not reach. What one step does is told in [`super::node`].

use super::attend::{Attendant, Unattended};
use super::node::{Shared, node_tasks};
use super::progress::{Progress, Status};
use super::report::{RunReport, StepOutcome, held_back_by};
use crate::mesh::{Mesh, Planner};
use crate::pipeline::{Plan, PlannedNode};
use flight_common::spool::SpillSpace;
use flight_common::{Fault, telemetry};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How to run a plan.
#[derive(Clone)]
pub struct RunOptions {
    /// The run's id: outputs are named by it.
    pub run_id: String,
    /// Ends the run when it is cancelled.
    pub cancel: CancellationToken,
    /// How long the whole run may take. Its pipeline may allow it less.
    pub limit: Option<Duration>,
    /// Whom to ask and tell.
    pub attendant: Arc<dyn Attendant>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { run_id: String::new(), cancel: CancellationToken::new(), limit: None, attendant: Arc::new(Unattended) }
    }
}

/// Plans and runs on some mesh: an [`Engine`] whose kind of stream does not matter.
pub trait Runner: Send + Sync + 'static {
    /// What plans.
    fn planner(&self) -> &dyn Planner;

    /// As [`Engine::run`].
    fn run<'a>(&'a self, plan: &'a Plan, options: &'a RunOptions, progress: Arc<Progress>) -> BoxFuture<'a, RunReport>;
}

impl<M: Mesh> Runner for Engine<M> {
    fn planner(&self) -> &dyn Planner {
        &*self.mesh
    }

    fn run<'a>(&'a self, plan: &'a Plan, options: &'a RunOptions, progress: Arc<Progress>) -> BoxFuture<'a, RunReport> {
        Self::run(self, plan, options, progress).boxed()
    }
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
        let span = tracing::info_span!(
            "run",
            otel.name = %plan.name,
            run_id = %options.run_id,
            otel.status_code = tracing::field::Empty,
        );
        self.run_within(plan, options, progress).instrument(span).await
    }

    async fn run_within(&self, plan: &Plan, options: &RunOptions, progress: Arc<Progress>) -> RunReport {
        let begun = Instant::now();
        let stop = options.cancel.child_token();
        let steps = plan.nodes.len();
        let shared =
            Arc::new(Shared::new(&options.run_id, &self.space, stop, progress, options.attendant.clone(), steps));
        let mut tasks = JoinSet::new();
        for task in node_tasks(plan, &self.mesh, &shared) {
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
        let limit = options.limit.into_iter().chain(plan.rules.timeout).min();
        let outcomes = match limit {
            None => all.await,
            Some(limit) => {
                let mut all = std::pin::pin!(all);
                match tokio::time::timeout(limit, &mut all).await {
                    Ok(outcomes) => outcomes,
                    Err(_) => {
                        let passed = format!("the run took longer than its limit of {} s", limit.as_secs_f32());
                        shared.note(usize::MAX, Fault::timed_out(passed));
                        all.await
                    }
                }
            }
        };
        self.report(plan, options, &shared, outcomes, begun.elapsed())
    }

    fn report(
        &self,
        plan: &Plan,
        options: &RunOptions,
        shared: &Shared,
        outcomes: Vec<Option<StepOutcome>>,
        duration: Duration,
    ) -> RunReport {
        let steps: Vec<StepOutcome> = outcomes
            .into_iter()
            .zip(&plan.nodes)
            .map(|(outcome, node)| {
                outcome.unwrap_or_else(|| StepOutcome::bare(&node.id, &node.step, Status::Cancelled))
            })
            .collect();
        steps.iter().filter(|step| step.status != Status::Reused).for_each(StepOutcome::count);
        let fault = shared.first().map(|(place, fault)| match plan.nodes.get(place) {
            Some(node) => fault.in_step(&node.id),
            None => fault,
        });
        let done = steps.iter().all(|step| matches!(step.status, Status::Done | Status::Reused));
        let (status, fault) = match fault {
            None if done => (Status::Done, None),
            _ if options.cancel.is_cancelled() => (Status::Cancelled, Some(Fault::cancelled("the run was cancelled"))),
            None => (Status::Failed, Some(Fault::internal("a step did not end, and none says why"))),
            Some(fault) => (Status::Failed, Some(fault)),
        };
        if let Some(fault) = &fault {
            tracing::Span::current().record("otel.status_code", "ERROR");
            tracing::warn!(kind = fault.kind().name(), fault = %fault, "run ended badly");
        }
        let duration_ms = duration.as_secs_f64() * 1e3;
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
        }
    }
}
