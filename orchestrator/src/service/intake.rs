//! Submit, cancel, resume: what people and programs ask of runs.

use super::request::{Refused, RunRequest, Submission, UNNAMED};
use super::{Service, tell};
use crate::pipeline::{self, Arguments, Plan, Problems, RunRules, Source};
use crate::store::{Changed, Definition, NewRun, Ruled, RunRow, RunState, StoreError, Submitted};
use flight_common::{Fault, StepDescription, canonical_name, telemetry};
use futures::{StreamExt, TryStreamExt, future, stream};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a pipeline is checked again that may be good a moment later, and the pauses meanwhile, in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSES: [u64; 4] = [200, 500, 1000, 2000];

/// The priority of a run: the one that was asked for, else as the pipeline says.
fn ruled(asked: Option<i64>, rules: &RunRules) -> i64 {
    asked.or(rules.priority).unwrap_or(0)
}

/// Runs that are cancelled together.
const AT_ONCE: usize = 32;

impl Service {
    /// Queues what a caller asks for.
    ///
    /// # Errors
    /// As [`Service::submit`], and for a request that names neither a pipeline nor a text, or both.
    pub async fn submit_request(
        &self,
        request: RunRequest,
        idempotency_key: Option<String>,
        by: &str,
        origin: &str,
    ) -> Result<Submitted, Refused> {
        request.check()?;
        let again = idempotency_key.clone().map(|key| (key, request.clone()));
        let submitted = async {
            let (version, body) = self.asked(&request).await?;
            let submission = Submission {
                pipeline: request.pipeline,
                version,
                called: request.name,
                body,
                sets: request.set,
                params: request.params,
                priority: request.priority,
                concurrency: request.concurrency,
                of_series: None,
                idempotency_key,
                by: by.to_owned(),
                origin: origin.to_owned(),
                scheduled_at: None,
                unplanned: false,
            };
            self.submit(submission).await
        };
        let submitted = submitted.await;
        let (Err(refused), Some((key, request))) = (&submitted, again) else { return submitted };
        match self.asked_before(&key, &request).await {
            Some(run) => {
                tracing::debug!(key, %refused, "it was asked for before");
                Ok(Submitted { run, fresh: false })
            }
            None => submitted,
        }
    }

    /// The run of an earlier request with this key, if this is the same one: whether its pipeline is stored yet and could run
    /// now makes no difference.
    async fn asked_before(&self, key: &str, request: &RunRequest) -> Option<RunRow> {
        let run = self.0.store.run_of_key(key).await.ok()?;
        let same_text = match (&request.pipeline, &request.yaml) {
            (Some(name), None) => {
                *name == run.pipeline && request.version.is_none_or(|asked| Some(asked) == run.version)
            }
            (None, Some(text)) => {
                let named = Source::new(request.name.as_deref().unwrap_or(UNNAMED), text);
                let named = pipeline::load(&named, &mut Problems::none()).name;
                named == run.pipeline && Definition::new(text.clone()).hash == run.definition
            }
            _ => false,
        };
        let rules = pipeline::rules(&Source::new(&run.pipeline, self.0.store.definition_of(&run.id).await.ok()?));
        let concurrency = self.0.store.concurrency_of(&run.id).await.ok()?;
        let same_place =
            ruled(request.priority, &rules) == run.priority && request.concurrency.or(rules.concurrency) == concurrency;
        let same = same_text && run.sets == request.set && run.params == request.params && same_place;
        Some(run).filter(|_| same)
    }

    /// Plans what a caller asks for, and queues nothing.
    ///
    /// # Errors
    /// As [`Service::submit_request`].
    pub async fn plan_request(&self, request: RunRequest) -> Result<Plan, Refused> {
        let (_, body) = self.asked(&request).await?;
        let name = request.pipeline.or(request.name);
        let name = name.as_deref().unwrap_or(UNNAMED);
        let arguments = Arguments { sets: request.set, params: request.params };
        self.check(name, &body, &arguments).await.map_err(Refused::Wrong)
    }

    /// The text that is asked for, and its version if it is a stored one.
    async fn asked(&self, request: &RunRequest) -> Result<(Option<i64>, String), Refused> {
        let RunRequest { pipeline, version, yaml, name: called, .. } = request;
        match (pipeline, yaml) {
            (Some(name), None) if called.is_none() => {
                let (version, definition) = self.0.store.pipeline(name, *version).await?;
                Ok((Some(version.version), definition.body))
            }
            (None, Some(text)) if version.is_none() => Ok((None, text.clone())),
            _ => {
                let why = "a run is either of a `pipeline`, by its name, or of a `yaml`";
                let help = "send one of the two; a `version` goes with the first, a `name` with the second";
                Err(Refused::Request(Fault::bad_params(why).help(help)))
            }
        }
    }

    /// Checks a pipeline, unless it is to be queued unplanned, and queues a run of it.
    ///
    /// # Errors
    /// [`Refused::Wrong`] with all that is wrong with the pipeline; otherwise as [`crate::store::Store::submit`].
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, Refused> {
        let name = submission.pipeline.as_deref().or(submission.called.as_deref()).unwrap_or(UNNAMED);
        let arguments = Arguments { sets: submission.sets, params: submission.params };
        let known = match submission.unplanned {
            true => {
                // Without it, the limits of services go by the names in the text.
                let catalog = self.0.runner.planner().catalog().await.unwrap_or_default();
                Known::read(name, &submission.body, &catalog)
            }
            false => {
                let plan = self.check_patiently(&Source::new(name, &submission.body), &arguments).await;
                Known::planned(plan.map_err(Refused::Wrong)?)
            }
        };
        let new = NewRun {
            id: uuid::Uuid::now_v7().to_string(),
            pipeline: submission.pipeline.unwrap_or(known.name),
            version: submission.version,
            definition: Definition::new(submission.body),
            sets: arguments.sets,
            params: arguments.params,
            services: known.services,
            priority: ruled(submission.priority, &known.rules),
            hooks: known.rules.hooks,
            concurrency: submission.concurrency.or(known.rules.concurrency),
            of_series: submission.of_series,
            idempotency_key: submission.idempotency_key,
            submitted_by: submission.by,
            origin: submission.origin,
            scheduled_at: submission.scheduled_at,
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

    /// Checks a pipeline apart from its runs: parameters may lack a value.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub async fn check_unfilled(&self, name: &str, body: &str) -> Result<(), Problems> {
        pipeline::check_unfilled(&Source::new(name, body), self.0.runner.planner()).await
    }

    /// As [`Service::check_unfilled`], for a pipeline that is to be kept: files that steps are repeated for may come later.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub async fn check_to_keep(&self, name: &str, body: &str) -> Result<(), Problems> {
        pipeline::check_to_keep(&Source::new(name, body), self.0.runner.planner()).await
    }

    /// As [`Service::check`], again and again for a few seconds while nothing is wrong that may not pass: a step's server
    /// that is just starting again should turn nobody away, and use up none of a run's attempts.
    pub(super) async fn check_patiently(&self, source: &Source, arguments: &Arguments) -> Result<Plan, Problems> {
        let begun = Instant::now();
        for pause in PAUSES {
            match pipeline::check(source, arguments, self.0.runner.planner()).await {
                Err(problems) if begun.elapsed() < PATIENCE && problems.iter().all(|one| one.transient().is_some()) => {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                checked => return checked,
            }
        }
        pipeline::check(source, arguments, self.0.runner.planner()).await
    }

    /// Asks for the end of a run. One of this replica is stopped at once.
    ///
    /// # Errors
    /// As [`crate::store::Store::cancel`].
    pub async fn cancel(&self, run: &str, by: &str) -> Result<RunRow, StoreError> {
        let text = self.0.store.definition_of(run).await?;
        let finally = pipeline::has_finally(&Source::new(run, text));
        let row = self.0.store.cancel(run, finally, by).await?;
        if row.state == RunState::Cancelled {
            // It waited: no attempt tells.
            tell::cancelled(self, &row);
        }
        self.0.wake.notify_one();
        if let Some(under_way) = self.under_way().get(run) {
            under_way.stop.cancel();
        }
        Ok(row)
    }

    /// Asks for the end of these runs, and returns those that had not ended by themselves.
    pub(super) async fn cancel_all(&self, runs: Vec<String>, by: &str) -> Result<Vec<RunRow>, StoreError> {
        // Together, so that one write to the disk is for many of them.
        let cancels = runs.into_iter().map(|run| async move {
            match self.cancel(&run, by).await {
                Err(StoreError::Illegal { .. }) => Ok(None),
                cancelled => cancelled.map(Some),
            }
        });
        stream::iter(cancels).buffered(AT_ONCE).try_filter_map(future::ok).try_collect().await
    }

    /// What keeps a run in the queue, in words: see [`crate::store::Store::waits_for`]. One that any replica may take waits until
    /// one can.
    ///
    /// # Errors
    /// As [`crate::store::Store::ping`].
    pub async fn waits_for(&self, run: &RunRow) -> Result<Option<String>, StoreError> {
        if run.state != RunState::Queued {
            return Ok(None);
        }
        let words = self.0.store.waits_for(&run.id, &self.0.settings.limits).await?;
        let slots = self.0.settings.slots;
        let full = || format!("this orchestrator runs at most {slots} at a time: --slots");
        Ok(words.or_else(|| (self.under_way().len() >= slots).then(full)))
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
                let plan = self
                    .check_patiently(&Source::new(&before.pipeline, &body), &arguments)
                    .await
                    .map_err(Refused::Wrong)?;
                let ran = self.0.store.definition_of(run).await?;
                let ran = pipeline::load(&Source::new(&before.pipeline, ran), &mut Problems::none());
                same_pipeline(&ran.name, &plan)?;
                let Known { services, rules, .. } = Known::planned(plan);
                let priority = Ruled { before: ran.rules.priority, now: rules.priority };
                let concurrency = Ruled { before: ran.rules.concurrency, now: rules.concurrency };
                Some(Changed { definition: Definition::new(body), services, hooks: rules.hooks, priority, concurrency })
            }
        };
        let row = self.0.store.resume(run, changed.as_ref(), reuse, by).await?;
        self.0.wake.notify_one();
        Ok(row)
    }
}

/// Refuses to resume a run of one pipeline with the text of another.
fn same_pipeline(ran: &str, plan: &Plan) -> Result<(), Refused> {
    if plan.name == ran {
        return Ok(());
    }
    let why = format!("the run is of the pipeline \"{ran}\", and this text is of \"{}\"", plan.name);
    let help = "change the text of its own pipeline, or submit this one as a run of its own";
    Err(Refused::Request(Fault::bad_params(why).help(help)))
}

/// What the queue must know of a pipeline.
struct Known {
    name: String,
    rules: RunRules,
    services: Vec<String>,
}

impl Known {
    fn planned(plan: Plan) -> Self {
        let services = plan.nodes.into_iter().map(|node| node.step);
        Self { name: plan.name, rules: plan.rules, services: each_once(services) }
    }

    /// As far as the text can be read.
    fn read(name: &str, body: &str, catalog: &[Arc<StepDescription>]) -> Self {
        let spec = pipeline::load(&Source::new(name, body), &mut Problems::none());
        let named = |service: String| {
            let found = catalog.iter().find(|step| step.answers_to(&service));
            found.map_or_else(|| canonical_name(&service), |step| step.name.clone())
        };
        let services = spec.steps.into_iter().filter_map(|step| step.service).map(named);
        Self { name: spec.name, rules: spec.rules, services: each_once(services) }
    }
}

fn each_once(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}
