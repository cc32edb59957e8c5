//! Submit, cancel, resume: what people and programs ask of runs.

use super::Service;
use crate::pipeline::{self, Arguments, Plan, Problems, Source};
use crate::store::{Definition, NewRun, RunRow, StoreError, Submitted};
use flight_common::telemetry;
use serde_json::Value;
use std::collections::BTreeMap;

/// A request to run.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// The name of the pipeline.
    pub pipeline: String,
    /// Its version, if it is run by name.
    pub version: Option<i64>,
    /// Its text.
    pub body: String,
    /// Changes of parameters: `step.param=value`.
    pub sets: Vec<String>,
    /// Values of the pipeline's parameters.
    pub params: BTreeMap<String, Value>,
    /// Greater goes first; with 0 it is as the pipeline says.
    pub priority: i64,
    /// Two requests with the same key are one.
    pub idempotency_key: Option<String>,
    /// Who asks.
    pub by: String,
    /// Where it comes from.
    pub origin: String,
}

/// Why a request was refused.
#[derive(Debug)]
pub enum Refused {
    /// The pipeline cannot run.
    Wrong(Problems),
    /// The store says no.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Service {
    /// Checks a pipeline, and queues a run of it.
    ///
    /// # Errors
    /// [`Refused::Wrong`] with all that is wrong with the pipeline; otherwise as [`crate::store::Store::submit`].
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, Refused> {
        let arguments = Arguments { sets: submission.sets, params: submission.params };
        let checked = self.check(&submission.pipeline, &submission.body, &arguments).await;
        let plan = checked.map_err(Refused::Wrong)?;
        let new = NewRun {
            id: uuid::Uuid::now_v7().to_string(),
            pipeline: submission.pipeline,
            version: submission.version,
            definition: Definition::new(submission.body),
            sets: arguments.sets,
            params: arguments.params,
            services: services(&plan),
            priority: if submission.priority == 0 { plan.rules.priority.unwrap_or(0) } else { submission.priority },
            concurrency: plan.rules.concurrency,
            idempotency_key: submission.idempotency_key,
            submitted_by: submission.by,
            origin: submission.origin,
            traceparent: telemetry::traceparent(),
        };
        let submitted = self.0.store.submit(&new).await?;
        self.0.wake.notify_one();
        Ok(submitted)
    }

    /// Checks a pipeline through the live steps.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub async fn check(&self, name: &str, body: &str, arguments: &Arguments) -> Result<Plan, Problems> {
        pipeline::check(&Source::new(name, body), arguments, self.0.runner.planner()).await
    }

    /// Checks a pipeline that is to be kept, not run: parameters may still lack a value.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub async fn check_unfilled(&self, name: &str, body: &str) -> Result<(), Problems> {
        pipeline::check_unfilled(&Source::new(name, body), self.0.runner.planner()).await
    }

    /// Asks for the end of a run. One of this replica is stopped at once.
    ///
    /// # Errors
    /// As [`crate::store::Store::cancel`].
    pub async fn cancel(&self, run: &str, by: &str) -> Result<RunRow, StoreError> {
        let row = self.0.store.cancel(run, by).await?;
        if let Some(under_way) = self.under_way().get(run) {
            under_way.stop.cancel();
        }
        Ok(row)
    }

    /// Queues a run again that has failed or was cancelled: with `reuse` from where it stopped, else from the beginning;
    /// with another text, if one is given.
    ///
    /// # Errors
    /// As [`Service::submit`] and [`crate::store::Store::resume`].
    pub async fn resume(&self, run: &str, body: Option<String>, reuse: bool, by: &str) -> Result<RunRow, Refused> {
        let changed = match body {
            None => None,
            Some(body) => {
                let before = self.0.store.run(run).await?;
                let arguments = Arguments { sets: before.sets, params: before.params };
                let plan = self.check(&before.pipeline, &body, &arguments).await.map_err(Refused::Wrong)?;
                Some((Definition::new(body), services(&plan)))
            }
        };
        let changed = changed.as_ref().map(|(definition, services)| (definition, services.as_slice()));
        let row = self.0.store.resume(run, changed, reuse, by).await?;
        self.0.wake.notify_one();
        Ok(row)
    }
}

fn services(plan: &Plan) -> Vec<String> {
    let mut names: Vec<String> = plan.nodes.iter().map(|node| node.step.clone()).collect();
    names.sort();
    names.dedup();
    names
}
