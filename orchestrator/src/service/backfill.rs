//! Fills a range of a schedule's times back.
//!
//! A time that has run well, of the same text with the same parameters, is not run for again unless that is asked for.
//! All others are: asked again, a backfill does what is left. One that was a mistake is cancelled as a whole.

use super::scheduler::{Origins, occurrence};
use super::{Refused, Service, Submission};
use crate::checksum::checksum;
use crate::schedule::Timing;
use crate::store::{Definition, RunRow, RunState, StoreError};
use flight_common::Fault;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// Runs that a backfill may ask for.
const MOST: usize = 1000;

/// What is to be filled back. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Backfill {
    /// From this time on.
    pub from: i64,
    /// Up to this time.
    pub until: i64,
    /// Runs of the pipeline at a time.
    pub concurrency: Option<i64>,
    /// Whether to run again for what has run well.
    pub again: bool,
}

/// A time of a backfill, and its run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Occurrence {
    /// The time, as the schedule's time zone has it.
    pub time: String,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The run: the one that was queued, or the one that is there already.
    pub run: String,
}

/// What becomes of a time of a backfill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A run was queued.
    Queued,
    /// A run of the same text with the same parameters is under way.
    UnderWay,
    /// A run of the same text with the same parameters has ended well.
    Done,
}

impl Outcome {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::UnderWay => "under way already",
            Self::Done => "done already",
        }
    }
}

impl Service {
    /// Queues a run for each time of a range that has come and has not run well, or was to run again, and is not under way.
    ///
    /// # Errors
    /// [`Refused::Request`] for a range that ends before it begins, with no time in it, or with more than 1,000;
    /// otherwise as [`crate::store::Store::submit`].
    pub async fn backfill(&self, name: &str, range: &Backfill, by: &str) -> Result<Vec<Occurrence>, Refused> {
        let store = &self.0.store;
        let spec = store.schedule(name).await?.spec;
        let timing = spec.timing().map_err(Refused::Request)?;
        refuse_order(range, &timing).map_err(Refused::Request)?;
        // What is to come runs when it has come.
        let now = store.now().await?;
        let times = timing.between(range.from.saturating_sub(1), range.until.min(now), MOST + 1);
        refuse_count(times.len(), range.until > now).map_err(Refused::Request)?;
        let (version, definition) = store.pipeline(&spec.pipeline, spec.version).await?;
        let Origins { due, missed, filled } = Origins::of(name);
        let runs = store.scheduled_runs([&due, &missed, &filled], range.from, range.until).await?;
        let mut occurrences = Vec::new();
        for time in times {
            let submission = occurrence(&spec, &version, &definition, time).map_err(Refused::Request)?;
            let of_time: Vec<&RunRow> = runs.iter().filter(|run| run.scheduled_at == Some(time)).collect();
            let (outcome, run) = match there_already(&of_time, &definition, &submission, range.again) {
                Some(there) => there,
                None => {
                    let submission = Submission {
                        idempotency_key: Some(key(&filled, &of_time, &definition, &submission)),
                        of_series: range.concurrency,
                        by: by.to_owned(),
                        origin: filled.clone(),
                        ..submission
                    };
                    (Outcome::Queued, self.submit(submission).await?.run.id)
                }
            };
            occurrences.push(Occurrence { time: timing.local(time).to_rfc3339(), outcome, run });
        }
        Ok(occurrences)
    }

    /// Asks for the end of all runs of a schedule's backfills that have not ended, also after it was deleted.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is neither such a run nor the schedule; otherwise as
    /// [`crate::store::Store::cancel`].
    pub async fn cancel_backfill(&self, name: &str, by: &str) -> Result<Vec<RunRow>, StoreError> {
        let store = &self.0.store;
        let mut runs = store.unfinished_from(&Origins::of(name).filled).await?;
        if runs.is_empty() {
            store.schedule(name).await?;
        }
        // Those that wait last come first: none begins in the place of one that was stopped.
        runs.reverse();
        let mut cancelled = self.cancel_all(runs, by).await?;
        cancelled.reverse();
        Ok(cancelled)
    }
}

fn refuse_order(range: &Backfill, timing: &Timing) -> Result<(), Fault> {
    if range.from <= range.until {
        return Ok(());
    }
    let at = |millis| timing.local(millis).to_rfc3339();
    let wrong = format!("from ({}) is after until ({})", at(range.from), at(range.until));
    Err(Fault::bad_params(wrong).help("exchange the two"))
}

/// `ends_now` tells that the range would go on into what is to come.
fn refuse_count(count: usize, ends_now: bool) -> Result<(), Fault> {
    let (wrong, help) = match count {
        0 if ends_now => (
            "no time of the schedule that has come lies in that range".to_owned(),
            "choose another range; this one ends now, and what is to come runs when it has come",
        ),
        0 => ("no time of the schedule lies in that range".to_owned(), "choose another range"),
        count if count > MOST => (format!("more than {MOST} times lie in that range"), "choose another range"),
        _ => return Ok(()),
    };
    Err(Fault::bad_params(wrong).help(help))
}

/// The run of a time, the youngest first, that makes another one needless.
fn there_already(
    runs: &[&RunRow],
    definition: &Definition,
    wanted: &Submission,
    again: bool,
) -> Option<(Outcome, String)> {
    let same =
        |run: &&&RunRow| run.definition == definition.hash && run.sets == wanted.sets && run.params == wanted.params;
    let outcome = |run: &&RunRow| match run.state {
        RunState::Done => (!again).then_some(Outcome::Done),
        RunState::Failed | RunState::Cancelling | RunState::Cancelled => None,
        RunState::Queued | RunState::Running => Some(Outcome::UnderWay),
    };
    runs.iter().filter(same).find_map(|run| Some((outcome(run)?, run.id.clone())))
}

/// The key of a run: the same for two who ask at the same time, another one once there is a run.
fn key(origin: &str, runs: &[&RunRow], definition: &Definition, wanted: &Submission) -> String {
    let what = checksum(json!([definition.hash, wanted.sets, wanted.params]).to_string().as_bytes());
    let after = runs.first().map_or("none", |run| run.id.as_str());
    format!("{origin}:{}:{what}:{after}", wanted.scheduled_at.unwrap_or_default())
}
