//! When a pipeline runs by itself: times by cron, in a time zone. Pure.

mod due;
mod timing;

pub use due::{Due, due, jitter};
pub use timing::Timing;

use flight_common::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What to do when a run of the schedule is still under way at its next time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Leave that time out.
    #[default]
    Skip,
    /// Queue another run, which begins when the one before has ended.
    Queue,
    /// Cancel the old run, and queue another one.
    Cancel,
}

/// What to do about times that passed while nobody was there. Those that are caught up with run one after another, whatever
/// is said of runs that overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Leave them out.
    None,
    /// Run once, for the last of them.
    #[default]
    Last,
    /// Run for each of them.
    All,
}

/// Times that are looked at to learn how close to each other they come.
const LOOKED_AT: usize = 100;

/// What runs when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSpec {
    /// The name of a stored pipeline.
    pub pipeline: String,
    /// Its version; the newest at the time if none is named.
    #[serde(default)]
    pub version: Option<i64>,
    /// Values of the pipeline's parameters. In those that are text, too, `{{ scheduled_at }}` and `{{ date }}` are filled in.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub params: BTreeMap<String, Value>,
    /// Changes of steps' parameters: `step.param=value`. `{{ scheduled_at }}` and `{{ date }}` in a value are the time for
    /// which it runs, as in 2026-03-29T02:00:00+02:00, and its day.
    #[serde(default)]
    pub set: Vec<String>,
    /// Minute, hour, day of the month, month, day of the week: `0 6 * * MON-FRI`.
    pub cron: String,
    /// The time zone, as in `Europe/Berlin`.
    #[serde(default = "utc")]
    pub zone: String,
    /// What to do when a run of the schedule is still under way at its next time.
    #[serde(default)]
    pub overlap: Overlap,
    /// What to do about times that passed while nobody was there.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Each run begins up to this many seconds late, so that not all begin at once: fewer than lie between two of its times.
    #[serde(default)]
    pub jitter_seconds: u32,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl ScheduleSpec {
    /// Its times.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for what is no cron, or no time zone.
    pub fn timing(&self) -> Result<Timing, Fault> {
        Timing::new(&self.cron, &self.zone)
    }

    /// Refuses runs that would begin so late that the next time has come; `from` is where its times are looked at.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] with the most that it may be.
    pub fn refuse_too_late(&self, timing: &Timing, from: i64) -> Result<(), Fault> {
        let times = timing.between(from, i64::MAX, LOOKED_AT);
        let shortest = times.windows(2).map(|two| (two[1] - two[0]) / 1000).min().unwrap_or(i64::MAX);
        if i64::from(self.jitter_seconds) < shortest {
            return Ok(());
        }
        let (jitter, most) = (self.jitter_seconds, shortest - 1);
        Err(Fault::bad_params(format!("jitter_seconds is {jitter}, and {shortest} s may lie between two of its times"))
            .help(format!("give it {most} at most")))
    }

    /// Refuses values of parameters in which something is left to be filled in.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] with the first of them.
    pub fn refuse_unfilled(&self, timing: &Timing, at: i64) -> Result<(), Fault> {
        let (params, _) = self.filled(timing, at);
        let left = params.iter().find(|(_, value)| value.as_str().is_some_and(|text| text.contains("{{")));
        left.map_or(Ok(()), |(name, _)| {
            Err(Fault::bad_params(format!(
                "\"{name}\" is {}, and not all of its {{{{ }}}} are filled in",
                self.params[name]
            ))
            .help("a schedule fills in {{ scheduled_at }} and {{ date }}"))
        })
    }

    /// The values and changes of parameters for a time.
    pub fn filled(&self, timing: &Timing, at: i64) -> (BTreeMap<String, Value>, Vec<String>) {
        let time = timing.local(at);
        let (scheduled_at, date) = (time.to_rfc3339(), time.format("%Y-%m-%d").to_string());
        let known = [("{{ scheduled_at }}", &scheduled_at), ("{{scheduled_at}}", &scheduled_at)];
        let known = known.into_iter().chain([("{{ date }}", &date), ("{{date}}", &date)]);
        let fill = |text: &String| known.clone().fold(text.clone(), |text, (name, value)| text.replace(name, value));
        let value = |value: &Value| match value {
            Value::String(text) => Value::String(fill(text)),
            other => other.clone(),
        };
        let params = self.params.iter().map(|(name, given)| (name.clone(), value(given))).collect();
        (params, self.set.iter().map(fill).collect())
    }
}
