//! Runs pipelines when their time has come.
//!
//! Every replica looks. A time is submitted under a key of its own before the schedule moves on: whoever comes second,
//! or again after a crash, finds the run that is there already. Whether its pipeline can run is found out by the run
//! itself: a file that has not come yet leaves a failed run, with its fault and its hooks, and is tried again as the
//! pipeline says.

use super::{Refused, Service, Submission};
use crate::pipeline::{self, Arguments, Source};
use crate::schedule::{CatchUp, Overlap, ScheduleSpec, due, jitter};
use crate::store::{Definition, PipelineVersion, Schedule, StoreError};
use flight_common::Fault;
use std::time::Duration;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(500);

/// Looks for what is due, again and again. Never ends.
pub(super) async fn schedule(service: Service) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = async {
            // Nothing is late because others were seen to first.
            let now = service.0.store.now().await?;
            for schedule in service.0.store.due_schedules(now).await? {
                service.fire(&schedule, now).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = looked.await {
            tracing::warn!(%error, "schedules could not be looked after");
        }
    }
}

/// Where the runs of a schedule come from.
pub(super) struct Origins {
    /// Those whose time came.
    pub(super) due: String,
    /// Those of times that were missed.
    pub(super) missed: String,
    /// Those of a range that was filled back.
    pub(super) filled: String,
}

impl Origins {
    pub(super) fn of(name: &str) -> Self {
        Self { due: format!("schedule:{name}"), missed: format!("catch-up:{name}"), filled: format!("backfill:{name}") }
    }
}

impl Service {
    /// Stores a schedule.
    ///
    /// # Errors
    /// [`Refused::Request`] for a cron or zone that is none, or runs that begin too late; [`StoreError::NotFound`] for a
    /// pipeline that is not stored; [`Refused::Wrong`] for parameters that the pipeline does not take.
    pub async fn put_schedule(&self, name: &str, spec: &ScheduleSpec, by: &str) -> Result<Schedule, Refused> {
        let timing = spec.timing().map_err(Refused::Request)?;
        let store = &self.0.store;
        let (_, definition) = store.pipeline(&spec.pipeline, spec.version).await?;
        let now = store.now().await?;
        let Some(next) = timing.next_after(now) else {
            let never = Fault::bad_params(format!("\"{}\" never comes", spec.cron)).help("look at its day and month");
            return Err(Refused::Request(never));
        };
        spec.refuse_too_late(&timing, now).map_err(Refused::Request)?;
        spec.refuse_unfilled(&timing, next).map_err(Refused::Request)?;
        let (params, sets) = spec.filled(&timing, next);
        let source = Source::new(&spec.pipeline, definition.body);
        let arguments = Arguments { sets, params };
        pipeline::check_arguments(&source, &arguments).map_err(Refused::Wrong)?;
        if !arguments.sets.is_empty() {
            let checked = pipeline::check_changes(&source, &arguments, self.0.runner.planner()).await;
            checked.map_err(Refused::Wrong)?;
        }
        Ok(store.put_schedule(name, spec, Some(next), by).await?)
    }

    /// Whether the schedules that run the newest version of a pipeline could run this text.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] with the first that could not, and why.
    pub async fn check_schedules(&self, pipeline: &str, body: &str) -> Result<(), StoreError> {
        let now = self.0.store.now().await?;
        let schedules = self.0.store.schedules().await?.into_iter();
        for one in schedules.filter(|one| one.spec.pipeline == pipeline && one.spec.version.is_none()) {
            // One that never comes again runs nothing.
            let Ok(timing) = one.spec.timing() else { continue };
            let Some(next) = timing.next_after(now) else { continue };
            let (params, sets) = one.spec.filled(&timing, next);
            if let Err(problems) = pipeline::check_arguments(&Source::new(pipeline, body), &Arguments { sets, params })
            {
                let why = problems.iter().next().map(|first| first.message.clone()).unwrap_or_default();
                return Err(StoreError::Conflict(format!(
                    "the schedule {} runs it, and could not run this text: {why}",
                    one.name
                )));
            }
        }
        Ok(())
    }

    /// Pauses a schedule, or lets it go on from now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of this name.
    pub async fn pause_schedule(&self, name: &str, paused: bool) -> Result<Schedule, Refused> {
        let store = &self.0.store;
        let found = store.schedule(name).await?;
        let next = match paused {
            true => None,
            false => found.spec.timing().map_err(Refused::Request)?.next_after(store.now().await?),
        };
        Ok(store.pause_schedule(name, paused, next).await?)
    }

    /// Submits what is due of a schedule, and moves it on.
    async fn fire(&self, schedule: &Schedule, now: i64) -> Result<(), StoreError> {
        let store = &self.0.store;
        let Some(first) = schedule.next_at else { return Ok(()) };
        let timing = match schedule.spec.timing() {
            Ok(timing) => timing,
            Err(fault) => {
                store.advance_schedule(&schedule.name, first, None).await?;
                return store.note_schedule(&schedule.name, first, Err(&fault.to_string())).await;
            }
        };
        let most = i64::from(schedule.spec.jitter_seconds) * 1000;
        let late = |time| jitter(&schedule.name, time, most);
        let found = due(&timing, schedule.spec.catch_up, late, first, now);
        for time in found.times {
            // It may have been paused, replaced or deleted since it was seen to be due.
            if !store.is_still_due(schedule).await? {
                return Ok(());
            }
            match self.fire_at(schedule, time, found.missed).await {
                Ok(Some(run)) => store.note_schedule(&schedule.name, time, Ok(&run)).await?,
                Ok(None) => {
                    let why = "left out: a run of an earlier time is under way";
                    tracing::info!(schedule = schedule.name, time, why);
                    store.note_schedule(&schedule.name, time, Err(why)).await?;
                }
                Err(Refused::Store(StoreError::Unavailable(why))) => return Err(StoreError::Unavailable(why)),
                Err(refused) => {
                    let why = refused.to_string();
                    tracing::warn!(schedule = schedule.name, why, "no run could be queued");
                    store.note_schedule(&schedule.name, time, Err(&why)).await?;
                }
            }
        }
        match found.next == Some(first) {
            // It waits for its run to begin.
            true => Ok(()),
            false => store.advance_schedule(&schedule.name, first, found.next).await.map(drop),
        }
    }

    /// Queues the run of a time; nothing if another one is under way and that is what was asked for. One that was missed
    /// is queued in any case, and neither leaves out nor cancels another.
    async fn fire_at(&self, schedule: &Schedule, time: i64, missed: bool) -> Result<Option<String>, Refused> {
        let (store, origins) = (&self.0.store, Origins::of(&schedule.name));
        let key = format!("{}:{time}", origins.due);
        // Asked for before it is seen whether this very time is among them, which another replica may have queued.
        let under_way = store.unfinished_from(&origins.due).await?;
        let caught_up = store.unfinished_from(&origins.missed).await?;
        match store.run_of_key(&key).await {
            Ok(run) => return Ok(Some(run.id)),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let alone = under_way.is_empty() && caught_up.is_empty();
        match schedule.spec.overlap {
            _ if missed => {}
            // Where all are wanted that were missed, those that come meanwhile are too.
            Overlap::Skip if under_way.is_empty() && schedule.spec.catch_up == CatchUp::All => {}
            Overlap::Skip if !alone => return Ok(None),
            Overlap::Cancel => drop(self.cancel_all(under_way, &origins.due).await?),
            _ => {}
        }
        let (version, definition) = store.pipeline(&schedule.spec.pipeline, schedule.spec.version).await?;
        let submission = Submission {
            // One after another.
            of_series: (missed || !alone).then_some(1),
            idempotency_key: Some(key),
            by: schedule.updated_by.clone(),
            origin: if missed { origins.missed } else { origins.due },
            ..occurrence(&schedule.spec, &version, &definition, time).map_err(Refused::Request)?
        };
        Ok(Some(self.submit(submission).await?.run.id))
    }
}

/// The run of a time of a schedule, as far as the schedule says what it is.
pub(super) fn occurrence(
    spec: &ScheduleSpec,
    version: &PipelineVersion,
    definition: &Definition,
    time: i64,
) -> Result<Submission, Fault> {
    let (params, sets) = spec.filled(&spec.timing()?, time);
    Ok(Submission {
        pipeline: Some(spec.pipeline.clone()),
        version: Some(version.version),
        body: definition.body.clone(),
        sets,
        params,
        scheduled_at: Some(time),
        unplanned: true,
        ..Submission::default()
    })
}
