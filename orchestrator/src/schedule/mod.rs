//! When a pipeline runs by itself: times by cron, in a time zone. Pure.

mod due;

pub use due::{Due, due, jitter};

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use flight_common::{Fault, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::str::FromStr;
use utoipa::ToSchema;

/// What to do when a run of the schedule is still under way at its next time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Leave that time out.
    #[default]
    Skip,
    /// Queue another run.
    Queue,
    /// Cancel the old run, and queue another one.
    Cancel,
}

/// What to do about times that passed while nobody was there.
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
    /// Minute, hour, day of the month, month, day of the week; or six fields, the first being seconds: `0 6 * * MON-FRI`.
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
    /// Each run begins up to this many seconds late, so that not all begin at once.
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

    /// The values and changes of parameters for a time.
    pub fn filled(&self, timing: &Timing, at: i64) -> (BTreeMap<String, Value>, Vec<String>) {
        let time = timing.local(at);
        let (scheduled_at, date) = (time.to_rfc3339(), time.format("%Y-%m-%d").to_string());
        let fill = |text: &String| text.replace("{{ scheduled_at }}", &scheduled_at).replace("{{ date }}", &date);
        let value = |value: &Value| match value {
            Value::String(text) => Value::String(fill(text)),
            other => other.clone(),
        };
        let params = self.params.iter().map(|(name, given)| (name.clone(), value(given))).collect();
        (params, self.set.iter().map(fill).collect())
    }
}

/// Times by cron, in a time zone. Times are milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Timing {
    cron: Cron,
    zone: Tz,
}

impl Timing {
    /// The times of this cron in this zone.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for what is neither.
    pub fn new(cron: &str, zone: &str) -> Result<Self, Fault> {
        let parsed = Tz::from_str(zone).map_err(|_| {
            let names = chrono_tz::TZ_VARIANTS.iter().map(|known| known.name());
            Fault::bad_params(format!("there is no time zone \"{zone}\"")).help(params::did_you_mean(zone, names))
        })?;
        let parser = croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Optional).build();
        let cron = parser.parse(cron).map_err(|error| {
            Fault::bad_params(format!("\"{cron}\" is no cron: {error}"))
                .help("write minute, hour, day, month, weekday, as in `0 6 * * MON-FRI`")
        })?;
        Ok(Self { cron, zone: parsed })
    }

    /// The first time after this one; nothing if there is none in the foreseeable future.
    pub fn next_after(&self, after: i64) -> Option<i64> {
        let next = self.cron.find_next_occurrence(&self.local(after), false).ok()?;
        // Clocks set back show an hour twice: it must not be found again and again.
        Some(next.timestamp_millis()).filter(|next| *next > after)
    }

    /// The last time up to this one.
    pub fn last_until(&self, until: i64) -> Option<i64> {
        let last = self.cron.find_previous_occurrence(&self.local(until), true).ok()?;
        Some(last.timestamp_millis()).filter(|last| *last <= until)
    }

    /// The times after the first and up to the second, at most so many.
    pub fn between(&self, after: i64, until: i64, most: usize) -> Vec<i64> {
        let mut times = Vec::new();
        let mut last = after;
        while times.len() < most {
            match self.next_after(last) {
                Some(next) if next <= until => times.push(next),
                _ => break,
            }
            last = times.last().copied().unwrap_or(until);
        }
        times
    }

    /// A time, as the clocks of the zone show it.
    pub fn local(&self, millis: i64) -> DateTime<Tz> {
        let utc: DateTime<Utc> = Utc.timestamp_millis_opt(millis).single().unwrap_or_default();
        utc.with_timezone(&self.zone)
    }

    /// In words.
    pub fn describe(&self) -> String {
        self.cron.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).expect("a time").timestamp_millis()
    }

    fn next(timing: &Timing, after: &str) -> String {
        timing.local(timing.next_after(millis(after)).expect("a time")).to_rfc3339()
    }

    #[test]
    fn an_hour_that_is_left_out_costs_no_run() {
        // In Berlin, clocks go from 2:00 to 3:00 on 29 March 2026.
        let timing = Timing::new("30 2 * * *", "Europe/Berlin").expect("a cron");
        let times = timing.between(millis("2026-03-28T00:00:00+01:00"), millis("2026-03-31T00:00:00+02:00"), 10);
        let shown: Vec<String> = times.iter().map(|time| timing.local(*time).to_rfc3339()).collect();
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert_eq!(shown[0], "2026-03-28T02:30:00+01:00");
        assert!(shown[1].starts_with("2026-03-29T03:"), "{shown:?}");
        assert_eq!(shown[2], "2026-03-30T02:30:00+02:00");
    }

    #[test]
    fn an_hour_that_comes_twice_runs_once() {
        // In Berlin, clocks go from 3:00 back to 2:00 on 25 October 2026.
        let timing = Timing::new("30 2 * * *", "Europe/Berlin").expect("a cron");
        let times = timing.between(millis("2026-10-24T12:00:00+02:00"), millis("2026-10-26T12:00:00+01:00"), 10);
        let shown: Vec<String> = times.iter().map(|time| timing.local(*time).to_rfc3339()).collect();
        assert_eq!(shown, ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]);
    }

    #[test]
    fn every_quarter_of_an_hour_goes_on_through_both() {
        let timing = Timing::new("*/15 * * * *", "Europe/Berlin").expect("a cron");
        for (from, hours) in [("2026-03-29T00:00:00+01:00", 23), ("2026-10-25T00:00:00+02:00", 25)] {
            let from = millis(from);
            let times = timing.between(from, from + hours * 3_600_000, 1000);
            assert_eq!(times.len(), hours as usize * 4);
            assert!(times.windows(2).all(|two| two[1] - two[0] == 900_000), "{from}");
        }
    }

    #[test]
    fn days_and_months_are_those_of_the_zone() {
        let timing = Timing::new("0 6 * * MON-FRI", "America/New_York").expect("a cron");
        assert_eq!(next(&timing, "2026-11-20T23:00:00Z"), "2026-11-23T06:00:00-05:00");
        let last = Timing::new("0 0 L * *", "UTC").expect("a cron");
        assert_eq!(next(&last, "2026-02-01T00:00:00Z"), "2026-02-28T00:00:00+00:00");
    }

    #[test]
    fn mistakes_are_told() {
        assert!(Timing::new("0 6 * *", "UTC").is_err());
        let fault = Timing::new("0 6 * * *", "Europe/Berln").expect_err("no such zone");
        assert!(fault.help_text().is_some_and(|help| help.contains("Europe/Berlin")), "{:?}", fault.help_text());
        assert_eq!(Timing::new("0 0 30 2 *", "UTC").expect("a cron").next_after(0), None);
    }
}
